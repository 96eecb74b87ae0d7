/** The use cases of measurements: vehicles report them, and people read them as time series. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { EVALUATIONS_METRIC, validateMetricName } from '../../../core/wire/metric.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { MetricBatchInput } from '../generated/resolvers.ts';
import { readMetricBatch } from './metric-batch.ts';
import type { MetricCollector } from './metric-collector.ts';
import type { MetricInterval, MetricPoint, MetricTables, PointsQuery } from './metric-store.ts';

/** The answer to a reported batch. */
export interface MetricReceipt {
  /** The number of items that are stored now. */
  readonly accepted: number;
  /** The number of items of a batch that this instance had stored before. */
  readonly duplicates: number;
  /** The number of items that are too old or in the future, and will never be stored. */
  readonly dropped: number;
}

/** The arguments of a time series, as clients give them. */
export interface MetricsArguments {
  readonly metric: string;
  readonly from: Date;
  readonly to: Date;
  readonly interval: MetricInterval;
}

/** The most intervals of one answer. */
export const MAX_INTERVALS = 1_000;
/** The most points of one answer: an interval has one for each variant. */
export const MAX_POINTS = 10_000;
const SECONDS: Readonly<Record<MetricInterval, number>> = { minute: 60, hour: 3_600, day: 86_400 };
/** Unix seconds of the year 2100, which the store can represent with room to spare. */
const LAST_SECOND = 4_102_444_800;

/**
 * Gives the query for the store: `from` and `to` are widened to whole intervals, in UTC.
 *
 * @throws BAD_USER_INPUT or LIMIT_EXCEEDED (more than 1,000 intervals) at the argument
 */
export function readPointsQuery({ metric: asked, from, to, interval }: MetricsArguments): PointsQuery {
  const metric = asked === EVALUATIONS_METRIC ? asked : validateMetricName(asked, 'metric');
  const seconds = SECONDS[interval];
  const first = Math.floor(from.getTime() / 1_000 / seconds) * seconds;
  const last = Math.ceil(to.getTime() / 1_000 / seconds) * seconds;
  if (first < 0) throw badInput('from', 'from must not be before 1970.');
  if (last > LAST_SECOND) throw badInput('to', 'to must not be after 2099.');
  if (to <= from) throw badInput('to', 'to must be after from.');
  if ((last - first) / seconds > MAX_INTERVALS) {
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `An answer may have at most ${MAX_INTERVALS} intervals: request a shorter period or a longer interval.`,
      { field: 'interval', limit: MAX_INTERVALS },
    );
  }
  return { metric, from: first, to: last, interval };
}

/** Accepts vehicles' batches and reads time series. */
export class MetricService {
  constructor(
    private readonly tables: MetricTables,
    private readonly collector: MetricCollector,
    /** Gives milliseconds since 1970. */
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * Stores a batch of the calling vehicle; resolves when it is stored.
   *
   * @throws FORBIDDEN when the caller is not a vehicle, BAD_USER_INPUT at the first fault, LIMIT_EXCEEDED,
   * RATE_LIMITED, or SERVICE_UNAVAILABLE with `retryAfter`: then the same batch may be sent again, and counts once
   */
  async report({ caller }: CallerIdentity, input: MetricBatchInput): Promise<MetricReceipt> {
    if (caller.kind !== 'vehicle' || caller.vin === null)
      throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may report measurements, and only its own.');
    const batch = readMetricBatch(caller.vin, input, this.now());
    const { length } = batch.rows;
    const stored = length === 0 || (await this.collector.add(batch)) === 'stored';
    return { accepted: stored ? length : 0, duplicates: stored ? 0 : length, dropped: batch.dropped };
  }

  /**
   * Gives the points of several flags for the same arguments, each flag's ordered by time and variant. Intervals
   * without measurements have no point.
   *
   * @throws BAD_USER_INPUT or LIMIT_EXCEEDED at the argument; SERVICE_UNAVAILABLE
   */
  async points(keys: readonly string[], given: MetricsArguments): Promise<ReadonlyMap<string, readonly MetricPoint[]>> {
    const points = new Map<string, MetricPoint[]>(keys.map((key) => [key, []]));
    for (const point of await this.tables.points(keys, readPointsQuery(given), MAX_POINTS + 1))
      points.get(point.flagKey)?.push(point);
    for (const found of points.values()) {
      if (found.length > MAX_POINTS)
        throw new FleetFlagError(
          'LIMIT_EXCEEDED',
          `An answer may have at most ${MAX_POINTS} points: request a shorter period or a longer interval.`,
          { field: 'interval', limit: MAX_POINTS },
        );
    }
    return points;
  }
}
