/**
 * The vehicles of an experiment, read from the metrics store: those whose number is final, with what they measured
 * before the start, and all that were exposed. Whether a number is final is decided where it is for guards
 * (settled-queries.ts).
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import { is, type Shape, type Shaped } from '../../../core/json/shape.ts';
import { bucketOf, type ExposureRecorder } from '../exposures/exposure-recorder.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import type { ArmSums } from '../statistics/analyse.ts';
import { PLACES, type VehiclesAtPlace } from '../statistics/evidence/places.ts';
import type { Split } from '../statistics/evidence/split-evidence.ts';
import type { Arms } from '../statistics/moments.ts';
import { HISTORY_MS, judgedOf, MEASURED_IN_TIME } from './settled-queries.ts';
import { countingParameters, SettledReader } from './settled-reader.ts';
import type { Counting, Epoch } from './settled-vehicles.ts';

/** The vehicles of one arm; the sums are of numbers that are cut to the range. */
export interface ArmOfCompared extends ArmSums {
  readonly places: readonly VehiclesAtPlace[];
}

/** A time in which the draw of vehicles stayed the same. */
export interface DrawEpoch {
  readonly salt: string;
  /** The buckets below it have the treatment. */
  readonly threshold: number;
  readonly since: Date;
}

/** Reads an experiment's vehicles. All methods reject with SERVICE_UNAVAILABLE when the store does not answer. */
export interface ComparedVehicles {
  /** Adds up the settled vehicles of both arms. */
  sums(epoch: Epoch, counting: Counting): Promise<Arms<ArmOfCompared>>;
  /** Gives the time at which both arms had this many vehicles that count; null while one has not. */
  reachedAt(epoch: Epoch, counting: Counting, vehicles: number): Promise<Date | null>;
  /** Counts the exposed vehicles by the draw of the time of their first exposure, oldest first. */
  exposures(epoch: Epoch, draws: readonly DrawEpoch[]): Promise<Split[]>;
}

/**
 * The measurements of each vehicle in the two weeks before the epoch. History ends for all vehicles alike where the
 * feature began to be served, because it may have affected what follows: when more than one in a hundred had reported
 * the treatment, and more than one. A few vehicles that did so before have no history themselves, and cut nobody
 * else's.
 */
const HISTORY = `WITH
    fromUnixTimestamp64Milli({since:Int64} - ${HISTORY_MS}, 'UTC') AS history_from,
    fromUnixTimestamp64Milli({since:Int64}, 'UTC') AS started_at,
    treated AS (
      SELECT vin, countIf(variant = 'treatment') > 0 AS is_treated, minIf(at, variant = 'treatment') AS first_at FROM metric_rows
      WHERE flag_key = {flagKey:String} AND at >= history_from AND at < started_at GROUP BY vin
    ),
    (
      SELECT if(length(firsts) > strays, firsts[strays + 1], started_at)
      FROM (SELECT arraySort(groupArrayIf(first_at, is_treated)) AS firsts, greatest(1, intDiv(count(), 100)) AS strays FROM treated)
    ) AS history_to
  SELECT vin, avg(value) AS history, 1 AS known FROM metric_rows FINAL
  WHERE flag_key = {flagKey:String} AND metric = {metric:String} AND isFinite(value) AND at >= history_from AND at < history_to
    AND vin NOT IN (SELECT vin FROM treated WHERE is_treated AND first_at < history_to)
  GROUP BY vin`;

/** The …Stable functions keep the digits that sums of squares lose. */
const sumsOf = (epoch: Epoch) => `SELECT arm, toUInt8(h.known) AS has_history,
    toFloat64(countIf(counts)) AS vehicles, toFloat64(sumIf(rows, counts)) AS observations,
    avgIf(cut, counts) AS mean, varPopStableIf(cut, counts) * vehicles AS m2,
    avgIf(h.history, counts) AS covariate_mean, varPopStableIf(h.history, counts) * vehicles AS covariate_m2,
    covarPopStableIf(cut, h.history, counts) * vehicles AS comoment,
    toFloat64(count()) AS exposed, toFloat64(countIf(final AND out)) AS out_of_range,
    toFloat64(countIf(never)) AS never_reported, toFloat64(countIf(other)) AS other_variant,
    sumMapIf([toUInt16(round((if(counts, cut, {low:Float64}) - {low:Float64}) / ({high:Float64} - {low:Float64}) * ${PLACES}))], [toFloat64(1)], counts) AS places
  FROM (${judgedOf(epoch)}) AS v LEFT JOIN (${HISTORY}) AS h USING (vin)
  GROUP BY arm, has_history`;

const reachedOf = (epoch: Epoch) => `SELECT arm,
    toFloat64(if(countIf(counts) >= {vehicles:UInt32}, arraySort(groupArrayIf(settled_at, counts))[{vehicles:UInt32}], 0)) AS reached
  FROM (${judgedOf(epoch)}) GROUP BY arm`;

/** Exposed vehicles by the draw of the time of their first exposure; the bucket is that of this draw's salt. */
const EXPOSURES = `SELECT draw, ${bucketOf('{salts:Array(String)}[draw]')} < {thresholds:Array(UInt32)}[draw] AS treated, toFloat64(count()) AS vehicles
  FROM (
    SELECT vin, toUInt32(arrayCount(began -> began <= first_at, {begins:Array(Int64)})) AS draw
    FROM (
      SELECT vin, toUnixTimestamp64Milli(min(at)) AS first_at FROM exposures FINAL
      WHERE epoch = {epoch:String} AND received_at <= fromUnixTimestamp64Milli({now:Int64}, 'UTC') AND ${MEASURED_IN_TIME} GROUP BY vin
    )
  ) GROUP BY draw, treated`;

/** A row of `sumsOf`; values that are not finite come as null. */
const SUMS_ROW = {
  arm: is.oneOf(['treatment', 'control'] as const),
  has_history: is.number,
  vehicles: is.number,
  observations: is.number,
  mean: is.nullable(is.number),
  m2: is.nullable(is.number),
  covariate_mean: is.nullable(is.number),
  covariate_m2: is.nullable(is.number),
  comoment: is.nullable(is.number),
  exposed: is.number,
  out_of_range: is.number,
  never_reported: is.number,
  other_variant: is.number,
  /** The places, and the vehicles at each. */
  places: is.listOf(is.listOf(is.number)),
} satisfies Shape;
type SumsRow = Shaped<typeof SUMS_ROW>;

const REACHED_ROW = { reached: is.number } satisfies Shape;

/** Draws are numbered from 1. */
const EXPOSURES_ROW = {
  draw: is.number,
  treated: is.either(is.boolean, is.number),
  vehicles: is.number,
} satisfies Shape;

const NO_PAIRS = { count: 0, mean: 0, m2: 0, covariateMean: 0, covariateM2: 0, comoment: 0 };

const numberOf = (value: number | null) => value ?? NaN;

const pairsOf = (row: SumsRow | undefined) =>
  row === undefined || row.vehicles === 0
    ? NO_PAIRS
    : {
        count: row.vehicles,
        mean: numberOf(row.mean),
        m2: numberOf(row.m2),
        covariateMean: numberOf(row.covariate_mean),
        covariateM2: numberOf(row.covariate_m2),
        comoment: numberOf(row.comoment),
      };

function armOf(found: readonly SumsRow[], arm: keyof Arms<unknown>): ArmOfCompared {
  const own = found.filter((row) => row.arm === arm);
  const { count, mean, m2 } = pairsOf(own.find((row) => row.has_history === 0));
  const total = (of: (row: SumsRow) => number) => own.reduce((sum, row) => sum + of(row), 0);
  const places = new Map<number, number>();
  for (const {
    places: [at = [], vehicles = []],
  } of own)
    at.forEach((place, index) => places.set(place, (places.get(place) ?? 0) + (vehicles[index] ?? 0)));
  return {
    withHistory: pairsOf(own.find((row) => row.has_history === 1)),
    withoutHistory: { count, mean, m2 },
    observations: total((row) => row.observations),
    exposed: total((row) => row.exposed),
    outOfRange: total((row) => row.out_of_range),
    neverReported: total((row) => row.never_reported),
    otherVariant: total((row) => row.other_variant),
    places: [...places].map(([place, vehicles]) => ({ place, vehicles })),
  };
}

/**
 * Reads an experiment's vehicles from the metrics store.
 *
 * @param exposures as for `SettledReader`
 */
export function storedComparedVehicles(
  { client }: { readonly client: ClickHouseClient },
  tables: Pick<MetricTables, 'make'>,
  exposures: ExposureRecorder,
): ComparedVehicles {
  const reader = new SettledReader(client, tables, exposures);
  return {
    async sums(epoch, counting) {
      await reader.record(epoch);
      const found = await reader.rows(SUMS_ROW, sumsOf(epoch), epoch, countingParameters(counting));
      return { control: armOf(found, 'control'), treatment: armOf(found, 'treatment') };
    },
    async reachedAt(epoch, counting, vehicles) {
      await reader.record(epoch);
      const parameters = { ...countingParameters(counting), vehicles };
      const found = await reader.rows(REACHED_ROW, reachedOf(epoch), epoch, parameters);
      const times = found.map(({ reached }) => reached);
      return times.length < 2 || times.includes(0) ? null : new Date(Math.max(...times));
    },
    async exposures(epoch, draws) {
      await reader.record(epoch);
      const found = await reader.rows(EXPOSURES_ROW, EXPOSURES, epoch, {
        salts: draws.map(({ salt }) => salt),
        thresholds: draws.map(({ threshold }) => threshold),
        begins: draws.map(({ since }) => since.getTime()),
      });
      const vehicles = (draw: number, treated: boolean) =>
        found.find((row) => row.draw === draw && Boolean(row.treated) === treated)?.vehicles ?? 0;
      return draws.map(({ threshold }, index) => ({
        treatmentShare: threshold / BUCKETS,
        vehicles: { control: vehicles(index + 1, false), treatment: vehicles(index + 1, true) },
      }));
    },
  };
}
