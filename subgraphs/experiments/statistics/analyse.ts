/**
 * Computes all numbers of an experiment from the sums of its arms and the evidence gathered so far, as
 * `ExperimentResults` shows them. Pure. A number that cannot be computed is null, with its reason in `missing`; NaN and
 * Infinity never come out.
 */
import { allVehicles, cuped, type ArmHistory } from './cuped.ts';
import { deltaPValue } from './welch/delta-p-value.ts';
import type { Split } from './evidence/split-evidence.ts';
import { detectableOf } from './exploration.ts';
import { isMissingNumber, mapArms, sampleVariance, type Arms, type Missing, type Moments } from './moments.ts';
import { sampleRatio, type SampleRatio } from './sample-ratio.ts';
import { compareSequentially, type GatheredEvidence } from './evidence/sequential-comparison.ts';
import type { Interval } from './welch/welch.ts';
import {
  missingBecause,
  compareByWelch,
  type ComparedNumbers,
  type WelchComparison,
  type MissingOf,
} from './welch/welch-comparison.ts';

/** The names of the two arms. */
export const VARIANTS = ['control', 'treatment'] as const satisfies readonly (keyof Arms<unknown>)[];
/** The name of an arm. */
export type Variant = (typeof VARIANTS)[number];

/** The sums of one arm: the vehicles of its buckets. */
export interface ArmSums extends ArmHistory {
  /** The number of measurements, before they were reduced to one number for each vehicle. */
  readonly observations: number;
  /** The vehicles that evaluated the flag or measured, whether they count or not. */
  readonly exposed: number;
  /** The vehicles whose number is out of the metric's range, and those that did not report in time. */
  readonly outOfRange: number;
  readonly neverReported: number;
  /** The vehicles that reported the other arm's variant, too. They count by their bucket, as all do. */
  readonly otherVariant: number;
}

/** The sums of both arms. */
export interface ExperimentSums {
  readonly arms: Arms<ArmSums>;
  /** The vehicles by their first exposure, for each time in which the planned share stayed the same. */
  readonly exposures: readonly Split[];
  /** The result of `logOfSplits` at the looks so far; absent without any. */
  readonly split?: number | undefined;
}

/** The plan by which an experiment is analysed. */
export interface AnalysisPlan {
  readonly confidenceLevel: number;
  /** Whether the experiment is before its planned end and size: then the sequential test decides. */
  readonly running: boolean;
}

/** The figures of one arm. */
export interface VariantSummary {
  readonly variant: Variant;
  /** The vehicles that count. */
  readonly vehicles: number;
  readonly observations: number;
  /** The mean of the vehicles' numbers; null without vehicles. */
  readonly mean: number | null;
  /** The standard deviation between vehicles; null with fewer than two. */
  readonly standardDeviation: number | null;
  readonly exposed: number;
  readonly outOfRange: number;
  readonly neverReported: number;
}

/** The numbers of both tests, and those of the one that decides in the place of the names without a prefix. */
export interface TestedNumbers extends ComparedNumbers {
  readonly sequentialPValue: number | null;
  readonly sequentialDifferenceInterval: Interval | null;
  /** The interval of `improvementPercent` that is valid at all looks together. */
  readonly sequentialConfidenceInterval: Interval | null;
  readonly fixedHorizonPValue: number | null;
  readonly fixedHorizonDifferenceInterval: Interval | null;
  readonly fixedHorizonConfidenceInterval: Interval | null;
  /** The p-value of a ratio of 1 by the delta method: to compare with other programs, and never a verdict. */
  readonly deltaPValue: number | null;
}

/** A number that could not be computed, and why. */
export type MissingNumber = MissingOf<keyof TestedNumbers | 'cuped'>;

/** The comparison by Welch's test after CUPED's adjustment. */
export interface CupedComparison extends WelchComparison {
  readonly theta: number;
  /** The fraction by which the variance of the difference is smaller; null when there is no difference to compare. */
  readonly varianceReduction: number | null;
  /** The share of vehicles with measurements before the start. */
  readonly coverage: number;
}

/** The test that decides `significant`. */
export type DecisionBasis = 'sequential' | 'fixed-horizon';

/** All numbers of an experiment. Every null of `TestedNumbers` and of `cuped` has its reason in `missing`. */
export interface Analysis extends TestedNumbers {
  readonly variants: readonly [control: VariantSummary, treatment: VariantSummary];
  /** Null without any history. */
  readonly cuped: CupedComparison | null;
  readonly significant: boolean;
  readonly decidedBy: DecisionBasis;
  /** The arm with the greater mean, when the difference is significant. */
  readonly winner: Variant | null;
  /** The smallest effect that the sequential test sees in about 80 % of cases; null where it is unknown. */
  readonly detectablePercent: number | null;
  readonly sampleRatioMismatch: SampleRatio;
  /** The vehicles that reported both variants. */
  readonly vehiclesInBothArms: number;
  readonly missing: readonly MissingNumber[];
}

const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null);

function summaryOf(variant: Variant, arm: ArmSums, moments: Moments): VariantSummary {
  const { count } = moments;
  const { observations, exposed, outOfRange, neverReported } = arm;
  return {
    variant,
    vehicles: count,
    observations,
    mean: count === 0 ? null : finiteOrNull(moments.mean),
    standardDeviation: count < 2 ? null : finiteOrNull(Math.sqrt(sampleVariance(moments))),
    exposed,
    outOfRange,
    neverReported,
  };
}

/** Gives the variance of the difference of the means, in the metric's unit squared. */
function varianceOfDifference({ control, treatment }: Arms<Moments>): number {
  return sampleVariance(control) / control.count + sampleVariance(treatment) / treatment.count;
}

function compareAdjusted(
  arms: Arms<ArmSums>,
  unadjusted: Arms<Moments>,
  confidenceLevel: number,
): CupedComparison | Missing {
  const adjustment = cuped(arms);
  if (isMissingNumber(adjustment)) return adjustment;
  const { theta, coverage, adjusted } = adjustment;
  return {
    ...compareByWelch(adjusted, confidenceLevel),
    theta,
    coverage,
    varianceReduction: finiteOrNull(1 - varianceOfDifference(adjusted) / varianceOfDifference(unadjusted)),
  };
}

/**
 * Gives the difference of the means in percent of the control's. Gives null where no interval of it is bounded, the
 * control's mean is 0 or an arm has no vehicles.
 */
function improvementOf({ control, treatment }: Arms<Moments>, bounded: boolean): number | null {
  if (!bounded || control.count === 0 || treatment.count === 0 || control.mean === 0) return null;
  return finiteOrNull((100 * (treatment.mean - control.mean)) / Math.abs(control.mean));
}

function compareBoth(
  arms: Arms<Moments>,
  gathered: GatheredEvidence,
  plan: AnalysisPlan,
): Omit<Analysis, 'variants' | 'cuped' | 'detectablePercent' | 'sampleRatioMismatch' | 'vehiclesInBothArms'> {
  const welch = compareByWelch(arms, plan.confidenceLevel);
  const vehicles = mapArms(arms, ({ count }) => count);
  const sequential = compareSequentially(gathered, vehicles, plan.confidenceLevel);
  const missing: MissingNumber[] = [];
  const orNull = <T extends object | number>(number: MissingNumber['number'], value: T | Missing): T | null => {
    if (!isMissingNumber(value)) return value;
    missing.push(...missingBecause(value, number));
    return null;
  };
  const reasonOf = (number: keyof ComparedNumbers) =>
    welch.missing.find((one) => one.number === number)?.reason ?? 'not-finite';
  const deciding = plan.running
    ? sequential
    : {
        pValue: welch.pValue ?? reasonOf('pValue'),
        differenceInterval: welch.differenceInterval ?? reasonOf('differenceInterval'),
        confidenceInterval: welch.confidenceInterval ?? reasonOf('confidenceInterval'),
      };
  const bounded = welch.confidenceInterval !== null || !isMissingNumber(sequential.confidenceInterval);
  const significant = plan.running
    ? sequential.significant
    : welch.pValue !== null && welch.pValue < 1 - plan.confidenceLevel;
  const ahead = plan.running ? sequential.shown : (welch.difference ?? 0) > 0 ? 'higher' : 'lower';
  return {
    difference: orNull('difference', welch.difference ?? reasonOf('difference')),
    pValue: orNull('pValue', deciding.pValue),
    differenceInterval: orNull('differenceInterval', deciding.differenceInterval),
    improvementPercent: orNull('improvementPercent', improvementOf(arms, bounded) ?? reasonOf('improvementPercent')),
    confidenceInterval: orNull('confidenceInterval', deciding.confidenceInterval),
    sequentialPValue: orNull('sequentialPValue', sequential.pValue),
    sequentialDifferenceInterval: orNull('sequentialDifferenceInterval', sequential.differenceInterval),
    sequentialConfidenceInterval: orNull('sequentialConfidenceInterval', sequential.confidenceInterval),
    fixedHorizonPValue: orNull('fixedHorizonPValue', welch.pValue ?? reasonOf('pValue')),
    fixedHorizonDifferenceInterval: orNull(
      'fixedHorizonDifferenceInterval',
      welch.differenceInterval ?? reasonOf('differenceInterval'),
    ),
    fixedHorizonConfidenceInterval: orNull(
      'fixedHorizonConfidenceInterval',
      welch.confidenceInterval ?? reasonOf('confidenceInterval'),
    ),
    deltaPValue: orNull('deltaPValue', deltaPValue(arms)),
    significant,
    decidedBy: plan.running ? 'sequential' : 'fixed-horizon',
    winner: !significant || ahead === null ? null : ahead === 'higher' ? 'treatment' : 'control',
    missing,
  };
}

/**
 * Analyses an experiment.
 *
 * While it runs, the sequential test decides, which may be read at any time; Welch's, for one look on the planned end
 * or size, decides there. CUPED's numbers are shown beside and decide nothing.
 *
 * @param sums finite or not, as the database gives them; counts are integers from 0
 */
export function analyse(
  { arms, exposures, split }: ExperimentSums,
  gathered: GatheredEvidence,
  plan: AnalysisPlan,
): Analysis {
  const vehicles = mapArms(arms, (arm) => allVehicles(arm));
  const compared = compareBoth(vehicles, gathered, plan);
  const adjusted = compareAdjusted(arms, vehicles, plan.confidenceLevel);
  return {
    ...compared,
    variants: [
      summaryOf('control', arms.control, vehicles.control),
      summaryOf('treatment', arms.treatment, vehicles.treatment),
    ],
    cuped: isMissingNumber(adjusted) ? null : adjusted,
    missing: isMissingNumber(adjusted)
      ? [...compared.missing, ...missingBecause(adjusted, 'cuped' as const)]
      : compared.missing,
    detectablePercent: detectableOf(vehicles, plan.confidenceLevel),
    sampleRatioMismatch: sampleRatio(exposures, split),
    vehiclesInBothArms: arms.control.otherVariant + arms.treatment.otherVariant,
  };
}
