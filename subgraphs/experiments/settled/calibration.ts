/**
 * The range in which the numbers of a metric are compared: declared, or fixed before the first vehicle counts. What is
 * fixed stays so for as long as the rollout or the experiment runs, because a bet whose range followed the data could
 * be wrong. Pure. Source: docs/reference/statistics.md, "The range of a metric".
 */
import { isDeepStrictEqual } from 'node:util';
import type { MetricDefinition, MetricKind } from '../definitions/metric-definition.ts';
import type { FrozenRange } from '../statistics/evidence/bets.ts';

/** The way in which the vehicles of a metric become numbers, and the range of those. */
export interface Calibration {
  readonly kind: MetricKind;
  /** Whether the metric was declared (`defineMetric`) when it was calibrated. */
  readonly declared: boolean;
  /** The limits of MetricDefinition: a number beyond them is a fault. */
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** The window of MetricDefinition, in milliseconds. */
  readonly window: number | null;
  /** The range to which numbers are cut. */
  readonly range: FrozenRange;
  /** The source of the range. */
  readonly source: 'declared' | 'history' | 'first-vehicles';
  /** The vehicles that the range was taken from, which do not count; empty unless the first vehicles were taken. */
  readonly spent: readonly string[];
}

/**
 * Says whether two looks have the same range. The order of members does not count: PostgreSQL gives them in its own.
 */
export function isSameCalibration(one: Calibration | null, other: Calibration | null): boolean {
  return isDeepStrictEqual(one, other);
}

/** The numbers of vehicles from which a range is taken. */
export interface Sample {
  readonly source: 'history' | 'first-vehicles';
  readonly vehicles: number;
  /** The mean of the numbers, cut at their 1st and 99th percentiles. */
  readonly mean: number;
  /** The 1st and the 99th percentile of the numbers, and the greatest. */
  readonly low: number;
  readonly high: number;
  readonly most: number;
  /** Whether all numbers are 0 or 1. */
  readonly binary: boolean;
  /** Their VINs; empty for a history. */
  readonly vins: readonly string[];
}

/** The vehicles that a cap is taken from: the 99th percentile of fewer is hardly more than their maximum. */
export const CAP_VEHICLES = 200;
/** The vehicles of a history from which the centre of a declared range is taken. */
const CENTRE_VEHICLES = 20;
/** The place of the mean in a declared range that has no history, in parts of the range. */
const CENTRES = [0.1, 0.35, 0.65];

/** The size from which on numbers are cut: sums, ratios and bets of the greatest doubles would not be finite. */
const LARGEST = 1e300;
const within = (number: number, least: number, most: number) => Math.min(most, Math.max(least, number));

const BINARY: FrozenRange = { low: 0, high: 1, centres: [] };

/** The assumption about a metric that nobody declared: a mean, and a vehicle counts with its first measurement. */
export const UNDECLARED = { kind: 'mean', minimum: null, maximum: null, cap: null, window: null } as const;

/** Gives the range that is declared of a metric, without its centres; null where an end of it is left open. */
function declaredRange(definition: MetricDefinition | null): Pick<FrozenRange, 'low' | 'high'> | null {
  const high = definition?.cap ?? definition?.maximum ?? null;
  return definition === null || definition.minimum === null || high === null ? null : { low: definition.minimum, high };
}

/**
 * Gives the calibration of a metric whose range is declared, by the history of its vehicles if there is enough of it;
 * null where the range is not declared.
 */
export function calibrateDeclared(definition: MetricDefinition | null, history: Sample): Calibration | null {
  const range = declaredRange(definition);
  if (definition === null || range === null) return null;
  if (definition.kind === 'proportion') return binaryCalibration(definition);
  const { low, high } = range;
  const { kind, minimum, maximum, window } = definition;
  const centres =
    history.vehicles >= CENTRE_VEHICLES
      ? [Math.min(high, Math.max(low, history.mean))]
      : CENTRES.map((part) => low + part * (high - low));
  return {
    kind,
    declared: true,
    minimum,
    maximum,
    window,
    range: { low, high, centres },
    source: 'declared',
    spent: [],
  };
}

/** Gives the calibration of a metric whose numbers are 0 and 1. */
export function binaryCalibration(definition: MetricDefinition | null): Calibration {
  return {
    kind: 'proportion',
    declared: definition !== null,
    minimum: 0,
    maximum: 1,
    window: definition?.window ?? null,
    range: BINARY,
    source: 'declared',
    spent: [],
  };
}

/**
 * Calibrates a metric whose range is not declared by a sample of at least CAP_VEHICLES: its numbers are cut at the
 * sample's 99th percentile, and where there is no minimum at the 1st.
 */
export function calibrate(definition: MetricDefinition | null, sample: Sample): Calibration {
  const { kind, minimum, maximum, cap, window } = definition ?? UNDECLARED;
  if (definition === null && sample.binary)
    return { ...binaryCalibration(definition), source: sample.source, spent: sample.vins };
  // Half the mean and twice the mean stay visible where all numbers are nearly the same.
  // The mean of the greatest doubles may be none.
  const mean = Number.isNaN(sample.mean)
    ? sample.low / 2 + sample.high / 2
    : within(sample.mean, sample.low, sample.high);
  const [least, most] = [Math.min(mean / 2, mean * 2), Math.max(mean / 2, mean * 2)];
  const low = minimum ?? within(Math.min(sample.low, least), -LARGEST, LARGEST / 2);
  const cut =
    cap ?? maximum ?? within(Math.max(sample.high > low ? sample.high : sample.most, most), -LARGEST, LARGEST);
  const high = cut > low ? cut : low + Math.max(1, Math.abs(low) / 1e6);
  return {
    kind,
    declared: definition !== null,
    minimum,
    maximum,
    window,
    range: { low, high, centres: [within(mean, low, high)] },
    source: sample.source,
    spent: sample.vins,
  };
}
