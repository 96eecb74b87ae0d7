/**
 * Printing of an environment's flags and release policy as YAML, for people to read and compare. The file contains
 * everything about them except who changed them and when. Pure. core reads such files.
 */
import {
  Document,
  visit,
  type CreateNodeOptions,
  type DocumentOptions,
  type SchemaOptions,
  type ToStringOptions,
} from 'yaml';
import type { FlagDefinition, JsonValue, RuleDefinition } from '../../../core/model.ts';
import {
  FILE_VERSION,
  readYaml,
  type FlagEntry,
  type RuleEntry,
} from '../../../core/wire/flag-files/environment-file.ts';
import { recordedGuard } from '../releases/release-guards.ts';
import { POLICY_MEMBER, type PolicyEntry } from '../../../core/wire/flag-files/policy-entry.ts';
import { durationText } from '../../../core/validation/duration.ts';
import { isJsonObject } from '../../../core/json/json-value.ts';
import { requirementContent } from '../flags/flag.ts';
import { compareRules } from '../../../core/evaluation/rules/rule-order.ts';

const HEADER = `FleetFlag: the flags of one environment. Written by "npm run admin -- export", read by "npm run admin -- import".`;

/**
 * Lines are not folded, objects do not become aliases, and texts that older YAML would read as other types are quoted.
 */
const PRINTING: DocumentOptions & SchemaOptions & CreateNodeOptions & ToStringOptions = {
  lineWidth: 0,
  doubleQuotedMinMultiLineLength: Infinity,
  aliasDuplicateObjects: false,
  compat: 'yaml-1.1',
};
/**
 * Texts that the printer's plain or block form would change: blanks at the end of the text or of a line, and control
 * characters.
 */
const ONLY_QUOTED = /^\s|\s$|[^\S\n]\n|\n[^\S\n]|(?!\n)[\p{Cc}\p{Zl}\p{Zp}\ufeff]/u;

const inOrder = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1);

/** Sorts the members of a JSON value. A Map keeps that order even for names that look like numbers. */
function sorted(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  return new Map(
    Object.entries(value)
      .sort(inOrder)
      .map(([name, member]) => [name, sorted(member)]),
  );
}

/** Gives a flag in the file's form. */
export function flagEntry(
  flag: Omit<FlagDefinition, 'release'> & { readonly name: string; readonly description: string | null },
): FlagEntry {
  const { key, name, description, type, safetyLevel, enabled, defaultValue } = flag;
  const { scope = null, requires = [], excludes = [], valueSchema = null, activation, killActivation } = flag;
  return {
    key,
    name,
    description,
    type,
    safetyLevel,
    enabled,
    defaultValue,
    scope,
    requires,
    excludes,
    valueSchema,
    activation: activation ?? 'IMMEDIATE',
    killActivation: killActivation ?? 'IMMEDIATE',
    rules: [...flag.rules].sort(compareRules).map(ruleEntry),
  };
}

/** Gives a rule in the file's form. */
export function ruleEntry(rule: RuleDefinition): RuleEntry {
  const { type, priority, enabled, conditions, value, variant } = rule;
  return { type, priority, enabled, conditions, value: value ?? null, variant: variant ?? null };
}

/** Gives a release policy in the file's form. */
function policyContent({ stages, canary, safetyLevels, guards, ...limits }: PolicyEntry): object {
  const named = (['vins', 'models', 'regions'] as const).flatMap((list) => {
    const names = canary?.[list] ?? [];
    return names.length > 0 ? [[list, names] as const] : [];
  });
  return {
    stages: stages.map(({ percentage, soakMs, minimumVehicles }) => ({
      ...{ percentage, soak: durationText(soakMs) },
      ...(minimumVehicles > 0 && { minimumVehicles }),
    })),
    ...(canary !== null && { canary: Object.fromEntries(named) }),
    safetyLevels,
    maximumFaultyVehicles: limits.maximumFaultyVehicles,
    maximumFaultyPercent: limits.maximumFaultyPercent,
    ...(guards.length > 0 && { guards: guards.map(recordedGuard) }),
  };
}

/**
 * Prints the file: the policy where there is one, flags by key, members always in the same order, so that the lines of
 * two files differ only where their content does.
 *
 * @throws Error that names the flags which would not be read back exactly: a wrong backup is worse than none
 */
export function printEnvironmentFile(flags: readonly FlagEntry[], policy: PolicyEntry | null = null): string {
  const entries = [...flags]
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(
      ({ key, rules, scope, requires, excludes, valueSchema, activation, killActivation, ...own }) =>
        [
          key,
          {
            name: own.name,
            ...(own.description !== null && { description: own.description }),
            type: own.type,
            safetyLevel: own.safetyLevel,
            enabled: own.enabled,
            defaultValue: sorted(own.defaultValue),
            ...(valueSchema !== null && { valueSchema: sorted(valueSchema) }),
            ...(activation !== 'IMMEDIATE' && { activation }),
            ...(killActivation !== 'IMMEDIATE' && { killActivation }),
            ...(scope !== null && { scope }),
            ...(requires.length > 0 && {
              requires: requires.map(requirementContent),
            }),
            ...(excludes.length > 0 && { excludes }),
            rules: rules.map((rule) => ({
              type: rule.type,
              priority: rule.priority,
              enabled: rule.enabled,
              conditions: sorted(rule.conditions),
              ...(rule.value !== null && { value: sorted(rule.value) }),
              ...(rule.variant !== null && { variant: rule.variant }),
            })),
          },
        ] as const,
    );
  const own: Record<string, object> = policy === null ? {} : { [POLICY_MEMBER]: policyContent(policy) };
  const text = printedExactly({ fleetflag: FILE_VERSION, ...own, flags: new Map<string, unknown>(entries) });
  if (text !== null) return `# ${HEADER}\n${text}`;
  const lost = [...Object.entries(own), ...entries]
    .filter(([key, content]) => printedExactly({ [key]: content }) === null)
    .map(([key]) => key);
  throw new Error(
    `Nothing was written: ${lost.join(', ') || 'these flags together'} would not be the same when read back from YAML.`,
  );
}

/** Gives the content as YAML; null when it cannot be printed, or would not be read back exactly. */
function printedExactly(content: object): string | null {
  try {
    const text = printYaml(content);
    return JSON.stringify(readYaml(text).json) === JSON.stringify(plain(content)) ? text : null;
  } catch {
    return null;
  }
}

function printYaml(content: object): string {
  const document = new Document(content, PRINTING);
  visit(document, {
    Scalar: (_, scalar) => {
      if (typeof scalar.value === 'string' && ONLY_QUOTED.test(scalar.value)) scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString(PRINTING);
}

/** Turns Maps back into objects. */
function plain(value: unknown): unknown {
  if (value instanceof Map) {
    const object: Record<string, unknown> = {};
    // Defined instead of assigned, because a member may be called __proto__.
    value.forEach((member: unknown, name: unknown) =>
      Object.defineProperty(object, String(name), {
        value: plain(member),
        enumerable: true,
        configurable: true,
        writable: true,
      }),
    );
    return object;
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) return plain(new Map(Object.entries(value)));
  return value;
}
