import { Prisma } from '../../../prisma/generated/client.ts';

/** Checks whether a write failed because its unique value is taken (PostgreSQL's unique_violation, Prisma's P2002). */
export function violatesUnique(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
}
