/** What time it is for rollouts: the database's, so that instances whose clocks differ agree on when a step is due. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

export type Clock = (db: PrismaClient | Transaction) => Promise<Date>;

/** The time on the database server, at the moment of asking (and not of the transaction's start). */
export const databaseClock: Clock = async (db) => {
  const [row] = await db.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
  if (row === undefined) throw new Error('The database gave no time');
  return row.now;
};
