/**
 * The range in which the numbers of a metric are compared: declared, or fixed before the first vehicle counts. What is
 * fixed stays so for as long as the rollout or the experiment runs, because a bet whose range followed the data could be
 * wrong. Pure. Source: docs/reference/statistics.md, "The range of a metric".
 */
import type { MetricDefinition, MetricKind } from '../definitions/metric-definition.ts';
import type { FrozenRange } from '../statistics/evidence/bets.ts';

/** How the vehicles of a metric become numbers, and the range of those. */
export interface Calibration {
  readonly kind: MetricKind;
  /** Whether the metric was declared (`defineMetric`) when it was calibrated. */
  readonly declared: boolean;
  /** As in MetricDefinition: beyond these a number is a fault. */
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** As in MetricDefinition, in milliseconds. */
  readonly window: number | null;
  /** The range to which numbers are cut. */
  readonly range: FrozenRange;
  /** What the range was taken from. */
  readonly source: 'declared' | 'history' | 'first-vehicles';
  /** The vehicles that the range was taken from, which do not count; empty unless the first vehicles were taken. */
  readonly spent: readonly string[];
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
/** Where the mean may lie in a declared range of which there is no history, in parts of the range. */
const CENTRES = [0.1, 0.35, 0.65];

const BINARY: FrozenRange = { low: 0, high: 1, centres: [] };

/** What is taken for granted of a metric that nobody declared: a mean, and a vehicle counts with its first measurement. */
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
  const [least, most] = [Math.min(sample.mean / 2, sample.mean * 2), Math.max(sample.mean / 2, sample.mean * 2)];
  const low = minimum ?? Math.min(sample.low, least);
  const cut = cap ?? maximum ?? Math.max(sample.high > low ? sample.high : sample.most, most);
  const high = cut > low ? cut : low + 1;
  return {
    kind,
    declared: definition !== null,
    minimum,
    maximum,
    window,
    range: { low, high, centres: [Math.min(high, Math.max(low, sample.mean))] },
    source: sample.source,
    spent: sample.vins,
  };
}
