/**
 * Keys and ids of flags, read from the flags subgraph's table. docs/decisions/data/reading-another-subgraphs-table.md
 * says why this is a statement and not a call.
 */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

/** Finds the id of the flag with `key`, and whether it is archived; null when there is none. */
export async function findFlagId(
  db: PrismaClient | Transaction,
  key: string,
): Promise<{ id: string; archived: boolean } | null> {
  const flag = await db.flag.findUnique({ where: { key }, select: { id: true, archivedAt: true } });
  return flag === null ? null : { id: flag.id, archived: flag.archivedAt !== null };
}

/** Gives the key of a flag to which an experiment refers. */
export async function findFlagKey(db: PrismaClient, id: string): Promise<string> {
  return (await db.flag.findUniqueOrThrow({ where: { id }, select: { key: true } })).key;
}
