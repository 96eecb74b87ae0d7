/** The fleet in numbers. */
import { badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { sortedCounts, type Count } from '../audience/count.ts';
import { currentRevision } from '../audience/flag-facts.ts';
import type { VehicleStatus } from '../registry/vehicle.ts';

export interface FleetSummary extends Readonly<Record<VehicleStatus, number>> {
  readonly total: number;
  readonly byModel: readonly Count[];
  readonly byRegion: readonly Count[];
  readonly bySwVersion: readonly Count[];
}

export interface RolloutProgress {
  readonly environment: Environment;
  readonly revision: number;
  readonly applied: number;
  readonly total: number;
  /** 0 to 100. */
  readonly percent: number;
}

/** A row counts the vehicles of one value of one of the columns, whose others are null. */
interface GroupRow {
  readonly status: VehicleStatus | null;
  readonly model: string | null;
  readonly region: string | null;
  readonly sw_version: string | null;
  readonly count: bigint;
}

export class FleetReports {
  constructor(private readonly prisma: PrismaClient) {}

  /** All registered vehicles, counted in one pass. */
  async fleet(): Promise<FleetSummary> {
    const rows = await this.prisma.$queryRaw<GroupRow[]>`
      SELECT status, model, region, sw_version, count(*) AS count FROM vehicles
      GROUP BY GROUPING SETS ((status), (model), (region), (sw_version))`;
    const countsOf = (column: Exclude<keyof GroupRow, 'count'>) =>
      new Map(rows.flatMap((row) => (row[column] === null ? [] : [[row[column], Number(row.count)] as const])));
    const statuses = countsOf('status');
    const [online, offline, maintenance] = (['online', 'offline', 'maintenance'] as const).map(
      (status) => statuses.get(status) ?? 0,
    ) as [number, number, number];
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
   * How many vehicles of an environment have stored `revision` or a later one. One that is ahead of the environment has
   * a revision of a history that is no more (a restored database), and says nothing about this one.
   *
   * @param revision null: the present one
   * @throws BAD_USER_INPUT for a negative revision
   */
  async progress(environment: Environment, revision: number | null): Promise<RolloutProgress> {
    if (revision !== null && revision < 0) throw badInput('revision', `revision is ${revision}; it is 0 or more.`);
    const wanted = revision ?? (await currentRevision(this.prisma, environment));
    // Two counts by the index alone, in one statement: the vehicles counted in one are among those of the other.
    const [row] = await this.prisma.$queryRaw<{ total: bigint; applied: bigint }[]>`
      SELECT (SELECT count(*) FROM vehicles WHERE environment = ${environment}) AS total,
             (SELECT count(*) FROM vehicles WHERE environment = ${environment} 
               AND applied_revision BETWEEN ${wanted} AND (SELECT revision FROM environments WHERE name = ${environment})) AS applied`;
    const [total, applied] = [Number(row?.total ?? 0), Number(row?.applied ?? 0)];
    return { environment, revision: wanted, applied, total, percent: total === 0 ? 0 : (applied / total) * 100 };
  }
}
