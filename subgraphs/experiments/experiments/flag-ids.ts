/**
 * Which flag a key names, and which key a flag has: a read-only view of the flags subgraph's table. Why a view and not
 * a call: docs/decisions/reading-another-subgraphs-table.md.
 */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

/** The id of the flag with `key`, and whether it has been archived; null when there is none. */
export async function findFlagId(
  db: PrismaClient | Transaction,
  key: string,
): Promise<{ id: string; archived: boolean } | null> {
  const flag = await db.flag.findUnique({ where: { key }, select: { id: true, archivedAt: true } });
  return flag === null ? null : { id: flag.id, archived: flag.archivedAt !== null };
}

/** The key of a flag that an experiment refers to. */
export async function findFlagKey(db: PrismaClient, id: string): Promise<string> {
  return (await db.flag.findUniqueOrThrow({ where: { id }, select: { key: true } })).key;
}
