/** Reports on the fleet in numbers. */
import type { Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { LaggingReads } from '../../shared/postgres/replica-reads.ts';
import { sortedCounts, type Count } from '../audience/count.ts';
import { VEHICLE_STATUSES, type VehicleStatus } from '../registry/vehicle.ts';
import { is } from '../../../core/json/shape.ts';
import { hasPendingChange } from '../../shared/between-subgraphs/pending-changes.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';
import { applied, concerned, revisionReach, type Reach } from './reach.ts';

/** The fleet by status, version, region and model. */
export interface FleetSummary extends Readonly<Record<VehicleStatus, number>> {
  readonly total: number;
  readonly byModel: readonly Count[];
  readonly byRegion: readonly Count[];
  readonly bySwVersion: readonly Count[];
}

/** The number of vehicles that have reached a revision. */
export interface RolloutProgress extends Reach {
  readonly applied: number;
  /** The ones of `applied` in which nothing of it waits for the end of a drive. */
  readonly active: number;
  readonly total: number;
  /** The share of `applied` in percent, 0 to 100. */
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
  /** @param lagging the reads that may lag behind the primary; by default they read at it */
  constructor(
    private readonly prisma: PrismaClient,
    private readonly lagging: LaggingReads = { read: (work) => work(prisma) },
  ) {}

  /** Counts all registered vehicles in one pass. */
  async fleet(): Promise<FleetSummary> {
    const rows = await this.lagging.read(
      (db) =>
        rowsOf(db, {
          status: is.nullable(is.oneOf(VEHICLE_STATUSES)),
          model: is.nullable(is.string),
          region: is.nullable(is.string),
          sw_version: is.nullable(is.string),
          count: is.bigint,
        })`
      SELECT status, model, region, sw_version, count(*) AS count FROM vehicles
      GROUP BY GROUPING SETS ((status), (model), (region), (sw_version))`,
    );
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
   * Counts the vehicles that a revision concerns and that have stored it or a later one, or all that concerns them.
   *
   * @param revision null: the current one, or that of the flag's last change
   * @param flag the key of a flag whose vehicles are counted; null for all of the environment
   * @throws BAD_USER_INPUT for a negative revision; NOT_FOUND for a flag that the environment does not have
   */
  async progress(environment: Environment, revision: number | null, flag: string | null): Promise<RolloutProgress> {
    const reach = await revisionReach(this.prisma, environment, revision, flag);
    // One statement counts both, so that the vehicles of one are among those of the other. It reads at the primary: a
    // replica that does not have the revision yet would say that no vehicle has reached it.
    const [row] = await rowsOf(this.prisma, { total: is.bigint, applied: is.bigint, active: is.bigint })`
      SELECT (SELECT count(*) FROM vehicles WHERE ${concerned(reach)}) AS total,
             (SELECT count(*) FROM vehicles WHERE ${applied(reach)}) AS applied,
             (SELECT count(*) FROM vehicles WHERE ${applied(reach)} AND NOT ${hasPendingChange({ flag, revision: reach.revision })}) AS active`;
    const [total, reached] = [Number(row?.total ?? 0), Number(row?.applied ?? 0)];
    const percent = total === 0 ? 0 : (reached / total) * 100;
    return { ...reach, applied: reached, active: Number(row?.active ?? 0), total, percent };
  }
}
