/**
 * Facts about flags and environments that this subgraph needs: a read-only view of the flags subgraph's tables.
 * docs/decisions/data/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import { ENVIRONMENTS, FLAG_TYPES, type Environment, type FlagType } from '../../../core/model.ts';
import type { Scope } from '../../../core/partitions/partition.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';

const readType = oneOf('flags.type', FLAG_TYPES);
const readEnvironment = oneOf('flags.environment', ENVIRONMENTS);

/** The facts that decide how a rule of the flag is read and which vehicles it can reach. */
export interface FlagFacts {
  readonly key: string;
  readonly type: FlagType;
  readonly environment: Environment;
  /** The models that have the flag; null or absent for all of them. */
  readonly scope?: Scope;
}

/** Finds the living flag with `key`, or null. */
export async function findFlagFacts(prisma: PrismaClient, key: string): Promise<FlagFacts | null> {
  const flag = await prisma.flag.findUnique({
    where: { key },
    select: { key: true, type: true, environment: true, archivedAt: true, scope: true },
  });
  if (flag === null || flag.archivedAt !== null) return null;
  const { type, environment, scope } = flag;
  // The client gives no models for a flag without a scope, and a scope has at least one.
  return {
    key,
    type: readType(type),
    environment: readEnvironment(environment),
    scope: scope.length === 0 ? null : scope,
  };
}
