/**
 * The clock of rollouts. It is the database's, so that instances whose own clocks differ agree on when a step is due.
 */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** Gives the current time. */
export type Clock = (db: PrismaClient | Transaction) => Promise<Date>;

/** Gives the database server's time at the moment of the call (not of the transaction's start). */
export const databaseClock: Clock = async (db) => {
  const [row] = await rowsOf(db, { now: is.date })`SELECT clock_timestamp() AS now`;
  if (row === undefined) throw new Error('The database returned no time');
  return row.now;
};
