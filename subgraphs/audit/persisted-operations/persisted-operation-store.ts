/** The audit subgraph's table of persisted operations. Their texts never change; a removed one keeps its row. */
import type { Prisma } from '../../../prisma/generated/client.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import {
  OPERATION_KINDS,
  isOperationId,
  type ManifestOperation,
  type PersistedOperation,
} from './persisted-operation.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';

const readKind = oneOf('persisted_operations.type', OPERATION_KINDS);

function toOperation({
  id,
  sha256,
  name,
  type,
  body,
  createdAt,
}: Prisma.PersistedOperationGetPayload<object>): PersistedOperation {
  return { id, sha256, name, type: readKind(type), body, createdAt };
}

/**
 * Inserts the operations whose ids are new, and gives those ids. Of transactions that insert the same id, one does so
 * and the others wait for it.
 */
export async function insertOperations(
  tx: Transaction,
  operations: readonly ManifestOperation[],
  createdById: string | null,
): Promise<Set<string>> {
  // In one order for all, because two overlapping manifests could deadlock otherwise.
  const sorted = [...operations].sort((a, b) => (a.id < b.id ? -1 : 1));
  const rows = await tx.persistedOperation.createManyAndReturn({
    data: sorted.map((operation) => ({ ...operation, createdById })),
    skipDuplicates: true,
    select: { id: true },
  });
  return new Set(rows.map(({ id }) => id));
}

/** Brings back those of the operations that were removed, and gives their ids. */
export async function reviveOperations(
  tx: Transaction,
  ids: readonly string[],
  createdById: string | null,
): Promise<Set<string>> {
  const removed = await lockOperations(tx, ids, true);
  const data = { removedAt: null, createdAt: new Date(), createdById };
  await tx.persistedOperation.updateMany({ where: { id: { in: removed } }, data });
  return new Set(removed);
}

/** Removes operations, with their bindings to keys, and gives the ids of those that were there. */
export async function removeOperations(tx: Transaction, ids: readonly string[]): Promise<Set<string>> {
  const present = await lockOperations(tx, ids, false);
  await tx.persistedOperation.updateMany({ where: { id: { in: present } }, data: { removedAt: new Date() } });
  await tx.persistedOperationKey.deleteMany({ where: { operationId: { in: present } } });
  return new Set(present);
}

/** Locks those of the operations that are removed, or those that are not, in one order for all, and gives their ids. */
async function lockOperations(tx: Transaction, ids: readonly string[], areRemoved: boolean): Promise<string[]> {
  const rows = await rowsOf(tx, { id: is.string })`
    SELECT id FROM persisted_operations WHERE id = ANY (${ids.filter(isOperationId)}) AND (removed_at IS NOT NULL) = ${areRemoved}
    ORDER BY id FOR UPDATE`;
  return rows.map(({ id }) => id);
}

/** Finds operations by id; unknown and removed ones are left out. */
export async function findOperations(db: Reader, ids: readonly string[]): Promise<Map<string, PersistedOperation>> {
  const rows = await db.persistedOperation.findMany({
    where: { id: { in: ids.filter(isOperationId) }, removedAt: null },
  });
  return new Map(rows.map((row) => [row.id, toOperation(row)]));
}

/** Lists all operations, newest first. */
export async function listOperations(db: Reader): Promise<PersistedOperation[]> {
  const rows = await db.persistedOperation.findMany({
    where: { removedAt: null },
    orderBy: [{ createdAt: 'desc' }, { id: 'asc' }],
  });
  return rows.map(toOperation);
}

/** An operation, and the keys that may run it; null where every key may. */
export type BoundOperation = PersistedOperation & { readonly apiKeys: readonly string[] | null };

/**
 * Finds the operation with this id or this SHA-256. Operations with one SHA-256 have the same text, so the keys of each
 * may run it.
 */
export async function findOperation(
  db: Reader,
  by: { readonly id: string } | { readonly sha256: string },
): Promise<BoundOperation | null> {
  const rows = await db.persistedOperation.findMany({
    where: { ...by, removedAt: null },
    include: { keys: { select: { apiKeyId: true } } },
    orderBy: { id: 'asc' },
  });
  const [first] = rows;
  if (first === undefined) return null;
  const isUnbound = rows.some(({ keys }) => keys.length === 0);
  return {
    ...toOperation(first),
    apiKeys: isUnbound ? null : [...new Set(rows.flatMap(({ keys }) => keys.map(({ apiKeyId }) => apiKeyId)))],
  };
}

/** Binds each operation to each key, and gives the number of new pairs. Existing bindings stay. */
export async function bindOperations(
  tx: Transaction,
  operationIds: readonly string[],
  apiKeyIds: readonly string[],
): Promise<number> {
  const data = operationIds.flatMap((operationId) => apiKeyIds.map((apiKeyId) => ({ operationId, apiKeyId })));
  return (await tx.persistedOperationKey.createMany({ data, skipDuplicates: true })).count;
}

/** Gives the keys to which operations are bound, by the operation's id; unbound operations are left out. */
export async function keysOfOperations(db: Reader, ids: readonly string[]): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const { operationId, apiKeyId } of await db.persistedOperationKey.findMany({
    where: { operationId: { in: [...ids] } },
    orderBy: { createdAt: 'asc' },
  })) {
    found.set(operationId, [...(found.get(operationId) ?? []), apiKeyId]);
  }
  return found;
}
