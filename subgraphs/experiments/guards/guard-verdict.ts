/**
 * Judges a rollout's guard by the vehicles' measurements. Pure. docs/reference/statistics.md, "The guard of a rollout",
 * says which test this is and why it may be repeated at any moment.
 */
import {
  falseAlarmShare,
  type GuardFigures,
  type GuardVerdict,
  type RolloutGuard,
} from '../../../core/rollouts/rollout-guard.ts';
import type { ExperimentSums } from '../statistics/analyse.ts';
import { allVehicles } from '../statistics/cuped.ts';
import { isMissing, mapArms, type Arms, type Moments } from '../statistics/moments.ts';
import { relativeImprovement, type RelativeImprovement } from '../statistics/relative-improvement.ts';
import { sequentialTest, type SequentialPlan } from '../statistics/sequential.ts';
import { isRounding, welchTest } from '../statistics/welch.ts';

/** A guard and the state of its watch. */
export interface GuardWatch extends RolloutGuard {
  /** The number of the rollout's steps, applied or not. */
  readonly steps: number;
  /**
   * The number of the watch, from 1. A watch begins with the start of the rollout, with each step and with each
   * resumption.
   */
  readonly watch: number;
  readonly watchedSince: Date;
  /** Whether the rule gives the treatment to any vehicle. */
  readonly serves: boolean;
}

/** The measurements of a watch. */
export interface Observed extends Pick<ExperimentSums, 'arms' | 'vehiclesInBothArms'> {
  /** The arrival time of the last measurement under treatment since `watchedSince`; null without one. */
  readonly lastMeasurementAt: Date | null;
}

/** A verdict with the figures on which it is based. */
export interface Judgement {
  readonly verdict: GuardVerdict;
  readonly figures: GuardFigures;
}

/** Gives an arm whose mean is known exactly. */
const known = (mean: number): Moments => ({ count: Number.MAX_SAFE_INTEGER, mean, m2: 0 });

const scaled = ({ count, mean, m2 }: Moments, factor: number): Moments => ({
  count,
  mean: mean * factor,
  m2: m2 * factor * factor,
});

/** Gives the probability that exactly these of so many vehicles, in any order, became the treatment: 1 / C(n, k). */
function separation({ control, treatment }: Arms<Moments>): number {
  const few = Math.min(control.count, treatment.count);
  const others = Math.max(control.count, treatment.count);
  let chance = 1;
  for (let taken = 1; taken <= few && chance > 0; taken++) chance *= taken / (others + taken);
  return chance;
}

/**
 * Gives the p-value, valid at every look at once, of the treatment's mean being no worse than `limit`'s; 1 when it is
 * better. Null when the numbers exceed a double's range.
 *
 * @param withoutSpread gives the p-value when each arm measured one constant value, and the treatment's is worse
 */
function pOfNoWorse(arms: Arms<Moments>, worse: 1 | -1, plan: SequentialPlan, withoutSpread: number): number | null {
  const welch = welchTest(arms);
  if (isMissing(welch)) {
    if (welch !== 'no-variance') return null;
    const difference = arms.treatment.mean - arms.control.mean;
    return worse * difference > 0 && !isRounding(Math.abs(difference), arms.treatment.mean, arms.control.mean)
      ? withoutSpread
      : 1;
  }
  return worse * welch.difference > 0
    ? sequentialTest(
        welch,
        mapArms(arms, ({ count }) => count),
        plan,
      ).pValue
    : 1;
}

/**
 * Gives the p-value of the guard's limit being kept. "More than x % worse" is relative to the size of the control's
 * mean, whose sign the data may leave open: being worse than (1 + x)·mean and than (1 − x)·mean is worse than both.
 */
function pOfKept(
  { bound, maxWorsePercent, worse }: RolloutGuard,
  arms: Arms<Moments>,
  plan: SequentialPlan,
): number | null {
  const direction = worse === 'higher' ? 1 : -1;
  if (bound !== null)
    return pOfNoWorse(
      { control: known(bound), treatment: arms.treatment },
      direction,
      plan,
      0.5 ** arms.treatment.count,
    );
  const share = (maxWorsePercent ?? 0) / 100;
  const [above, below] = [1 + share, 1 - share].map((factor) =>
    pOfNoWorse({ ...arms, control: scaled(arms.control, factor) }, direction, plan, separation(arms)),
  );
  return typeof above === 'number' && typeof below === 'number' ? Math.max(above, below) : null;
}

/** Compares the treatment with the control in percent, with an interval; null when that cannot be computed. */
function comparison(arms: Arms<Moments>, plan: SequentialPlan): RelativeImprovement | null {
  const welch = welchTest(arms);
  if (isMissing(welch)) return null;
  const { critical } = sequentialTest(
    welch,
    mapArms(arms, ({ count }) => count),
    plan,
  );
  const improvement = critical === null ? 'too-early' : relativeImprovement(arms, critical);
  return isMissing(improvement) ? null : improvement;
}

const meanOf = ({ count, mean }: Moments) => (count > 0 && Number.isFinite(mean) ? mean : null);

/**
 * Judges the guard.
 *
 * @param now by the same clock as `watchedSince`
 */
export function judge(
  guard: GuardWatch,
  { arms: sums, vehiclesInBothArms, lastMeasurementAt }: Observed,
  now: Date,
): Judgement {
  const arms = mapArms(sums, (arm): Moments => allVehicles(arm));
  const significance = falseAlarmShare(guard.confidenceLevel, guard.steps, guard.watch);
  // The test is sharpest at its first possible look, because a severe regression must be found at once.
  const plan = { vehiclesInEachArm: guard.minimumVehicles, confidenceLevel: 1 - significance };
  const compared = guard.bound === null ? [arms.control, arms.treatment] : [arms.treatment];
  const enough = compared.every(({ count }) => count >= guard.minimumVehicles);
  const pValue = enough ? pOfKept(guard, arms, plan) : null;
  const improvement = comparison(arms, plan);
  const [low, high] = improvement?.interval ?? [];
  const direction = guard.worse === 'higher' ? 1 : -1;
  const ends =
    low === undefined || high === undefined
      ? null
      : direction === 1
        ? ([low, high] as const)
        : ([-high, -low] as const);
  const figures: GuardFigures = {
    controlVehicles: arms.control.count,
    treatmentVehicles: arms.treatment.count,
    vehiclesInBothArms,
    controlMean: meanOf(arms.control),
    treatmentMean: meanOf(arms.treatment),
    worsePercent: improvement === null ? null : direction * improvement.percent,
    worsePercentInterval: ends,
    pValue,
    significance,
    lastMeasurementAt: lastMeasurementAt?.toISOString() ?? null,
  };
  const heard = Math.max(guard.watchedSince.getTime(), lastMeasurementAt?.getTime() ?? 0);
  const silent = guard.serves && now.getTime() - heard >= guard.silence;
  if (pValue !== null && pValue < significance) return { verdict: 'crossed', figures };
  if (silent) return { verdict: 'silent', figures };
  return { verdict: pValue === null ? 'waiting' : 'holding', figures };
}
