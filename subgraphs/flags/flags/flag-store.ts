/** Writes of the flags subgraph's tables environments, flags, rules and flag_tombstones, and their locks. */
import type { Environment, JsonValue } from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { jsonColumn } from '../../shared/postgres/column-values.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { claimKey } from './flag-keys.ts';
import { findFlagsById } from './flag-reads.ts';
import type { Flag, Rule } from './flag.ts';

/** The lowest value of the column, a 32-bit integer. */
const LOWEST_PRIORITY = -(2 ** 31);

/** The characters that are kept of a dropped draft's key; with `~` and its id they fit the column. */
const MAX_KEPT_KEY = 63;

/** Values are stored as `{"value": …}` (database.md, flags). */
const wrap = (value: JsonValue): Prisma.InputJsonObject => ({ value: value });

/** A reference to the flag to change. */
export type FlagReference = { readonly id: string } | { readonly key: string } | { readonly ruleId: string };

function lockRow(tx: Transaction, by: FlagReference): Promise<{ id: string }[]> {
  if ('id' in by) return tx.$queryRaw`SELECT id FROM flags WHERE id = ${by.id}::uuid FOR UPDATE`;
  if ('key' in by) return tx.$queryRaw`SELECT id FROM flags WHERE key = ${by.key} FOR UPDATE`;
  return tx.$queryRaw`SELECT f.id FROM flags f JOIN rules r ON r.flag_id = f.id WHERE r.id = ${by.ruleId}::uuid FOR UPDATE OF f`;
}

/** Locks flags' rows until the transaction ends, always in the same order. */
export async function lockFlags(tx: Transaction, ids: readonly string[]): Promise<void> {
  await tx.$queryRaw`SELECT id FROM flags WHERE id = ANY(${[...ids]}::uuid[]) ORDER BY id FOR UPDATE`;
}

/** Locks the flag's row until the transaction ends, so that edits of one flag run one after another. */
export async function lockFlag(tx: Transaction, by: FlagReference): Promise<Flag | null> {
  const [row] = await lockRow(tx, by);
  if (row === undefined) return null;
  // Read again under the lock: the row may have changed while this transaction waited for it.
  return (await findFlagsById(tx, [row.id]))[0] ?? null;
}

/**
 * Advances an environment's revision and gives the new one. The row stays locked until the transaction ends, which
 * makes revisions gapless and gives them commit order.
 */
export async function nextRevision(tx: Transaction, environment: Environment): Promise<number> {
  const { revision } = await tx.environment.update({
    where: { name: environment },
    data: { revision: { increment: 1 } },
  });
  return Number(revision);
}

/** Locks the environment's row until the transaction ends, and gives its revision. */
export async function lockRevision(tx: Transaction, environment: Environment): Promise<number> {
  const [row] = await tx.$queryRaw<
    { revision: bigint }[]
  >`SELECT revision FROM environments WHERE name = ${environment} FOR UPDATE`;
  return Number(row?.revision ?? 0);
}

/** Sets an environment's revision; the caller holds its lock. */
export async function setRevision(tx: Transaction, environment: Environment, revision: number): Promise<void> {
  await tx.environment.update({ where: { name: environment }, data: { revision } });
}

/** Gives the number of living flags in an environment, enabled or not, and the bytes of their signed definitions. */
export async function environmentLoad(
  tx: Transaction,
  environment: Environment,
): Promise<{ flags: number; bytes: number }> {
  const [load] = await tx.$queryRaw<{ flags: bigint; bytes: bigint }[]>`
    SELECT count(*) AS flags, COALESCE(sum(octet_length(signed_definition)), 0)::bigint AS bytes
    FROM flags WHERE environment = ${environment} AND archived_at IS NULL`;
  return { flags: Number(load?.flags ?? 0), bytes: Number(load?.bytes ?? 0) };
}

const flagColumns = (flag: Flag) => ({
  name: flag.name,
  description: flag.description,
  defaultValue: wrap(flag.defaultValue),
  enabled: flag.enabled,
  safetyLevel: flag.safetyLevel,
  environment: flag.environment,
  revision: flag.revision,
  signedDefinition: flag.signedDefinition,
  updatedById: flag.updatedById,
  updatedAt: flag.updatedAt,
  archivedAt: flag.draft ? flag.createdAt : flag.archivedAt,
  draft: flag.draft,
});

const ruleColumns = (rule: Rule) => ({
  type: rule.type,
  priority: rule.priority,
  enabled: rule.enabled,
  conditions: jsonColumn(rule.conditions),
  value: rule.value === null || rule.value === undefined ? Prisma.DbNull : wrap(rule.value),
  variant: rule.variant,
  updatedAt: rule.updatedAt,
});

/**
 * Inserts a flag with its rules. @throws CONFLICT at `input.key` for a key that is taken, or that differs only by case
 * from a taken one
 */
export async function insertFlag(tx: Transaction, flag: Flag): Promise<void> {
  await claimKey(tx, flag.key);
  await tx.flag.create({
    data: {
      ...flagColumns(flag),
      id: flag.id,
      key: flag.key,
      type: flag.type,
      createdById: flag.createdById,
      createdAt: flag.createdAt,
    },
  });
  await tx.rule.createMany({
    data: flag.rules.map((rule) => ({ ...ruleColumns(rule), id: rule.id, flagId: flag.id, createdAt: rule.createdAt })),
  });
}

/** Moves rules whose priority changes to free priorities first, because no two rules of a type may ever share one. */
async function makeRoom(tx: Transaction, before: Flag, after: Flag): Promise<void> {
  const places = new Map(before.rules.map((rule) => [rule.id, rule.priority]));
  const moved = after.rules.filter(({ id, priority }) => places.has(id) && places.get(id) !== priority);
  if (moved.length === 0) return;
  const taken = new Set([...before.rules, ...after.rules].map(({ priority }) => priority));
  let free = LOWEST_PRIORITY;
  for (const { id } of moved) {
    while (taken.has(free)) free += 1;
    await tx.rule.update({ where: { id }, data: { priority: free } });
    taken.add(free);
  }
}

/**
 * Writes the difference between two states of one flag: its row, and the rules that are not the same object in both.
 */
export async function saveFlag(tx: Transaction, before: Flag, after: Flag): Promise<void> {
  const former = new Map(before.rules.map((rule) => [rule.id, rule]));
  const kept = new Set(after.rules.map((rule) => rule.id));
  const removed = [...former.keys()].filter((id) => !kept.has(id));
  if (removed.length > 0) await tx.rule.deleteMany({ where: { id: { in: removed } } });
  await makeRoom(tx, before, after);
  for (const rule of after.rules) {
    const was = former.get(rule.id);
    if (was === undefined)
      await tx.rule.create({
        data: { ...ruleColumns(rule), id: rule.id, flagId: after.id, createdAt: rule.createdAt },
      });
    else if (was !== rule) await tx.rule.update({ where: { id: rule.id }, data: ruleColumns(rule) });
  }
  await tx.flag.update({ where: { id: after.id }, data: flagColumns(after) });
}

/**
 * Drops a draft, which frees its key. The row stays because the audit log refers to it; it is archived under a key that
 * no flag can have.
 */
export async function dropDraft(tx: Transaction, flag: Flag): Promise<void> {
  const key = `${flag.key.slice(0, MAX_KEPT_KEY)}~${flag.id}`;
  await tx.flag.update({ where: { id: flag.id }, data: { key, draft: false, enabled: false, archivedAt: new Date() } });
}

/** Stores the signed tombstone of a flag that has left an environment. */
export async function putTombstone(
  tx: Transaction,
  environment: Environment,
  key: string,
  revision: number,
  signedDefinition: string,
): Promise<void> {
  const content = { revision, signedDefinition, createdAt: new Date() };
  await tx.flagTombstone.upsert({
    where: { environment_key: { environment, key } },
    create: { environment, key, ...content },
    update: content,
  });
}

/** Removes the tombstone of a flag that returns to an environment. */
export async function removeTombstone(tx: Transaction, environment: Environment, key: string): Promise<void> {
  await tx.flagTombstone.deleteMany({ where: { environment, key } });
}
