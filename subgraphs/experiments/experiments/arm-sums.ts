/**
 * The sums of an experiment's arms, read from the metrics store in one statement, so that all numbers are of one
 * moment. docs/reference/statistics.md, "Which measurements count", says which measurements count and why.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import type { Measurements, MeasurementWindow } from './results.ts';
import type { ArmSums, Variant } from '../statistics/analyse.ts';

/**
 * After a lost answer a batch is stored again; FINAL counts each of its rows once. History ends where the first vehicle
 * is known to have received the treatment, for both arms alike: later measurements may show the feature's effect. The
 * …Stable functions keep the digits that sums of squares lose.
 */
const STATEMENT = `
WITH
  fromUnixTimestamp64Milli({historyFrom:Int64}, 'UTC') AS history_from,
  fromUnixTimestamp64Milli({from:Int64}, 'UTC') AS started_at,
  fromUnixTimestamp64Milli({to:Int64}, 'UTC') AS ended_at,
  (
    SELECT if(count() = 0, fromUnixTimestamp64Milli({from:Int64}, 'UTC'), min(at)) FROM metric_rows
    WHERE flag_key = {flagKey:String} AND variant = 'treatment'
      AND at >= fromUnixTimestamp64Milli({historyFrom:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  ) AS history_to
SELECT
  multiIf(treated > 0 AND untreated > 0, 'both', treated > 0, 'treatment', 'control') AS arm,
  has_history,
  count() AS vehicles,
  sum(treated + untreated) AS observations,
  avg(measured) AS mean,
  varPopStable(measured) * vehicles AS m2,
  avg(history) AS covariate_mean,
  varPopStable(history) * vehicles AS covariate_m2,
  covarPopStable(measured, history) * vehicles AS comoment
FROM
(
  SELECT
    vin,
    countIf(at >= started_at AND variant = 'treatment') AS treated,
    countIf(at >= started_at AND variant = 'control') AS untreated,
    avgIf(value, at >= started_at AND variant IN ('treatment', 'control')) AS measured,
    countIf(at < history_to) > 0 AS has_history,
    avgIf(value, at < history_to) AS history
  FROM
  (
    SELECT vin, variant, value, at FROM metric_rows FINAL
    WHERE flag_key = {flagKey:String} AND metric = {metric:String} AND at >= history_from AND at < ended_at
  )
  GROUP BY vin
  HAVING treated + untreated > 0
)
GROUP BY arm, has_history`;

/** One row of the answer. Counts may come as strings, and values that are not finite come as null. */
interface Row {
  readonly arm: Variant | 'both';
  readonly has_history: number;
  readonly vehicles: number | string;
  readonly observations: number | string;
  readonly mean: number | null;
  readonly m2: number | null;
  readonly covariate_mean: number | null;
  readonly covariate_m2: number | null;
  readonly comoment: number | null;
}

const NO_VEHICLES = { count: 0, mean: 0, m2: 0 };
const NO_PAIRS = { ...NO_VEHICLES, covariateMean: 0, covariateM2: 0, comoment: 0 };

const numberOf = (value: number | null) => value ?? NaN;

const momentsOf = ({ vehicles, mean, m2 }: Row) => ({
  count: Number(vehicles),
  mean: numberOf(mean),
  m2: numberOf(m2),
});

function armSums(rows: readonly Row[], variant: Variant): ArmSums {
  const own = rows.filter(({ arm }) => arm === variant);
  const [paired, unpaired] = [own.find((row) => row.has_history === 1), own.find((row) => row.has_history === 0)];
  return {
    withHistory:
      paired === undefined
        ? NO_PAIRS
        : {
            ...momentsOf(paired),
            covariateMean: numberOf(paired.covariate_mean),
            covariateM2: numberOf(paired.covariate_m2),
            comoment: numberOf(paired.comoment),
          },
    withoutHistory: unpaired === undefined ? NO_VEHICLES : momentsOf(unpaired),
    observations: own.reduce((sum, row) => sum + Number(row.observations), 0),
  };
}

/** Reads experiments' measurements from the metrics store. */
export function storedMeasurements({ client }: Pick<MetricsStore, 'client'>): Measurements {
  return {
    async sums({ flagKey, metric, historyFrom, from, to }: MeasurementWindow) {
      const query_params = {
        flagKey,
        metric,
        historyFrom: historyFrom.getTime(),
        from: from.getTime(),
        to: to.getTime(),
      };
      let rows: Row[];
      try {
        const answer = await client.query({ query: STATEMENT, query_params, format: 'JSONEachRow' });
        rows = await answer.json<Row>();
      } catch (cause) {
        throw new FleetFlagError(
          'SERVICE_UNAVAILABLE',
          'The metrics store does not answer; a retry is safe.',
          {},
          { cause },
        );
      }
      const both = rows.filter(({ arm }) => arm === 'both').reduce((sum, row) => sum + Number(row.vehicles), 0);
      return {
        arms: { control: armSums(rows, 'control'), treatment: armSums(rows, 'treatment') },
        vehiclesInBothArms: both,
      };
    },
  };
}
