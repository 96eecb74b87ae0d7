/**
 * Vehicles whose number is final, read from the metrics store: each counts once, in the arm of its bucket.
 *
 * A vehicle is exposed by its first row of the flag (an evaluation or a measurement) in the epoch. With a window, its
 * number is settled when the window has passed, of what was measured in it and has arrived by then; without one, by the
 * first measurement to arrive. What arrives later changes nothing, because a number that changed after it was bet on
 * would be no fair bet. Everything therefore goes by the order in which rows arrived, which later rows cannot change.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { FleetFlagError } from '../../../core/errors.ts';
import { EVALUATIONS_METRIC } from '../../../core/wire/metric.ts';
import type { MetricKind } from '../definitions/metric-definition.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import type { Mixture } from '../statistics/evidence/bets.ts';
import type { Arms } from '../statistics/moments.ts';
import type { Sample } from './calibration.ts';

/** Which vehicles are compared, from when on, and how their measurements become numbers. */
export interface Epoch {
  readonly flagKey: string;
  readonly metric: string;
  readonly salt: string;
  /** The buckets of the treatment: from `from` (inclusive) to `to` (exclusive). Control has those from `to` on. */
  readonly from: number;
  readonly to: number;
  /** Rows from here on count, by the vehicles' clocks. */
  readonly since: Date;
  /** The time of the look: what arrived by then counts. */
  readonly now: Date;
  readonly kind: MetricKind;
  /** Milliseconds; null: a vehicle settles with its first measurement. */
  readonly window: number | null;
  /** Milliseconds after which a vehicle without a measurement has not reported, where there is no window. */
  readonly patience: number;
  /**
   * Whether only numbers under the arm's own variant count. A comparison must not: it would leave out vehicles of the
   * treatment only. A bound must: where a rule is narrowed to some vehicles, or its percentage is lowered, others have
   * buckets of the treatment, too, and what they measure under control says nothing about the treatment.
   */
  readonly ownVariantOnly: boolean;
}

/** What of the settled vehicles counts, and to what their numbers are cut. */
export interface Counting {
  /** Whether only 0 and 1 are in range. */
  readonly binary: boolean;
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly low: number;
  readonly high: number;
  /** Vehicles that do not count. */
  readonly spent: readonly string[];
}

/** The settled vehicles of one arm. */
export interface ArmOfSettled {
  /** The vehicles that count. */
  readonly counted: number;
  /** The vehicles whose number is out of range, and those that did not report in time. */
  readonly outOfRange: number;
  readonly neverReported: number;
  /** The vehicles that reported the other arm's variant, too. */
  readonly otherVariant: number;
  /** Of the counted vehicles' numbers before they are cut; NaN without any. */
  readonly mean: number;
  /** The variance of the cut numbers, with the divisor n; NaN without any. */
  readonly variance: number;
  /** For each bet the sum of the vehicles' `logFactor`. */
  readonly logs: readonly number[];
}

/** Reads settled vehicles. All methods reject with SERVICE_UNAVAILABLE when the store does not answer. */
export interface SettledVehicles {
  /** Adds up the bets on the settled vehicles. */
  sums(epoch: Epoch, counting: Counting, bets: Mixture): Promise<Arms<ArmOfSettled>>;
  /** Gives the first settled vehicles, at most `most`, of both arms together. */
  first(epoch: Epoch, most: number): Promise<Sample>;
  /** Gives all vehicles' numbers in the two weeks before the epoch. */
  history(epoch: Epoch): Promise<Sample>;
  /** Gives when the last row of the treatment arrived; null without one since the epoch began. */
  heardAt(epoch: Epoch): Promise<Date | null>;
}

/** Two weeks, so that each weekday counts the same. */
const HISTORY_MS = 14 * 86_400_000;
/** How long after a window its measurements may arrive: agents report once a minute, and inserts take a moment. */
export const GRACE_MS = 120_000;

const BUCKET = `intDiv(toUInt64(murmurHash3_32(concat({salt:String}, ':', vin))) * 100000, 4294967296)`;
const ROWS = `SELECT vin, metric, variant, value, toUnixTimestamp64Milli(at) AS at, toUnixTimestamp64Milli(received_at) AS received,
    batch_id, position, ${BUCKET} AS bucket,
    variant = if(bucket < {to:UInt32}, 'treatment', 'control') AS own, own OR NOT {ownVariantOnly:Bool} AS usable
  FROM metric_rows FINAL
  WHERE flag_key = {flagKey:String} AND metric IN ({metric:String}, '${EVALUATIONS_METRIC}') AND variant IN ('treatment', 'control')
    AND metric_rows.at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND received_at BETWEEN fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND fromUnixTimestamp64Milli({now:Int64}, 'UTC')`;
const OTHER = `countIf(NOT own) > 0 AS other`;

/** One row a vehicle: `settled_at` (ms), `value`, `reported`, whether it is settled, and whether it has not reported. */
const WITHOUT_WINDOW = `SELECT vin, bucket, ${OTHER},
    countIf(metric = {metric:String}) AS rows,
    minIf(received, metric = {metric:String}) AS first_received,
    minIf(received, metric = {metric:String} AND usable) AS settled_at,
    argMinIf(value, (received, at, batch_id, position), metric = {metric:String} AND usable) AS value,
    countIf(metric = {metric:String} AND usable) > 0 AS reported, reported AS settled,
    min(received) + {patience:Int64} AS deadline,
    deadline <= {now:Int64} AND (rows = 0 OR first_received > deadline) AS never
  FROM (${ROWS}) WHERE bucket >= {from:UInt32} GROUP BY vin, bucket`;

const REDUCED: Readonly<Record<MetricKind, string>> = {
  mean: 'avgIf(value, inside)',
  count: 'sumIf(value, inside)',
  // A number that is neither 0 nor 1 is a fault, and must not look like either.
  proportion:
    'if(countIf(inside AND value NOT IN (0, 1)) > 0, anyIf(value, inside AND value NOT IN (0, 1)), toFloat64(countIf(inside AND value = 1) > 0))',
};

const withWindow = (kind: MetricKind) => `SELECT vin, bucket, ${OTHER},
    any(end) AS settled_at, countIf(inside) AS rows, ${REDUCED[kind]} AS value,
    ${kind === 'mean' ? 'rows > 0' : 'true'} AS reported,
    settled_at <= {now:Int64} AS closed,
    closed AND countIf(in_window AND NOT usable) = 0 AS settled,
    closed AND NOT reported AS never
  FROM (
    SELECT *, greatest(first_at + {window:Int64}, first_received) + ${GRACE_MS} AS end,
      at < first_at + {window:Int64} AND received <= end AS in_window, in_window AND metric = {metric:String} AS inside
    FROM (
      SELECT *, first_value(at) OVER arrival AS first_at, first_value(received) OVER arrival AS first_received
      FROM (${ROWS}) WHERE bucket >= {from:UInt32}
      WINDOW arrival AS (PARTITION BY vin ORDER BY received, at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    )
  ) GROUP BY vin, bucket`;

const vehiclesOf = ({ kind, window }: Epoch) => (window === null ? WITHOUT_WINDOW : withWindow(kind));

const OUT = `NOT isFinite(value) OR value < {minimum:Float64} OR value > {maximum:Float64} OR ({binary:Bool} AND value NOT IN (0, 1))`;

const sumsOf = (epoch: Epoch) => `SELECT arm,
    toFloat64(countIf(counts)) AS counted, toFloat64(countIf(final AND out)) AS outOfRange,
    toFloat64(countIf(never)) AS neverReported, toFloat64(countIf(other)) AS otherVariant,
    avgIf(value, counts) AS mean, varPopStableIf(cut, counts) AS variance,
    sumForEachIf(arrayMap((offset, slope) -> log1p(offset + slope * cut),
      if(arm = 'treatment', {offsetsT:Array(Float64)}, {offsetsC:Array(Float64)}),
      if(arm = 'treatment', {slopesT:Array(Float64)}, {slopesC:Array(Float64)})), counts) AS logs
  FROM (
    SELECT if(bucket < {to:UInt32}, 'treatment', 'control') AS arm, never, other, value,
      settled AND reported AND NOT has({spent:Array(String)}, vin) AS final, ${OUT} AS out, final AND NOT out AS counts,
      greatest({low:Float64}, least({high:Float64}, value)) AS cut
    FROM (${vehiclesOf(epoch)})
  ) GROUP BY arm`;

/** Gives a sample of numbers that a query gives as `numbers`. The mean is of cut numbers: one outlier must not move it. */
const sampleOf = (numbers: string, vehicles: string, vins: string) => `WITH
    numbers AS (${numbers}),
    (SELECT (quantileExactLow(0.01)(value), quantileExactHigh(0.99)(value)) FROM numbers) AS ends
  SELECT toFloat64(${vehicles}) AS vehicles, avg(greatest(ends.1, least(ends.2, value))) AS mean, ends.1 AS low, ends.2 AS high,
    max(value) AS most, countIf(value NOT IN (0, 1)) = 0 AS onlyBinary, ${vins} AS vins FROM numbers`;

const HISTORY_REDUCED: Readonly<Record<MetricKind, string>> = {
  mean: 'avg(value)',
  count: 'sum(value)',
  proportion: 'max(value)',
};

/** Each vehicle's numbers of whole windows; without a window the first measurement, so that a chatty one is one, too. */
const historyOf = ({ kind, window }: Epoch) => {
  const measured = `SELECT vin, value, toUnixTimestamp64Milli(metric_rows.at) AS at FROM metric_rows FINAL
      WHERE flag_key = {flagKey:String} AND metric = {metric:String} AND isFinite(value)
        AND metric_rows.at >= fromUnixTimestamp64Milli({since:Int64} - ${HISTORY_MS}, 'UTC') AND metric_rows.at < fromUnixTimestamp64Milli({since:Int64}, 'UTC')`;
  const [reduced, grouped] =
    window === null ? ['argMin(value, at)', ''] : [HISTORY_REDUCED[kind], ', intDiv(at, {window:Int64})'];
  const numbers = `SELECT vin, ${reduced} AS number FROM (${measured}) GROUP BY vin${grouped}`;
  return sampleOf(`SELECT vin, number AS value FROM (${numbers})`, 'uniqExact(vin)', '[]::Array(String)');
};

const firstOf = (epoch: Epoch) =>
  sampleOf(
    `SELECT vin, value FROM (${vehiclesOf(epoch)}) WHERE settled AND reported AND isFinite(value)
      AND value >= {minimum:Float64} AND value <= {maximum:Float64} ORDER BY settled_at, vin LIMIT {most:UInt32}`,
    'count()',
    'groupArray(vin)',
  );

const HEARD = `SELECT toFloat64(max(received)) AS last FROM (${ROWS})
  WHERE bucket < {to:UInt32} AND own AND (metric = {metric:String} OR {anything:Bool})`;

const NOBODY: ArmOfSettled = {
  counted: 0,
  outOfRange: 0,
  neverReported: 0,
  otherVariant: 0,
  mean: NaN,
  variance: NaN,
  logs: [],
};

/** A row of `sumsOf`; values that are not finite come as null. */
interface SumsRow {
  readonly arm: 'treatment' | 'control';
  readonly counted: number;
  readonly outOfRange: number;
  readonly neverReported: number;
  readonly otherVariant: number;
  readonly mean: number | null;
  readonly variance: number | null;
  readonly logs: readonly (number | null)[];
}

interface SampleRow {
  readonly vehicles: number;
  readonly mean: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly most: number | null;
  readonly onlyBinary: boolean | number;
  readonly vins?: readonly string[];
}

const toSample = (row: SampleRow | undefined, source: Sample['source']): Sample => ({
  source,
  vehicles: row?.vehicles ?? 0,
  mean: row?.mean ?? NaN,
  low: row?.low ?? NaN,
  high: row?.high ?? NaN,
  most: row?.most ?? NaN,
  binary: Boolean(row?.onlyBinary),
  vins: row?.vins ?? [],
});

const LARGEST = Number.MAX_VALUE;

/** A number as the client takes it: whole ones beyond 2^53 it takes as bigint only. */
const float = (value: number) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value);

/** Reads settled vehicles from the metrics store. */
export function storedSettledVehicles(
  { client }: { readonly client: ClickHouseClient },
  tables: Pick<MetricTables, 'make'>,
): SettledVehicles {
  async function rows<T>(query: string, epoch: Epoch, more: Record<string, unknown>): Promise<T[]> {
    const { flagKey, metric, salt, from, to, since, now, window, patience, ownVariantOnly } = epoch;
    const times = { since: since.getTime(), now: now.getTime(), window: window ?? 0, patience };
    const query_params = { flagKey, metric, salt, from, to, ownVariantOnly, ...times, ...more };
    try {
      await tables.make();
      return await (await client.query({ query, query_params, format: 'JSONEachRow' })).json<T>();
    } catch (cause) {
      const message = 'The metrics store does not answer; a retry is safe.';
      throw new FleetFlagError('SERVICE_UNAVAILABLE', message, {}, { cause });
    }
  }
  const limits = (minimum: number | null, maximum: number | null) => ({
    minimum: float(minimum ?? -LARGEST),
    maximum: float(maximum ?? LARGEST),
  });
  return {
    async sums(epoch, { binary, minimum, maximum, low, high, spent }, bets) {
      const found = await rows<SumsRow>(sumsOf(epoch), epoch, {
        ...limits(minimum, maximum),
        binary,
        low: float(low),
        high: float(high),
        spent,
        offsetsC: bets.map(({ control }) => float(control.offset)),
        slopesC: bets.map(({ control }) => float(control.slope)),
        offsetsT: bets.map(({ treatment }) => float(treatment.offset)),
        slopesT: bets.map(({ treatment }) => float(treatment.slope)),
      });
      const arm = (name: SumsRow['arm']): ArmOfSettled => {
        const row = found.find((candidate) => candidate.arm === name);
        if (row === undefined) return { ...NOBODY, logs: bets.map(() => 0) };
        const logs = bets.map((_, index) => row.logs[index] ?? 0);
        return { ...row, mean: row.mean ?? NaN, variance: row.variance ?? NaN, logs };
      };
      return { control: arm('control'), treatment: arm('treatment') };
    },
    async first(epoch, most) {
      const [row] = await rows<SampleRow>(firstOf(epoch), epoch, { ...limits(null, null), most });
      return toSample(row, 'first-vehicles');
    },
    async history(epoch) {
      const [row] = await rows<SampleRow>(historyOf(epoch), epoch, {});
      return toSample(row, 'history');
    },
    async heardAt(epoch) {
      // No measurement within a window counts as 0, so a vehicle that evaluates the flag has been heard.
      const anything = epoch.window !== null && epoch.kind !== 'mean';
      const [row] = await rows<{ last: number }>(HEARD, epoch, { anything });
      return row === undefined || row.last <= 0 ? null : new Date(row.last);
    },
  };
}
