/** The queries of settled vehicles. What their parameters are is in settled-vehicles.ts. */
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import type { MetricKind } from '../definitions/metric-definition.ts';
import { BUCKET } from '../exposures/exposure-recorder.ts';
import type { Epoch } from './settled-vehicles.ts';

/** Two weeks, so that each weekday counts the same. */
export const HISTORY_MS = 14 * 86_400_000;
/**
 * The time after a window within which its measurements may arrive: agents report once a minute, and inserts take a
 * moment.
 */
const GRACE_MS = 120_000;

/** Whether this is an analysis after the end, in which late rows count. */
const LATE = '{measuredBy:Int64} > 0';
/** The rows that were measured, or had arrived, by the end of such an analysis; all in a look. */
export const MEASURED_IN_TIME = `(NOT ${LATE} OR at <= fromUnixTimestamp64Milli({measuredBy:Int64}, 'UTC')
      OR received_at <= fromUnixTimestamp64Milli({measuredBy:Int64}, 'UTC'))`;

/** Whether a vehicle of a release was chosen for it, by its VIN or the facts at its first exposure. */
const IS_CHOSEN =
  '(has({chosenVins:Array(String)}, vin) OR has({chosenModels:Array(String)}, facts.1) OR has({chosenRegions:Array(String)}, facts.2))';

/** Each exposed vehicle with the arm of its bucket, its first row, and the first one under the other arm's variant. */
const exposedOf = ({ ring }: Epoch) => `SELECT vin, bucket, if(bucket < {to:UInt32}, 'treatment', 'control') AS arm,
    first.1 AS exposure, first.2 AS facts, first.3 AS first_at, first.4 AS first_received, other, other_at, other_received
  FROM (
    SELECT vin, bucket,
      argMin((id, (model, region, sw_version), toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at)),
        (recorded_at, received_at, at)) AS first,
      countIf(is_other) > 0 AS other,
      minIf(toUnixTimestamp64Milli(at), is_other) AS other_at,
      minIf(toUnixTimestamp64Milli(received_at), is_other) AS other_received
    FROM (
      SELECT *, ${ring === undefined ? "variant != if(bucket < {to:UInt32}, 'treatment', 'control')" : 'false'} AS is_other FROM exposures FINAL
      WHERE epoch = {epoch:String} AND received_at <= fromUnixTimestamp64Milli({now:Int64}, 'UTC') AND ${MEASURED_IN_TIME}
    ) GROUP BY vin, bucket
  ) ${ring === undefined ? '' : `WHERE NOT ${IS_CHOSEN}`}`;

/** The rows of the flag; for a release of whatever variant. */
const ofFlag = ({ ring }: Epoch) =>
  `flag_key = {flagKey:String}${ring === undefined ? " AND variant IN ('treatment', 'control')" : ''}`;

/** The measurements: of the flag, or for a release of any flag. With \`orEvaluations\` the flag's evaluations, too. */
const rowsOf = (
  epoch: Epoch,
  orEvaluations = false,
) => `SELECT vin, variant, value, toUnixTimestamp64Milli(at) AS measured_at,
    toUnixTimestamp64Milli(received_at) AS received, batch_id, position
  FROM metric_rows FINAL
  WHERE (metric = {metric:String} AND ${epoch.ring === undefined ? ofFlag(epoch) : 'true'}
      ${orEvaluations ? `OR metric = '${EVALUATIONS_METRIC}' AND ${ofFlag(epoch)}` : ''})
    AND at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND received_at BETWEEN fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND fromUnixTimestamp64Milli({now:Int64}, 'UTC')
    AND ${MEASURED_IN_TIME}`;

/** The measurements of each exposed vehicle; of one without any, one row whose \`received\` is 0. */
const measuredOf = (
  epoch: Epoch,
) => `SELECT vin, arm, exposure, facts, first_at, first_received, other, other_at, other_received,
    value, measured_at, received, batch_id, position, received > 0 AS is_measured,
    is_measured AND (variant = arm OR NOT {ownVariantOnly:Bool}) AS usable
  FROM (${rowsOf(epoch)}) AS measurements RIGHT JOIN (${exposedOf(epoch)}) AS exposed USING (vin)`;

/**
 * The columns of a vehicle that do not depend on its measurements; in a query of one row a vehicle, and in its result.
 */
const VEHICLE = ['arm', 'exposure', 'facts', 'first_at', 'first_received', 'other', 'other_at', 'other_received'];
const ANY_VEHICLE = `vin, ${VEHICLE.map((column) => `any(${column}) AS ${column}`).join(', ')}`;

/**
 * One row a vehicle: \`settled_at\` (ms), \`value\`, \`reported\`, whether it is settled, and whether it has not
 * reported.
 */
const withoutWindow = (epoch: Epoch) => `SELECT ${ANY_VEHICLE},
    countIf(is_measured) AS rows,
    minIf(received, is_measured) AS first_measured,
    minIf(received, usable) AS settled_at,
    argMinIf(value, (received, measured_at, batch_id, position), usable) AS value,
    countIf(usable) > 0 AS reported, reported AS settled,
    if(${LATE}, least(first_at, first_received), first_received) + {silenceMs:Int64} AS deadline,
    deadline <= if(${LATE}, {measuredBy:Int64}, {now:Int64}) AND (rows = 0 OR (NOT ${LATE} AND first_measured > deadline)) AS never
  FROM (${measuredOf(epoch)}) GROUP BY vin`;

const REDUCED: Readonly<Record<MetricKind, string>> = {
  mean: 'avgIf(value, inside)',
  count: 'sumIf(value, inside)',
  // A number that is neither 0 nor 1 is a fault, and must not look like either.
  proportion:
    'if(countIf(inside AND value NOT IN (0, 1)) > 0, anyIf(value, inside AND value NOT IN (0, 1)), toFloat64(countIf(inside AND value = 1) > 0))',
};

const withWindow = (epoch: Epoch) => `SELECT ${ANY_VEHICLE},
    any(end) AS settled_at, countIf(inside) AS rows, ${REDUCED[epoch.kind]} AS value,
    ${epoch.kind === 'mean' ? 'rows > 0' : 'true'} AS reported,
    settled_at <= if(${LATE}, {measuredBy:Int64}, {now:Int64}) AS closed,
    {ownVariantOnly:Bool} AND other AND other_at < first_at + {window:Int64} AND other_received <= settled_at AS strayed,
    closed AND NOT strayed AND countIf(inside AND NOT usable) = 0 AS settled,
    closed AND NOT reported AS never
  FROM (
    SELECT *, greatest(first_at + {window:Int64}, if(${LATE}, 0, first_received)) + ${GRACE_MS} AS end,
      is_measured AND measured_at < first_at + {window:Int64} AND (${LATE} OR received <= end) AS inside
    FROM (${measuredOf(epoch)})
  ) GROUP BY vin`;

const vehiclesOf = (epoch: Epoch) => (epoch.window === null ? withoutWindow(epoch) : withWindow(epoch));

const OUT = `NOT isFinite(value) OR value < {minimum:Float64} OR value > {maximum:Float64} OR ({binary:Bool} AND value NOT IN (0, 1))`;

/** Each exposed vehicle with whether its number \`counts\`, is \`out\` of range, and the number as it is \`cut\`. */
export const judgedOf = (epoch: Epoch) => `SELECT vin, ${VEHICLE.join(', ')}, settled_at, rows, value, never,
    settled AND reported AND NOT has({spent:Array(String)}, vin) AS final, ${OUT} AS out, final AND NOT out AS counts,
    greatest({low:Float64}, least({high:Float64}, value)) AS cut
  FROM (${vehiclesOf(epoch)})`;

/** The sums of vehicles' logarithms, for each bet. */
const LOGS = `sumForEachIf(arrayMap((offset, slope) -> log1p(offset + slope * cut),
      if(arm = 'treatment', {offsetsT:Array(Float64)}, {offsetsC:Array(Float64)}),
      if(arm = 'treatment', {slopesT:Array(Float64)}, {slopesC:Array(Float64)})), counts)`;

/** Gives the query for the sums of each arm over an epoch. */
export const sumsOf = (epoch: Epoch) => `SELECT arm, toFloat64(count()) AS exposed,
    toFloat64(countIf(counts)) AS counted, toFloat64(countIf(final AND out)) AS outOfRange,
    toFloat64(countIf(never)) AS neverReported, toFloat64(countIf(other)) AS otherVariant,
    avgIf(value, counts) AS mean, varPopStableIf(cut, counts) AS variance, ${LOGS} AS logs
  FROM (${judgedOf(epoch)}) GROUP BY arm`;

/**
 * Gives a sample of numbers that a query gives as `numbers`. The mean is of cut numbers: one outlier must not move it.
 */
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

/**
 * Each vehicle's numbers of whole windows; without a window the first measurement, so that a chatty one is one, too.
 */
export const historyOf = ({ kind, window, ring }: Epoch) => {
  const measured = `SELECT vin, value, toUnixTimestamp64Milli(metric_rows.at) AS at FROM metric_rows FINAL
      WHERE ${ring === undefined ? 'flag_key = {flagKey:String} AND' : ''} metric = {metric:String} AND isFinite(value)
        AND metric_rows.at >= fromUnixTimestamp64Milli({since:Int64} - ${HISTORY_MS}, 'UTC') AND metric_rows.at < fromUnixTimestamp64Milli({since:Int64}, 'UTC')`;
  const [reduced, grouped] =
    window === null ? ['argMin(value, at)', ''] : [HISTORY_REDUCED[kind], ', intDiv(at, {window:Int64})'];
  const numbers = `SELECT vin, ${reduced} AS number FROM (${measured}) GROUP BY vin${grouped}`;
  return sampleOf(`SELECT vin, number AS value FROM (${numbers})`, 'uniqExact(vin)', '[]::Array(String)');
};

/** Gives the query for the first settled vehicles of an epoch. */
export const firstOf = (epoch: Epoch) =>
  sampleOf(
    `SELECT vin, value FROM (${vehiclesOf(epoch)}) WHERE settled AND reported AND isFinite(value)
      AND value >= {minimum:Float64} AND value <= {maximum:Float64} ORDER BY settled_at, vin LIMIT {most:UInt32}`,
    'count()',
    'groupArray(vin)',
  );

const ARM = `if(${BUCKET} < {to:UInt32}, 'treatment', 'control')`;

/** The rows of the vehicles that a rollout's last step moved. */
const MOVED = `${BUCKET} >= {from:UInt32} AND ${ARM} = 'treatment' AND variant = 'treatment'`;

/** The vehicles of a release that have the new content: those that were drawn, and those that were chosen. */
const IN_RING = `SELECT vin FROM (SELECT vin, bucket, (model, region) AS facts FROM exposures FINAL WHERE epoch = {epoch:String})
  WHERE bucket < {to:UInt32} OR ${IS_CHOSEN}`;

/** The time at which the last row of the treatment arrived; with \`anything\` an evaluation will do. */
export const heardOf = (epoch: Epoch, anything: boolean) => `SELECT toFloat64(max(received)) AS last
  FROM (${rowsOf(epoch, anything)})
  WHERE ${epoch.ring === undefined ? MOVED : `vin IN (${IN_RING})`}`;
