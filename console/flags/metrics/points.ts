/** Points of a flag's metrics, as lines over time by variant. */
import type { MetricInterval, MetricPointsQuery } from '../../generated/operations.ts';

export type Point = NonNullable<MetricPointsQuery['flag']>['metrics'][number];

export const PERIODS = ['day', 'week', 'month', 'quarter'] as const;
export type Period = (typeof PERIODS)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The length of each period, and the intervals that it is divided into: at most 168 points a variant. */
const LENGTHS: Readonly<
  Record<Period, { readonly ms: number; readonly interval: MetricInterval; readonly stepMs: number }>
> = {
  day: { ms: DAY_MS, interval: 'HOUR', stepMs: HOUR_MS },
  week: { ms: 7 * DAY_MS, interval: 'HOUR', stepMs: HOUR_MS },
  month: { ms: 30 * DAY_MS, interval: 'DAY', stepMs: DAY_MS },
  quarter: { ms: 90 * DAY_MS, interval: 'DAY', stepMs: DAY_MS },
};

/** The arguments of the API for a period that ends now; they stay the same within an interval. */
export interface Span {
  readonly from: string;
  readonly to: string;
  readonly interval: MetricInterval;
}

/** @param now milliseconds since 1970 */
export function spanOf(period: Period, now: number): Span {
  const { ms, interval, stepMs } = LENGTHS[period];
  const end = Math.ceil(now / stepMs) * stepMs;
  return { from: new Date(end - ms).toISOString(), to: new Date(end).toISOString(), interval };
}

/**
 * Gives a line for each variant, that of the most measurements first, with null where nothing was measured: a gap is
 * not a line between its neighbours.
 */
export function linesByVariant(
  points: readonly Point[],
  period: Period,
  measure: (point: Point) => number,
): { readonly times: readonly number[]; readonly lines: readonly { name: string; values: (number | null)[] }[] } {
  if (points.length === 0) return { times: [], lines: [] };
  const { stepMs } = LENGTHS[period];
  const at = points.map((point) => Date.parse(point.at));
  const [first, last] = [Math.min(...at), Math.max(...at)];
  const times = Array.from({ length: Math.round((last - first) / stepMs) + 1 }, (_, index) => first + index * stepMs);
  const totals = new Map<string, number>();
  for (const { variant, count } of points) totals.set(variant, (totals.get(variant) ?? 0) + count);
  const variants = [...totals].sort(([a, one], [b, other]) => other - one || a.localeCompare(b)).map(([name]) => name);
  return {
    times,
    lines: variants.map((name) => {
      const values = new Map(
        points.flatMap((point) => (point.variant === name ? [[Date.parse(point.at), measure(point)] as const] : [])),
      );
      return { name, values: times.map((time) => values.get(time) ?? null) };
    }),
  };
}
