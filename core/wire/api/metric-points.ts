/**
 * The arguments of `Flag.metrics`, which the gateway checks before a mutation and the experiments subgraph for itself.
 */
import { FleetFlagError, badInput } from '../../errors.ts';
import { EVALUATIONS_METRIC, validateMetricName } from '../vehicle/metric.ts';

/** The length of an interval. */
export type MetricInterval = 'minute' | 'hour' | 'day';

/** The arguments of a time series, as clients give them. */
export interface MetricsArguments {
  readonly metric: string;
  readonly from: Date;
  readonly to: Date;
  readonly interval: MetricInterval;
}

/** A query for the points of whole intervals. */
export interface PointsQuery {
  readonly metric: string;
  /** The start in Unix seconds, at the beginning of an interval. */
  readonly from: number;
  /** The end in Unix seconds, exclusive. */
  readonly to: number;
  readonly interval: MetricInterval;
}

/** The most intervals of one answer. */
const MAX_INTERVALS = 1_000;
const SECONDS: Readonly<Record<MetricInterval, number>> = { minute: 60, hour: 3_600, day: 86_400 };
/** The latest time, the year 2100 in Unix seconds, which the store can represent with room to spare. */
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
