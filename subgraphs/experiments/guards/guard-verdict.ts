/**
 * What the vehicles' measurements say of a rollout's guard. Pure. Which test, and why a look at any moment is safe:
 * docs/reference/statistics.md, "The guard of a rollout".
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

export interface GuardWatch extends RolloutGuard {
  /** Of the rollout, applied or not. */
  readonly steps: number;
  /** From 1; a watch begins with the start of the rollout, with each step, and each time that it is resumed. */
  readonly watch: number;
  readonly watchedSince: Date;
  /** Whether the rule gives the treatment to anybody. */
  readonly serves: boolean;
}

export interface Observed extends Pick<ExperimentSums, 'arms' | 'vehiclesInBothArms'> {
  /** When the last measurement under treatment since `watchedSince` arrived. */
  readonly lastMeasurementAt: Date | null;
}

export interface Judgement {
  readonly verdict: GuardVerdict;
  readonly figures: GuardFigures;
}

/** An arm about which everything is known. */
const known = (mean: number): Moments => ({ count: Number.MAX_SAFE_INTEGER, mean, m2: 0 });

const scaled = ({ count, mean, m2 }: Moments, factor: number): Moments => ({
  count,
  mean: mean * factor,
  m2: m2 * factor * factor,
});

/**
 * The chance that of so many vehicles, drawn in this order or any other, exactly these came to be the treatment: 1 /
 * C(n, k).
 */
function separation({ control, treatment }: Arms<Moments>): number {
  const few = Math.min(control.count, treatment.count);
  const others = Math.max(control.count, treatment.count);
  let chance = 1;
  for (let taken = 1; taken <= few && chance > 0; taken++) chance *= taken / (others + taken);
  return chance;
}

/**
 * The p-value, right at every look at once, of the treatment's mean being no worse than `limit`'s; 1 where it is
 * on the good side. Null when the numbers are beyond what a double holds.
 *
 * @param withoutSpread the p-value where each arm measured one and the same value, and the treatment's is the worse
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
 * The p-value of the guard's limit being kept. "More than x % worse" is relative to the size of control's mean, whose
 * sign the data may leave open: worse than (1 + x)·mean and than (1 − x)·mean is worse than both.
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

/** The treatment against the control in percent, with its interval; null where there is none. */
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

/** @param now by the same clock as `watchedSince` */
export function judge(
  guard: GuardWatch,
  { arms: sums, vehiclesInBothArms, lastMeasurementAt }: Observed,
  now: Date,
): Judgement {
  const arms = mapArms(sums, (arm): Moments => allVehicles(arm));
  const significance = falseAlarmShare(guard.confidenceLevel, guard.steps, guard.watch);
  // Sharpest where it may first speak: what is bad enough is to be seen at once.
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
