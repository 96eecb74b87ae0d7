import type { Prisma } from '../../../prisma/generated/client.ts';

/** A transaction that is under way, as a store's functions are given it. */
export type Transaction = Prisma.TransactionClient;
