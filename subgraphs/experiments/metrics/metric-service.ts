/** The use cases of measurements: vehicles report them, and people read them as time series. */
import { FleetFlagError } from '../../../core/errors.ts';
import { readPointsQuery, type MetricsArguments } from '../../../core/wire/api/metric-points.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { writeQueueOf, type WriteQueue } from '../../shared/subgraph/write-queue.ts';
import type { MetricBatchInput } from '../generated/resolvers.ts';
import { readMetricBatch } from './metric-batch.ts';
import type { MetricCollector } from './metric-collector.ts';
import type { MetricPoint, MetricTables } from './metric-store.ts';

/** The answer to a reported batch. */
export interface MetricReceipt {
  /** The number of items that are stored now. */
  readonly accepted: number;
  /** The number of items of a batch that this instance had stored before. */
  readonly duplicates: number;
  /** The number of items that are too old or in the future, and will never be stored. */
  readonly dropped: number;
}

/** The most points of one answer: an interval has one for each variant. */
const MAX_POINTS = 10_000;
/** The most metrics of a flag that are named. */
const MAX_NAMES = 100;
/** The milliseconds within which a metric counts as measured. */
const NAMED_FOR_MS = 30 * 24 * 3_600_000;

/** Accepts vehicles' batches and reads time series. */
export class MetricService {
  constructor(
    private readonly tables: MetricTables,
    private readonly collector: MetricCollector,
    /** Gives milliseconds since 1970. */
    private readonly now: () => number = Date.now,
  ) {}

  /** Gives how full this instance's queue of measurements is. */
  queue(): WriteQueue {
    return writeQueueOf(this.collector.load());
  }

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

  /**
   * Gives the names of what vehicles have measured for each flag in the last 30 days, in order; at most 100 of a flag.
   *
   * @throws SERVICE_UNAVAILABLE
   */
  async names(keys: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const names = new Map<string, string[]>(keys.map((key) => [key, []]));
    for (const { flagKey, metric } of await this.tables.names(keys, new Date(this.now() - NAMED_FOR_MS), MAX_NAMES))
      names.get(flagKey)?.push(metric);
    return names;
  }
}
