/**
 * The changes of the public schema since its last release, and which of them break clients
 * (docs/reference/schema-changes.md).
 */
import { CriticalityLevel, DiffRule, diff, type Change } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';
import { membersOf } from '../../core/json/json-value.ts';

/** A difference between two schemas. */
export interface SchemaChange {
  /** The changed type or member, such as `Viewer.permissions`. */
  readonly path: string;
  readonly message: string;
  /** Whether an operation or a program that worked with the released schema may no longer do so. */
  readonly isBreaking: boolean;
}

/** Descriptions are for people, and an argument of a directive is shown with its directive. */
const UNSEEN = /_DESCRIPTION_|^DIRECTIVE_USAGE_ARGUMENT_/;

/**
 * Says whether a change gives another meaning to operations that stay valid: another default does, to those that leave
 * the argument out. A first default for an argument that was required does not, because every operation sends it.
 */
function changesMeaning({ type, meta }: Change): boolean {
  if (type !== 'FIELD_ARGUMENT_DEFAULT_CHANGED' && type !== 'INPUT_FIELD_DEFAULT_VALUE_CHANGED') return false;
  return membersOf(meta)['oldDefaultValue'] !== undefined;
}

/**
 * Compares two schemas in SDL. A field, an argument or an enum value may be removed when the released schema has it as
 * deprecated. New enum values do not count as breaking: the page asks clients to expect them.
 *
 * @throws GraphQLError where one of them is not a schema
 */
export async function schemaChanges(released: string, present: string): Promise<readonly SchemaChange[]> {
  const changes = await diff(buildSchema(released), buildSchema(present), [DiffRule.suppressRemovalOfDeprecatedField]);
  return changes
    .filter(({ type }) => !UNSEEN.test(String(type)))
    .map((change) => ({
      path: change.path ?? '',
      message: change.message,
      isBreaking: change.criticality.level === CriticalityLevel.Breaking || changesMeaning(change),
    }))
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

const UNRELEASED = '## Unreleased';

/** Gives the page's text before and after the section of unreleased changes. */
function around(page: string): readonly [string, string] {
  const start = page.indexOf(`${UNRELEASED}\n`);
  if (start === -1) throw new Error(`docs/reference/schema-changes.md has no heading "${UNRELEASED}".`);
  const next = page.indexOf('\n## ', start + UNRELEASED.length);
  return [page.slice(0, start), next === -1 ? '' : page.slice(next + 1)];
}

/** Puts `changes` into the page's section of unreleased changes. Throws an Error where the page has none. */
export function withUnreleased(page: string, changes: readonly SchemaChange[]): string {
  const [before, after] = around(page);
  const lines = changes.map(
    ({ path, message, isBreaking }) =>
      `- \`${path}\`: ${message.replaceAll("'", '`')}.${isBreaking ? ' **Breaks clients.**' : ''}`,
  );
  const section = lines.length === 0 ? 'None.' : lines.join('\n');
  return `${before}${UNRELEASED}\n\n${section}\n${after === '' ? '' : `\n${after}`}`;
}

/** Makes the unreleased changes those of a version, dated in UTC, and begins a section without changes. */
export function releasedPage(page: string, version: string, at: Date): string {
  const released = page.replace(`${UNRELEASED}\n`, `## ${version}, ${at.toISOString().slice(0, 10)}\n`);
  const start = released.indexOf(`## ${version}, `);
  return `${released.slice(0, start)}${UNRELEASED}\n\nNone.\n\n${released.slice(start)}`;
}
