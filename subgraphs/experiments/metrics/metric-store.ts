/** The experiments subgraph's tables in the metrics store. Rows are mapped to domain types here. */
import { Readable } from 'node:stream';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { FleetFlagError } from '../../../core/errors.ts';
import type { MetricInterval, PointsQuery } from '../../../core/wire/api/metric-points.ts';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import { deployMetricsMigrations } from '../clickhouse/migrations.ts';
import { METRIC_COLUMNS, type MetricRow } from './metric-batch.ts';

/** The measurements of a flag's vehicles in one interval, for one variant. */
export interface MetricPoint {
  readonly flagKey: string;
  readonly at: Date;
  readonly variant: string;
  /** The number of measurements. */
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  readonly vehicles: number;
}

/** The evaluations of a flag by all vehicles. */
export interface EvaluationTotals {
  readonly flagKey: string;
  readonly evaluations: number;
  /** The number of different vehicles whose last evaluation is recent enough for the query. */
  readonly activeVehicles: number;
  readonly lastAt: Date;
}

// Both tables contain a row as often as its batch was stored; FINAL shows each once. Copies have the same time and so
// the same partition, and a month that has been merged need not be merged again for a read.
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
  // Acknowledges an insert only when it is written, whatever the server's default.
  async_insert: 0,
  // Inserts are never split, so that the view sees each batch whole; the collector's limits keep them below these.
  max_insert_block_size: '1048576',
  min_insert_block_size_rows: '1048576',
  min_insert_block_size_bytes: '268435456',
  // Replicated tables would skip an insert that they have seen, and with it the rows that a crash kept from the view.
  insert_deduplicate: 0,
};

/** Milliseconds until a query counts as unanswered. */
const QUERY_TIMEOUT_MS = 20_000;

/** Reads and writes measurements. */
export class MetricTables {
  #made: Promise<unknown> | undefined;

  constructor(private readonly client: ClickHouseClient) {}

  /** Creates the missing tables once. Rejects with ClickHouse's error; the next call then tries again. */
  async make(): Promise<void> {
    this.#made ??= deployMetricsMigrations(this.client);
    await this.#made.catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
  }

  /** Stores rows in one insert. Rejects with ClickHouse's error; then the rows may or may not be stored. */
  async insert(rows: readonly MetricRow[], signal: AbortSignal): Promise<void> {
    await this.make();
    signal.throwIfAborted();
    // `exec` streams the rows; `insert` would build the text of all rows at once.
    const { stream } = await this.client.exec({
      query: INSERT,
      values: Readable.from([rows.join('')], { objectMode: false }),
      abort_signal: signal,
      clickhouse_settings: INSERT_SETTINGS,
    });
    stream.destroy();
  }

  /**
   * Gives the points of each of some flags, ordered by time and variant, at most `limit` for each flag. Throws
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
   * Gives the evaluations of some flags in the hours from `from` (inclusive) to `to` (exclusive), Unix seconds; flags
   * without any are left out. Throws SERVICE_UNAVAILABLE.
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

  /**
   * Gives the names of the metrics that vehicles have measured for some flags in the hours since `since`, in order, at
   * most `limit` of each flag, without evaluations. Throws SERVICE_UNAVAILABLE.
   */
  async names(keys: readonly string[], since: Date, limit: number): Promise<{ flagKey: string; metric: string }[]> {
    // The order of the sorting key, so that copies of rows need not be distinguished.
    const query = `SELECT flag_key, metric FROM metric_hours WHERE metric != {evaluations:String} AND flag_key IN {keys:Array(String)} AND hour >= toDateTime({since:UInt32}, 'UTC')
      GROUP BY flag_key, metric ORDER BY flag_key, metric LIMIT {limit:UInt32} BY flag_key`;
    const rows = await this.#rows<{ flag_key: string; metric: string }>(query, {
      evaluations: EVALUATIONS_METRIC,
      keys,
      since: Math.floor(since.getTime() / 3_600_000) * 3_600,
      limit,
    });
    return rows.map(({ flag_key: flagKey, metric }) => ({ flagKey, metric }));
  }

  async #rows<T>(query: string, parameters: Record<string, unknown>): Promise<T[]> {
    try {
      await this.make();
      const result = await this.client.query({
        query,
        query_params: parameters,
        format: 'JSONEachRow',
        abort_signal: AbortSignal.timeout(QUERY_TIMEOUT_MS),
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
