/**
 * The sequential test: a p-value and an interval that hold at every look at once, so that an experiment may be watched
 * and stopped at any moment. It is the normal-mixture confidence sequence: with K = n ρ²,
 *
 *   p = √(1 + K) · exp(−z²/2 · K/(1 + K)),   critical z² = 2 (1 + K)/K · (ln(1/α) + ln(1 + K)/2)
 *   ρ² = (−2 ln α + ln(1 − 2 ln α)) / n*
 *
 * Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
 * sequences", Annals of Statistics 52 (2024): the sequence is theorem 2.2, ρ for a planned size n* is from its appendix
 * on tuning; the mixture goes back to Robbins, Annals of Mathematical Statistics 41 (1970). The same mixture with a
 * fixed prior variance is the mSPRT of Johari, Koomen, Pekelis, Walsh, "Always Valid Inference", Operations Research 70
 * (2022); that variance is in the metric's unit squared and has to be guessed, while ρ follows from the plan and no
 * scale of the metric changes p.
 *
 * Two things are ours. n is the size of an experiment with equal arms and the same information, 4 nT nC/(nT + nC), so
 * that an arm of 1 % does not make the plan look fulfilled. And z is the normal score of Welch's t (that of the same
 * p), not t itself, since the theorem is one for large n and the first looks are at few vehicles.
 */
import { normalCritical, normalTwoSided, studentCritical } from './distributions.ts';
import type { Arms } from './moments.ts';
import type { WelchTest } from './welch.ts';

/** The plan of a sequential test. */
export interface SequentialPlan {
  /** The planned number of vehicles in each arm: the interval is narrowest there, and valid everywhere. */
  readonly vehiclesInEachArm: number;
  readonly confidenceLevel: number;
}

/** The outcome of a sequential test. */
export interface SequentialTest {
  /**
   * Below the level with at most that level's probability, over all looks together. It may rise again between looks.
   */
  readonly pValue: number;
  /**
   * The number of standard errors that the interval reaches to either side; null while that exceeds a double's range.
   */
  readonly critical: number | null;
}

/**
 * Runs the sequential test on a Welch test of the vehicles so far.
 *
 * @param vehicles the numbers of compared vehicles in each arm
 */
export function sequentialTest(
  welch: WelchTest,
  vehicles: Arms<number>,
  { vehiclesInEachArm, confidenceLevel }: SequentialPlan,
): SequentialTest {
  const evidence = -Math.log(1 - confidenceLevel);
  const size = (4 * vehicles.control * vehicles.treatment) / (vehicles.control + vehicles.treatment);
  const k = (size / (2 * vehiclesInEachArm)) * (2 * evidence + Math.log1p(2 * evidence));
  const z = normalCritical(welch.pValue);
  const pValue = Math.min(1, Math.exp(Math.log1p(k) / 2 - ((z * z) / 2) * (k / (1 + k))));
  const criticalZ = Math.sqrt(2 * ((1 + k) / k) * (evidence + Math.log1p(k) / 2));
  const critical = studentCritical(normalTwoSided(criticalZ), welch.degreesOfFreedom);
  return { pValue, critical: Number.isFinite(critical) ? critical : null };
}
