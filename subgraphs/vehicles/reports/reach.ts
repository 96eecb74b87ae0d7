/**
 * The reach of a revision: which vehicles it concerns, and which of them have stored it. It reads tables of the flags
 * subgraph (docs/decisions/data/reading-another-subgraphs-table.md).
 */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { FLAG_KEY_PATTERN, type Environment } from '../../../core/model.ts';
import { OTHER_MODELS } from '../../../core/partitions/partition.ts';
import { is } from '../../../core/json/shape.ts';
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import type { VehicleStatus } from '../registry/vehicle.ts';

/** A revision, and the vehicles that it concerns. */
export interface Reach {
  readonly environment: Environment;
  readonly revision: number;
  /** The models of the vehicles that are counted; null for all. */
  readonly scope: readonly string[] | null;
  /**
   * The last revisions that concerned the partitions: `revisions[i]` for `models[i]`, `others` for all other models.
   * Null where all vehicles share one partition. A vehicle that has stored that of its partition needs nothing later.
   */
  readonly last: {
    readonly models: readonly string[];
    readonly revisions: readonly number[];
    readonly others: number;
  } | null;
}

/**
 * Finds the reach of a revision.
 *
 * @param given the revision; null for the environment's present one, or with `flag` for that of its last change
 * @param flag the key of a flag whose vehicles are counted; null for all
 * @throws BAD_USER_INPUT for a negative revision; NOT_FOUND for a flag that the environment does not have
 */
export async function revisionReach(
  prisma: PrismaClient,
  environment: Environment,
  given: number | null,
  flag: string | null,
): Promise<Reach> {
  // PostgreSQL refuses a string with U+0000, and no flag has a key outside the pattern.
  if (flag !== null && !FLAG_KEY_PATTERN.test(flag)) throw noSuchFlag(flag);
  if (given !== null && given < 0) throw badInput('revision', `revision is ${given}; it must be 0 or more.`);
  const [row] = await rowsOf(prisma, {
    present: is.bigint,
    changed: is.nullable(is.bigint),
    scope: is.nullable(is.listOf(is.string)),
    named: is.listOf(is.string),
  })`
    SELECT e.revision AS present, f.revision AS changed, f.scope,
      ARRAY(SELECT model FROM scoped_models WHERE environment = ${environment}) AS named
    FROM environments e
    LEFT JOIN flags f ON f.key = ${flag ?? ''} AND f.environment = e.name AND f.archived_at IS NULL
    WHERE e.name = ${environment}`;
  if (row === undefined) throw new Error(`There is no environment ${environment}`);
  const { present, changed, scope, named } = row;
  if (flag !== null && changed === null) throw noSuchFlag(flag);
  const revision = given ?? Number(flag === null ? present : (changed ?? present));
  return { environment, revision, scope, last: named.length === 0 ? null : await lastOf(prisma, environment, named) };
}

const noSuchFlag = (flag: string) =>
  new FleetFlagError('NOT_FOUND', `This environment has no flag ${JSON.stringify(flag)}.`, { field: 'flag' });

async function lastOf(
  prisma: PrismaClient,
  environment: Environment,
  named: readonly string[],
): Promise<Reach['last']> {
  const rows = await rowsOf(prisma, { partition: is.string, last: is.bigint })`
    SELECT partition, max(revision) AS last FROM (
      SELECT unnest(COALESCE(scope, ARRAY[''])) AS partition, revision FROM flags
      WHERE environment = ${environment} AND archived_at IS NULL
      UNION ALL SELECT partition, revision FROM flag_tombstones WHERE environment = ${environment}
    ) AS entries GROUP BY partition`;
  const found = new Map(rows.map(({ partition, last }) => [partition, Number(last)]));
  const lastFor = (partition: string) => Math.max(found.get('') ?? 0, found.get(partition) ?? 0);
  return { models: named, revisions: named.map(lastFor), others: lastFor(OTHER_MODELS) };
}

/** Selects the vehicles that a revision concerns. */
export const concerned = ({ environment, scope }: Reach) =>
  Prisma.sql`environment = ${environment}
    AND ${scope === null ? Prisma.sql`true` : Prisma.sql`model = ANY(${[...scope]}::text[])`}`;

/**
 * Selects the concerned vehicles that have stored the revision, a later one, or every change that concerns them. A
 * revision above the environment's own is from before the database was restored, and does not count.
 */
export function applied(reach: Reach): Prisma.Sql {
  const { environment, revision, last } = reach;
  const present = Prisma.sql`(SELECT revision FROM environments WHERE name = ${environment})`;
  if (last === null) return Prisma.sql`${concerned(reach)} AND applied_revision BETWEEN ${revision} AND ${present}`;
  const { models, revisions, others } = last;
  // The given revision is compared as well: a vehicle that has all of its partition has no revision that does not
  // exist.
  return Prisma.sql`${concerned(reach)} AND applied_revision <= ${present} AND ${revision} <= ${present}
    AND (applied_revision >= ${revision} OR applied_revision >= COALESCE(
      (SELECT p.last FROM unnest(${[...models]}::text[], ${[...revisions]}::bigint[]) AS p (name, last)
        WHERE p.name = model), ${others}))`;
}

/**
 * Selects the concerned vehicles that `applied` does not select.
 *
 * @param status the status; null for any
 */
export const missing = (reach: Reach, status: VehicleStatus | null) =>
  Prisma.sql`${concerned(reach)} AND (${applied(reach)}) IS NOT TRUE
    AND ${status === null ? Prisma.sql`true` : Prisma.sql`status = ${status}`}`;
