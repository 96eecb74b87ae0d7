/**
 * What of a flag and of an environment this subgraph needs to know: a read-only view of the flags subgraph's tables.
 * Why a view and not a call: docs/decisions/reading-another-subgraphs-table.md.
 */
import type { Environment, FlagType } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';

/** What decides how a rule of the flag is read and whom it can reach. */
export interface FlagFacts {
  readonly key: string;
  readonly type: FlagType;
  readonly environment: Environment;
}

/** The living flag with `key`; null when there is none. */
export async function findFlagFacts(prisma: PrismaClient, key: string): Promise<FlagFacts | null> {
  const flag = await prisma.flag.findUnique({
    where: { key },
    select: { key: true, type: true, environment: true, archivedAt: true },
  });
  if (flag === null || flag.archivedAt !== null) return null;
  return { key: flag.key, type: flag.type as FlagType, environment: flag.environment as Environment };
}

/** The environment's present revision. */
export async function currentRevision(prisma: PrismaClient, environment: Environment): Promise<number> {
  const { revision } = await prisma.environment.findUniqueOrThrow({
    where: { name: environment },
    select: { revision: true },
  });
  return Number(revision);
}
