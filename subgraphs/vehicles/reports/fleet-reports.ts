/** Reports on the fleet in numbers. */
import { badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { sortedCounts, type Count } from '../audience/count.ts';
import { currentRevision } from '../audience/flag-facts.ts';
import type { VehicleStatus } from '../registry/vehicle.ts';

/** The fleet by status, version, region and model. */
export interface FleetSummary extends Readonly<Record<VehicleStatus, number>> {
  readonly total: number;
  readonly byModel: readonly Count[];
  readonly byRegion: readonly Count[];
  readonly bySwVersion: readonly Count[];
}

/** The number of vehicles that have reached a revision. */
export interface RolloutProgress {
  readonly environment: Environment;
  readonly revision: number;
  readonly applied: number;
  readonly total: number;
  /** 0 to 100. */
  readonly percent: number;
}

/** One count: the vehicles with one value in one of the columns; the other columns are null. */
interface GroupRow {
  readonly status: VehicleStatus | null;
  readonly model: string | null;
  readonly region: string | null;
  readonly sw_version: string | null;
  readonly count: bigint;
}

/** Computes reports from the vehicles table. */
export class FleetReports {
  constructor(private readonly prisma: PrismaClient) {}

  /** Counts all registered vehicles in one pass. */
  async fleet(): Promise<FleetSummary> {
    const rows = await this.prisma.$queryRaw<GroupRow[]>`
      SELECT status, model, region, sw_version, count(*) AS count FROM vehicles
      GROUP BY GROUPING SETS ((status), (model), (region), (sw_version))`;
    const countsOf = (column: Exclude<keyof GroupRow, 'count'>) =>
      new Map(rows.flatMap((row) => (row[column] === null ? [] : [[row[column], Number(row.count)] as const])));
    const statuses = countsOf('status');
    const having = (status: VehicleStatus) => statuses.get(status) ?? 0;
    const [online, offline, maintenance] = [having('online'), having('offline'), having('maintenance')];
    return {
      total: online + offline + maintenance,
      online,
      offline,
      maintenance,
      byModel: sortedCounts(countsOf('model')),
      byRegion: sortedCounts(countsOf('region')),
      bySwVersion: sortedCounts(countsOf('sw_version')),
    };
  }

  /**
   * Counts the vehicles of an environment that have stored `revision` or a later one. A vehicle that is ahead of the
   * environment has a revision of a lost history (before a restore), which says nothing about this one.
   *
   * @param revision null: the current one
   * @throws BAD_USER_INPUT for a negative revision
   */
  async progress(environment: Environment, revision: number | null): Promise<RolloutProgress> {
    if (revision !== null && revision < 0) throw badInput('revision', `revision is ${revision}; it must be 0 or more.`);
    const wanted = revision ?? (await currentRevision(this.prisma, environment));
    // Two index-only counts in one statement, so that the vehicles of one are among those of the other.
    const [row] = await this.prisma.$queryRaw<{ total: bigint; applied: bigint }[]>`
      SELECT (SELECT count(*) FROM vehicles WHERE environment = ${environment}) AS total,
             (SELECT count(*) FROM vehicles WHERE environment = ${environment} 
               AND applied_revision BETWEEN ${wanted} AND (SELECT revision FROM environments WHERE name = ${environment})) AS applied`;
    const [total, applied] = [Number(row?.total ?? 0), Number(row?.applied ?? 0)];
    return { environment, revision: wanted, applied, total, percent: total === 0 ? 0 : (applied / total) * 100 };
  }
}
