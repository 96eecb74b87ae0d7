/** Writes of the flags subgraph's tables environments, flags and rules, and their locks. */
import type { Environment, JsonObject, JsonValue } from '../../../core/model.ts';
import { writeRows } from '../../shared/postgres/row-batches.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { claimKeys } from './flag-keys.ts';
import { findFlagsById } from './reading/flag-reads.ts';
import { requirementContent, type Flag, type Rule } from './flag.ts';
import { stagedContent } from './staged-release.ts';
import { is } from '../../../core/json/shape.ts';
import { rowCount, rowsOf } from '../../shared/postgres/rows.ts';
import { keepVersions } from './versions/flag-versions.ts';

/** The lowest value of the column, a 32-bit integer. */
const LOWEST_PRIORITY = -(2 ** 31);

/** The characters that are kept of a dropped draft's key; with `~` and the flag's id they fit the column. */
const MAX_KEPT_KEY_LENGTH = 63;

/** Values are stored as `{"value": …}` (database.md, flags). */
const wrap = (value: JsonValue): JsonObject => ({ value });

/** A reference to the flag to change. */
export type FlagReference = { readonly id: string } | { readonly key: string } | { readonly ruleId: string };

function lockRow(tx: Transaction, by: FlagReference): Promise<{ id: string }[]> {
  if ('id' in by) return rowsOf(tx, { id: is.string })`SELECT id FROM flags WHERE id = ${by.id}::uuid FOR UPDATE`;
  if ('key' in by) return rowsOf(tx, { id: is.string })`SELECT id FROM flags WHERE key = ${by.key} FOR UPDATE`;
  return rowsOf(tx, {
    id: is.string,
  })`SELECT f.id FROM flags f JOIN rules r ON r.flag_id = f.id WHERE r.id = ${by.ruleId}::uuid FOR UPDATE OF f`;
}

/** Locks flags' rows until the transaction ends, always in the same order. */
export async function lockFlags(tx: Transaction, ids: readonly string[]): Promise<void> {
  await rowCount(tx)`SELECT id FROM flags WHERE id = ANY(${[...ids]}::uuid[]) ORDER BY id FOR UPDATE`;
}

/** Locks the flag's row until the transaction ends, so that edits of one flag run one after another. */
export async function lockFlag(tx: Transaction, by: FlagReference): Promise<Flag | null> {
  const [row] = await lockRow(tx, by);
  if (row === undefined) return null;
  // Read again under the lock: the row may have changed while this transaction waited for it.
  return (await findFlagsById(tx, [row.id]))[0] ?? null;
}

/**
 * Advances an environment's revision by `count`, and gives the first of the new revisions. The row stays locked until
 * the transaction ends, which makes revisions gapless and gives them commit order.
 */
export async function nextRevision(tx: Transaction, environment: Environment, count = 1): Promise<number> {
  const [row] = await rowsOf(tx, { revision: is.bigint })`
    UPDATE environments SET revision = revision + ${count}, updated_at = ${new Date()} WHERE name = ${environment} RETURNING revision`;
  if (row === undefined) throw new Error(`There is no environment ${environment}`);
  return Number(row.revision) - count + 1;
}

/** Locks the environment's row until the transaction ends, and gives its revision. */
export async function lockRevision(tx: Transaction, environment: Environment): Promise<number> {
  const [row] = await rowsOf(tx, {
    revision: is.bigint,
  })`SELECT revision FROM environments WHERE name = ${environment} FOR UPDATE`;
  return Number(row?.revision ?? 0);
}

/** Sets an environment's revision; the caller holds its lock. */
export async function setRevision(tx: Transaction, environment: Environment, revision: number): Promise<void> {
  await tx.environment.update({ where: { name: environment }, data: { revision } });
}

const timeOrNull = (time: Date | null) => time?.toISOString() ?? null;

/** Gives a flag's row, for `writeRows`. */
const flagRow = (flag: Flag): JsonObject => ({
  ...{ id: flag.id, key: flag.key, name: flag.name, description: flag.description, type: flag.type },
  ...{ default_value: wrap(flag.defaultValue), enabled: flag.enabled, safety_level: flag.safetyLevel },
  ...{ environment: flag.environment, revision: flag.revision, signed_definition: flag.signedDefinition },
  ...{ created_by: flag.createdById, created_at: flag.createdAt.toISOString() },
  ...{ updated_by: flag.updatedById, updated_at: flag.updatedAt.toISOString() },
  ...{ archived_at: timeOrNull(flag.draft ? flag.createdAt : flag.archivedAt), draft: flag.draft },
  scope: flag.scope === null ? null : [...flag.scope],
  requires: flag.requires.map(requirementContent),
  excludes: [...flag.excludes],
  value_schema: flag.valueSchema,
  ...{ activation: flag.activation, kill_activation: flag.killActivation, no_return_below: flag.noReturnBelow },
  release: flag.release && stagedContent(flag.release),
});

/** Gives a rule's row, for `writeRows`. */
const ruleRow = (flagId: string, rule: Rule): JsonObject => ({
  ...{ id: rule.id, flag_id: flagId, type: rule.type, priority: rule.priority, enabled: rule.enabled },
  ...{ conditions: rule.conditions, variant: rule.variant },
  value: rule.value === null || rule.value === undefined ? null : wrap(rule.value),
  ...{ created_at: rule.createdAt.toISOString(), updated_at: rule.updatedAt.toISOString() },
});

const insertRules = (tx: Transaction, rows: readonly JsonObject[]): Promise<void> =>
  writeRows(
    rows,
    (json) => tx.$executeRaw`
      INSERT INTO rules (id, flag_id, type, priority, enabled, conditions, value, variant, created_at, updated_at)
      SELECT id, flag_id, type, priority, enabled, COALESCE(conditions, 'null'), value, variant, created_at, updated_at
      FROM jsonb_populate_recordset(NULL::rules, ${json}::jsonb)`,
  );

/** A flag that is to be inserted. */
export interface FlagToInsert {
  readonly flag: Flag;
  /** The argument at which a key that is taken is refused; `input.key` by default. */
  readonly field?: string;
}

/**
 * Inserts flags with their rules, by a number of statements that does not grow with each flag. Call it once in a
 * transaction.
 *
 * @throws CONFLICT for a key that is taken, or that differs only by case from a taken one
 */
export async function insertFlags(tx: Transaction, created: readonly FlagToInsert[]): Promise<void> {
  if (created.length === 0) return;
  await claimKeys(
    tx,
    created.map(({ flag: { key, environment, draft }, field = 'input.key' }) => ({ key, environment, draft, field })),
  );
  const flags = created.map(({ flag }) => flag);
  await writeRows(
    flags.map(flagRow),
    (json) => tx.$executeRaw`
      INSERT INTO flags (id, key, name, description, type, default_value, enabled, safety_level, environment, revision,
        signed_definition, created_by, created_at, updated_by, updated_at, archived_at, draft, scope, requires, excludes,
        value_schema, release, activation, kill_activation, no_return_below)
      SELECT id, key, name, description, type, default_value, enabled, safety_level, environment, revision,
        signed_definition, created_by, created_at, updated_by, updated_at, archived_at, draft, scope, requires, excludes,
        value_schema, release, activation, kill_activation, no_return_below
      FROM jsonb_populate_recordset(NULL::flags, ${json}::jsonb)`,
  );
  await insertRules(
    tx,
    flags.flatMap(({ id, rules }) => rules.map((rule) => ruleRow(id, rule))),
  );
  // A draft has no revision yet.
  await keepVersions(
    tx,
    flags.filter(({ draft }) => !draft),
  );
}

/** Two states of one flag, the second of which is to be stored. */
export interface FlagToSave {
  readonly before: Flag;
  readonly after: Flag;
}

/**
 * Gives the rules whose priority changes free priorities until their own are written, because no two rules of a type
 * may ever share one.
 */
function interimPriorities({ before, after }: FlagToSave): JsonObject[] {
  const former = new Map(before.rules.map((rule) => [rule.id, rule.priority]));
  const moved = after.rules.filter(({ id, priority }) => former.has(id) && former.get(id) !== priority);
  const taken = new Set([...before.rules, ...after.rules].map(({ priority }) => priority));
  let free = LOWEST_PRIORITY;
  return moved.map(({ id }) => {
    while (taken.has(free)) free += 1;
    taken.add(free);
    return { id, priority: free };
  });
}

/** Writes the rules that are not the same object in both states of their flags. */
async function saveRules(tx: Transaction, changes: readonly FlagToSave[]): Promise<void> {
  const removed: string[] = [];
  const added: JsonObject[] = [];
  const changed: JsonObject[] = [];
  for (const { before, after } of changes) {
    const former = new Map(before.rules.map((rule) => [rule.id, rule]));
    const kept = new Set(after.rules.map(({ id }) => id));
    removed.push(...[...former.keys()].filter((id) => !kept.has(id)));
    for (const rule of after.rules) {
      const was = former.get(rule.id);
      if (was === undefined) added.push(ruleRow(after.id, rule));
      else if (was !== rule) changed.push(ruleRow(after.id, rule));
    }
  }
  if (removed.length > 0) await tx.$executeRaw`DELETE FROM rules WHERE id = ANY(${removed}::uuid[])`;
  await writeRows(
    changes.flatMap(interimPriorities),
    (json) => tx.$executeRaw`
      UPDATE rules SET priority = given.priority
      FROM jsonb_populate_recordset(NULL::rules, ${json}::jsonb) AS given WHERE rules.id = given.id`,
  );
  await writeRows(
    changed,
    (json) => tx.$executeRaw`
      UPDATE rules SET type = given.type, priority = given.priority, enabled = given.enabled,
        conditions = COALESCE(given.conditions, 'null'), value = given.value, variant = given.variant, updated_at = given.updated_at
      FROM jsonb_populate_recordset(NULL::rules, ${json}::jsonb) AS given WHERE rules.id = given.id`,
  );
  await insertRules(tx, added);
}

/**
 * Writes the differences between two states of flags: their rows, and the rules that are not the same object in both;
 * by a number of statements that does not grow with each flag.
 */
export async function saveFlags(tx: Transaction, changes: readonly FlagToSave[]): Promise<void> {
  await saveRules(tx, changes);
  const flags = changes.map(({ after }) => after);
  await writeRows(
    flags.map(flagRow),
    (json) => tx.$executeRaw`
      UPDATE flags SET name = given.name, description = given.description, default_value = given.default_value,
        enabled = given.enabled, safety_level = given.safety_level, environment = given.environment, revision = given.revision,
        signed_definition = given.signed_definition, updated_by = given.updated_by, updated_at = given.updated_at,
        archived_at = given.archived_at, draft = given.draft, scope = given.scope, requires = given.requires, excludes = given.excludes,
        value_schema = given.value_schema, release = given.release, activation = given.activation,
        kill_activation = given.kill_activation, no_return_below = given.no_return_below
      FROM jsonb_populate_recordset(NULL::flags, ${json}::jsonb) AS given WHERE flags.id = given.id`,
  );
  await keepVersions(tx, flags);
}

/**
 * Writes the revisions and signatures of flags, with the `noReturnBelow` that is signed in them. They stay as they are
 * otherwise, their time of change too.
 */
export async function saveSignatures(
  tx: Transaction,
  flags: readonly Pick<Flag, 'id' | 'revision' | 'signedDefinition' | 'noReturnBelow'>[],
): Promise<void> {
  await writeRows(
    flags.map(({ id, revision, signedDefinition, noReturnBelow }) => ({
      ...{ id, revision, signed_definition: signedDefinition, no_return_below: noReturnBelow },
    })),
    (json) => tx.$executeRaw`
      UPDATE flags SET revision = given.revision, signed_definition = given.signed_definition,
        no_return_below = given.no_return_below
      FROM jsonb_populate_recordset(NULL::flags, ${json}::jsonb) AS given WHERE flags.id = given.id`,
  );
}

/** Writes the releases of flags with their revisions and signatures. What people decide on stays as it is. */
export async function saveReleases(
  tx: Transaction,
  flags: readonly Pick<Flag, 'id' | 'revision' | 'signedDefinition' | 'release'>[],
): Promise<void> {
  await writeRows(
    flags.map(({ id, revision, signedDefinition, release }) => ({
      ...{ id, revision, signed_definition: signedDefinition, release: release && stagedContent(release) },
    })),
    (json) => tx.$executeRaw`
      UPDATE flags SET revision = given.revision, signed_definition = given.signed_definition, release = given.release
      FROM jsonb_populate_recordset(NULL::flags, ${json}::jsonb) AS given WHERE flags.id = given.id`,
  );
}

/**
 * Drops a draft, which frees its key. The row stays because the audit log refers to it; it is archived under a key that
 * no flag can have.
 */
export async function dropDraft(tx: Transaction, flag: Flag): Promise<void> {
  const key = `${flag.key.slice(0, MAX_KEPT_KEY_LENGTH)}~${flag.id}`;
  await tx.flag.update({ where: { id: flag.id }, data: { key, draft: false, enabled: false, archivedAt: new Date() } });
}
