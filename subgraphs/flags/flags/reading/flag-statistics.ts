/**
 * The statistics of flags. The experiments subgraph writes them, and they change without a revision, so they are read
 * when a client selects them.
 */
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { prepared } from '../../../shared/postgres/prepared-statements.ts';
import { sharedLoader, type SharedLoader } from '../../../shared/postgres/shared-loader.ts';
import type { Flag } from '../flag.ts';
import { orRemembered } from '../remembered/remembered-flags.ts';
import { is } from '../../../../core/json/shape.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';

/** The statistics of a flag's evaluations. */
export type FlagStatistics = Pick<Flag, 'totalEvaluations' | 'activeVehicles' | 'lastEvaluationAt'>;

async function readStatistics(prisma: PrismaClient, ids: readonly string[]): Promise<Map<string, FlagStatistics>> {
  const rows = await rowsOf(prisma, {
    id: is.string,
    totalEvaluations: is.bigint,
    activeVehicles: is.number,
    lastEvaluationAt: is.nullable(is.date),
  })`${prepared('flag_statistics')}
    SELECT id, total_evaluations AS "totalEvaluations", active_vehicles AS "activeVehicles", last_evaluation_at AS "lastEvaluationAt"
    FROM flags WHERE id = ANY(${[...ids]}::uuid[])`;
  return new Map(rows.map(({ id, ...row }) => [id, { ...row, totalEvaluations: Number(row.totalEvaluations) }]));
}

/** Creates the loader of statistics. While the database is down it gives those with which a flag was last read. */
export function flagStatistics(prisma: PrismaClient): SharedLoader<Flag, FlagStatistics | null> {
  return sharedLoader<Flag, FlagStatistics>(
    (flags) =>
      orRemembered<ReadonlyMap<string, FlagStatistics>>(
        () =>
          readStatistics(
            prisma,
            flags.map(({ id }) => id),
          ),
        () => new Map(flags.map((flag) => [flag.id, flag])),
      ),
    ({ id }) => id,
  );
}
