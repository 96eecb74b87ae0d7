/** The audit subgraph's table of persisted operations. Rows are added, never changed. */
import type { Prisma, PrismaClient } from '../../prisma/generated/client.ts';
import type { Transaction } from '../shared/database/transaction.ts';
import type { ManifestOperation, OperationKind, PersistedOperation } from './persisted-operation.ts';

type Reader = PrismaClient | Transaction;

function toOperation({ id, sha256, name, type, body, createdAt }: Prisma.PersistedOperationGetPayload<object>): PersistedOperation {
  return { id, sha256, name, type: type as OperationKind, body, createdAt };
}

/** Adds those whose ids are new, and gives their ids. Of transactions that add the same id, one does and the others wait for it. */
export async function insertOperations(tx: Transaction, operations: readonly ManifestOperation[], createdById: string | null): Promise<Set<string>> {
  // In one order for all, or two manifests that overlap could block each other.
  const sorted = [...operations].sort((a, b) => (a.id < b.id ? -1 : 1));
  const rows = await tx.persistedOperation.createManyAndReturn({
    data: sorted.map((operation) => ({ ...operation, createdById })),
    skipDuplicates: true,
    select: { id: true },
  });
  return new Set(rows.map(({ id }) => id));
}

export async function findOperations(db: Reader, ids: readonly string[]): Promise<Map<string, PersistedOperation>> {
  const rows = await db.persistedOperation.findMany({ where: { id: { in: [...ids] } } });
  return new Map(rows.map((row) => [row.id, toOperation(row)]));
}

/** Newest first. */
export async function listOperations(db: Reader): Promise<PersistedOperation[]> {
  return (await db.persistedOperation.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }] })).map(toOperation);
}

/** One that has this id or this SHA-256; those that share a SHA-256 share their text. */
export async function findOperation(db: Reader, by: { readonly id: string } | { readonly sha256: string }): Promise<PersistedOperation | null> {
  const row = await db.persistedOperation.findFirst({ where: by });
  return row === null ? null : toOperation(row);
}
