/**
 * Computes all numbers of an experiment from the sums of its arms, as `ExperimentResults` shows them. Pure. A number
 * that cannot be computed is null, with its reason in `missing`; NaN and Infinity never come out.
 */
import { allVehicles, cuped, type ArmHistory } from './cuped.ts';
import { isMissing, mapArms, sampleVariance, type Arms, type Missing, type Moments } from './moments.ts';
import { relativeImprovement } from './relative-improvement.ts';
import { sampleRatio, type SampleRatio } from './sample-ratio.ts';
import { sequentialTest, type SequentialPlan } from './sequential.ts';
import { differenceInterval, welchCritical, welchTest, type Interval } from './welch.ts';

/** One of the two arms. */
export const VARIANTS = ['control', 'treatment'] as const satisfies readonly (keyof Arms<unknown>)[];
export type Variant = (typeof VARIANTS)[number];

/** The sums of one arm. */
export interface ArmSums extends ArmHistory {
  /** The number of measurements, before they were reduced to one number for each vehicle. */
  readonly observations: number;
}

/** The sums of both arms. */
export interface ExperimentSums {
  readonly arms: Arms<ArmSums>;
  /** The share of vehicles that was planned for the treatment, 0 to 1. */
  readonly treatmentShare: number;
  /** The number of vehicles seen in both arms; the sums contain none of them. */
  readonly vehiclesInBothArms: number;
}

/** The plan by which an experiment is analysed. */
export interface AnalysisPlan extends SequentialPlan {
  /**
   * Whether more measurements are to come: `significant` then uses the sequential p-value, which allows for repeated
   * looks.
   */
  readonly running: boolean;
}

/** The figures of one arm. */
export interface VariantSummary {
  readonly variant: Variant;
  readonly vehicles: number;
  readonly observations: number;
  /** The mean of the vehicles' means; null without vehicles. */
  readonly mean: number | null;
  /** The standard deviation between vehicles; null with fewer than two. */
  readonly standardDeviation: number | null;
}

/** One comparison of the arms. Every null has its reason in `missing`. */
export interface Comparison {
  /** Treatment minus control, in the metric's unit. */
  readonly difference: number | null;
  readonly differenceInterval: Interval | null;
  readonly pValue: number | null;
  readonly improvementPercent: number | null;
  /** The interval of `improvementPercent`. */
  readonly confidenceInterval: Interval | null;
  readonly sequentialPValue: number | null;
  /** The interval of `improvementPercent` that is valid at every look at once. */
  readonly sequentialConfidenceInterval: Interval | null;
  readonly missing: readonly MissingNumber[];
}

/** A number that could not be computed, and why. */
export interface MissingNumber {
  readonly number: Exclude<keyof Comparison, 'missing'> | 'cuped';
  readonly reason: Missing;
}

/** The comparison after CUPED's adjustment. */
export interface CupedComparison extends Comparison {
  readonly theta: number;
  /** The fraction by which the variance of the difference is smaller; null when there is no difference to compare. */
  readonly varianceReduction: number | null;
  /** The share of vehicles with measurements before the start. */
  readonly coverage: number;
}

/** The test that decides `significant`. */
export type DecisionBasis = 'sequential' | 'fixed-horizon';

/** All numbers of an experiment. */
export interface Analysis extends Comparison {
  readonly variants: readonly [control: VariantSummary, treatment: VariantSummary];
  /** Null without any history. */
  readonly cuped: CupedComparison | null;
  readonly significant: boolean;
  readonly decidedBy: DecisionBasis;
  /** The arm with the greater mean, when the difference is significant. */
  readonly winner: Variant | null;
  readonly sampleRatioMismatch: SampleRatio;
  readonly vehiclesInBothArms: number;
}

/** What a comparison without two comparable arms lacks. */
const NUMBERS = [
  'difference',
  'differenceInterval',
  'pValue',
  'improvementPercent',
  'confidenceInterval',
  'sequentialPValue',
  'sequentialConfidenceInterval',
] as const satisfies readonly MissingNumber['number'][];

const NOTHING = {
  difference: null,
  differenceInterval: null,
  pValue: null,
  improvementPercent: null,
  confidenceInterval: null,
  sequentialPValue: null,
  sequentialConfidenceInterval: null,
} satisfies Omit<Comparison, 'missing'>;

function because(reason: Missing, ...numbers: readonly MissingNumber['number'][]): MissingNumber[] {
  return numbers.map((number) => ({ number, reason }));
}

const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null);

function summaryOf(variant: Variant, observations: number, moments: Moments): VariantSummary {
  const { count } = moments;
  return {
    variant,
    vehicles: count,
    observations,
    mean: count === 0 ? null : finiteOrNull(moments.mean),
    standardDeviation: count < 2 ? null : finiteOrNull(Math.sqrt(sampleVariance(moments))),
  };
}

function compare(arms: Arms<Moments>, plan: AnalysisPlan): Comparison {
  const welch = welchTest(arms);
  if (isMissing(welch)) return { ...NOTHING, missing: because(welch, ...NUMBERS) };
  const missing: MissingNumber[] = [];
  const critical = welchCritical(welch, plan.confidenceLevel);
  const improvement = relativeImprovement(arms, critical);
  if (isMissing(improvement)) missing.push(...because(improvement, 'improvementPercent', 'confidenceInterval'));
  const sequential = sequentialTest(
    welch,
    mapArms(arms, ({ count }) => count),
    plan,
  );
  const always = sequential.critical === null ? 'too-early' : relativeImprovement(arms, sequential.critical);
  if (isMissing(always)) missing.push(...because(always, 'sequentialConfidenceInterval'));
  return {
    difference: welch.difference,
    differenceInterval: differenceInterval(welch, critical),
    pValue: welch.pValue,
    improvementPercent: isMissing(improvement) ? null : improvement.percent,
    confidenceInterval: isMissing(improvement) ? null : improvement.interval,
    sequentialPValue: sequential.pValue,
    sequentialConfidenceInterval: isMissing(always) ? null : always.interval,
    missing,
  };
}

/** Gives the variance of the difference of the means, in the metric's unit squared. */
function varianceOfDifference({ control, treatment }: Arms<Moments>): number {
  return sampleVariance(control) / control.count + sampleVariance(treatment) / treatment.count;
}

function compareAdjusted(
  arms: Arms<ArmSums>,
  unadjusted: Arms<Moments>,
  plan: AnalysisPlan,
): CupedComparison | Missing {
  const adjustment = cuped(arms);
  if (isMissing(adjustment)) return adjustment;
  const { theta, coverage, adjusted } = adjustment;
  return {
    ...compare(adjusted, plan),
    theta,
    coverage,
    varianceReduction: finiteOrNull(1 - varianceOfDifference(adjusted) / varianceOfDifference(unadjusted)),
  };
}

/**
 * Analyses an experiment.
 *
 * `significant` uses the sequential p-value while the experiment runs and Welch's once it is over: the latter is valid
 * for one look at the planned end. CUPED's numbers are shown beside and decide nothing.
 *
 * @param sums finite or not, as the database gives them; counts are integers from 0
 */
export function analyse({ arms, treatmentShare, vehiclesInBothArms }: ExperimentSums, plan: AnalysisPlan): Analysis {
  const vehicles = mapArms(arms, (arm) => allVehicles(arm));
  const comparison = compare(vehicles, plan);
  const adjusted = compareAdjusted(arms, vehicles, plan);
  const decisive = plan.running ? comparison.sequentialPValue : comparison.pValue;
  const significant = decisive !== null && decisive < 1 - plan.confidenceLevel;
  const leader: Variant = (comparison.difference ?? 0) > 0 ? 'treatment' : 'control';
  return {
    ...comparison,
    variants: [
      summaryOf('control', arms.control.observations, vehicles.control),
      summaryOf('treatment', arms.treatment.observations, vehicles.treatment),
    ],
    cuped: isMissing(adjusted) ? null : adjusted,
    missing: isMissing(adjusted) ? [...comparison.missing, ...because(adjusted, 'cuped')] : comparison.missing,
    significant,
    decidedBy: plan.running ? 'sequential' : 'fixed-horizon',
    winner: significant ? leader : null,
    sampleRatioMismatch: sampleRatio([{ treatmentShare, vehicles: mapArms(vehicles, ({ count }) => count) }]),
    vehiclesInBothArms,
  };
}
