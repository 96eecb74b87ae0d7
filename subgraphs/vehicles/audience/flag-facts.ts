/**
 * Facts about flags and environments that this subgraph needs: a read-only view of the flags subgraph's tables.
 * docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import { ENVIRONMENTS, FLAG_TYPES, type Environment, type FlagType } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';

const readType = oneOf('flags.type', FLAG_TYPES);
const readEnvironment = oneOf('flags.environment', ENVIRONMENTS);

/** The facts that decide how a rule of the flag is read and which vehicles it can reach. */
export interface FlagFacts {
  readonly key: string;
  readonly type: FlagType;
  readonly environment: Environment;
}

/** Finds the living flag with `key`, or null. */
export async function findFlagFacts(prisma: PrismaClient, key: string): Promise<FlagFacts | null> {
  const flag = await prisma.flag.findUnique({
    where: { key },
    select: { key: true, type: true, environment: true, archivedAt: true },
  });
  if (flag === null || flag.archivedAt !== null) return null;
  return { key: flag.key, type: readType(flag.type), environment: readEnvironment(flag.environment) };
}

/** Gives the environment's current revision. */
export async function currentRevision(prisma: PrismaClient, environment: Environment): Promise<number> {
  const { revision } = await prisma.environment.findUniqueOrThrow({
    where: { name: environment },
    select: { revision: true },
  });
  return Number(revision);
}
