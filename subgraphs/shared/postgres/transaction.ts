import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';

/** An open transaction, as stores receive it. */
export type Transaction = Prisma.TransactionClient;

/** What a store's functions that only read are given: the database, or a transaction that is under way. */
export type Reader = PrismaClient | Transaction;

/** Starts transactions: a database client, or a lane that queues them. */
export interface Transactor {
  /** @param options milliseconds until it must have begun (`maxWait`) and until it is rolled back (`timeout`) */
  $transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    options: { readonly maxWait: number; readonly timeout: number },
  ): Promise<T>;
}
