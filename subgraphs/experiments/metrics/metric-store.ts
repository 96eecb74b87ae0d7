/** The experiments subgraph's tables in the metrics store. Rows go in and out as domain types. */
import { Readable } from 'node:stream';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { FleetFlagError } from '../../../core/errors.ts';
import { EVALUATIONS_METRIC } from '../../../core/wire/metric.ts';
import { deployMetricsMigrations } from '../clickhouse/migrations.ts';
import { METRIC_COLUMNS, type MetricRow } from './metric-batch.ts';

export type MetricInterval = 'minute' | 'hour' | 'day';

/** What a flag's vehicles measured in an interval, of one variant. */
export interface MetricPoint {
  readonly flagKey: string;
  readonly at: Date;
  readonly variant: string;
  /** Measurements. */
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  readonly vehicles: number;
}

export interface PointsQuery {
  readonly metric: string;
  /** Unix seconds, at the beginning of an interval. */
  readonly from: number;
  /** Unix seconds, exclusive. */
  readonly to: number;
  readonly interval: MetricInterval;
}

/** How a flag was evaluated, by all vehicles. */
export interface EvaluationTotals {
  readonly flagKey: string;
  readonly evaluations: number;
  /** Different vehicles whose last evaluation is not before what was asked for. */
  readonly activeVehicles: number;
  readonly lastAt: Date;
}

// Both tables hold a row as often as its batch was stored; FINAL shows each once. Copies have the same time, so they
// are in the same partition, and a month that has been merged need not be merged again to be read.
const FINAL_BY_MONTH = 'SETTINGS do_not_merge_across_partitions_select_final = 1';

const POINT_SOURCES: Readonly<Record<MetricInterval, string>> = {
  minute: `SELECT flag_key, toStartOfMinute(at) AS start, variant, vin, 1 AS measurements, value AS total
    FROM metric_rows FINAL WHERE metric = {metric:String} AND flag_key IN {keys:Array(String)} AND at >= toDateTime({from:UInt32}, 'UTC') AND at < toDateTime({to:UInt32}, 'UTC')`,
  hour: `SELECT flag_key, hour AS start, variant, vin, rows AS measurements, sum AS total
    FROM metric_hours FINAL WHERE metric = {metric:String} AND flag_key IN {keys:Array(String)} AND hour >= toDateTime({from:UInt32}, 'UTC') AND hour < toDateTime({to:UInt32}, 'UTC')`,
  day: `SELECT flag_key, toStartOfDay(hour) AS start, variant, vin, rows AS measurements, sum AS total
    FROM metric_hours FINAL WHERE metric = {metric:String} AND flag_key IN {keys:Array(String)} AND hour >= toDateTime({from:UInt32}, 'UTC') AND hour < toDateTime({to:UInt32}, 'UTC')`,
};

const INSERT = `INSERT INTO metric_rows (${METRIC_COLUMNS.join(', ')}) FORMAT JSONCompactEachRow`;

const INSERT_SETTINGS: ClickHouseSettings = {
  // Acknowledged when it is written, whatever the server's default.
  async_insert: 0,
  // Never split, so that the view sees each batch whole: an insert stays below these by the collector's limits.
  max_insert_block_size: '1048576',
  min_insert_block_size_rows: '1048576',
  min_insert_block_size_bytes: '268435456',
  // Replicated tables would leave out an insert that they have seen, and with it what a crash kept from the view.
  insert_deduplicate: 0,
};

/** Milliseconds until a query counts as unanswered. */
const QUERY_TIMEOUT = 20_000;

export class MetricTables {
  #made: Promise<unknown> | undefined;

  constructor(private readonly client: ClickHouseClient) {}

  /**
   * Makes the tables where they are not there yet, once; a store that is away is asked again by the next call. Rejects
   * with ClickHouse's error.
   */
  async make(): Promise<void> {
    this.#made ??= deployMetricsMigrations(this.client);
    await this.#made.catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
  }

  /** Stores rows in one insert. Rejects with ClickHouse's error; then they may be stored all the same, or not. */
  async insert(rows: readonly MetricRow[], signal: AbortSignal): Promise<void> {
    await this.make();
    signal.throwIfAborted();
    // Not `insert`, which would make the text of all rows at once.
    const { stream } = await this.client.exec({
      query: INSERT,
      values: Readable.from([rows.join('')], { objectMode: false }),
      abort_signal: signal,
      clickhouse_settings: INSERT_SETTINGS,
    });
    stream.destroy();
  }

  /**
   * The points of each of some flags in the order of time and variant, at most `limit` of a flag. Throws
   * SERVICE_UNAVAILABLE.
   */
  points(keys: readonly string[], { metric, from, to, interval }: PointsQuery, limit: number): Promise<MetricPoint[]> {
    const query = `SELECT flag_key, toUnixTimestamp(start) AS second, variant, toFloat64(sum(measurements)) AS count, sum(total) AS total_sum, toFloat64(uniqExact(vin)) AS vehicles
      FROM (${POINT_SOURCES[interval]}) GROUP BY flag_key, start, variant ORDER BY flag_key, start, variant LIMIT {limit:UInt32} BY flag_key ${FINAL_BY_MONTH}`;
    type Row = {
      flag_key: string;
      second: number;
      variant: string;
      count: number;
      total_sum: number;
      vehicles: number;
    };
    return this.#rows<Row>(query, { keys, metric, from, to, limit }).then((rows) =>
      rows.map((row) => ({
        flagKey: row.flag_key,
        at: new Date(row.second * 1_000),
        variant: row.variant,
        count: row.count,
        sum: row.total_sum,
        mean: row.total_sum / row.count,
        vehicles: row.vehicles,
      })),
    );
  }

  /**
   * How each of some flags was evaluated in the hours from `from` (inclusive) to `to` (exclusive), Unix seconds; those
   * that were not are left out. Throws SERVICE_UNAVAILABLE.
   */
  async evaluations(
    keys: readonly string[],
    { from, to }: { readonly from: number; readonly to: number },
    activeSince: Date,
  ): Promise<EvaluationTotals[]> {
    const query = `SELECT flag_key, sum(sum) AS evaluations, toUInt32(uniqExactIf(vin, last_at >= toDateTime({since:UInt32}, 'UTC'))) AS vehicles, toFloat64(toUnixTimestamp64Milli(max(last_at))) AS last
      FROM metric_hours FINAL WHERE metric = {metric:String} AND flag_key IN {keys:Array(String)} AND hour >= toDateTime({from:UInt32}, 'UTC') AND hour < toDateTime({to:UInt32}, 'UTC') GROUP BY flag_key ${FINAL_BY_MONTH}`;
    type Row = { flag_key: string; evaluations: number; vehicles: number; last: number };
    const rows = await this.#rows<Row>(query, {
      metric: EVALUATIONS_METRIC,
      keys,
      from,
      to,
      since: Math.floor(activeSince.getTime() / 1_000),
    });
    return rows.map((row) => ({
      flagKey: row.flag_key,
      evaluations: row.evaluations,
      activeVehicles: row.vehicles,
      lastAt: new Date(row.last),
    }));
  }

  async #rows<T>(query: string, parameters: Record<string, unknown>): Promise<T[]> {
    try {
      await this.make();
      const result = await this.client.query({
        query,
        query_params: parameters,
        format: 'JSONEachRow',
        abort_signal: AbortSignal.timeout(QUERY_TIMEOUT),
      });
      return await result.json<T>();
    } catch (cause) {
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'The metrics store does not answer; a retry is safe.',
        { retryAfter: 2 },
        { cause },
      );
    }
  }
}
