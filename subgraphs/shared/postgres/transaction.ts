import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';

/** An open transaction, as stores receive it. */
export type Transaction = Prisma.TransactionClient;

/** The database, or an open transaction, as the reading functions of stores receive it. */
export type Reader = PrismaClient | Transaction;

/** Starts transactions: a database client, or a lane that queues them. */
export interface Transactor {
  /**
   * Runs `work` in a transaction.
   *
   * @param options milliseconds until it must have begun (`maxWait`) and until it is rolled back (`timeout`)
   */
  $transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    options: { readonly maxWait: number; readonly timeout: number },
  ): Promise<T>;
}
