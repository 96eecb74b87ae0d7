/**
 * Welch's t-test, two-sided: does the mean of the treatment's vehicles differ from that of the control's? The arms may
 * differ in size and in variance. A binary metric is the same with 0 and 1.
 *
 *   t  = (mT − mC) / s,   s² = vT/nT + vC/nC
 *   df = s⁴ / ((vT/nT)²/(nT − 1) + (vC/nC)²/(nC − 1))
 *
 * Source: Welch, "The generalization of 'Student's' problem when several different population variances are involved",
 * Biometrika 34 (1947), 28–35; df: Satterthwaite, Biometrics Bulletin 2 (1946), eq. 17.
 */
import { studentCritical, studentLogTwoSided, studentTwoSided } from '../distributions.ts';
import { sampleVariance, type Arms, type Missing, type Moments } from '../moments.ts';

/** The outcome of Welch's test. */
export interface WelchTest {
  /** Treatment minus control, in the metric's unit. */
  readonly difference: number;
  /** The standard error of the difference. */
  readonly standardError: number;
  readonly degreesOfFreedom: number;
  readonly t: number;
  /** Never 0: below the least positive double it is that, and `logPValue` has its digits. */
  readonly pValue: number;
  /** The natural logarithm of the p-value. */
  readonly logPValue: number;
}

/** The interval's ends. */
export type Interval = readonly [low: number, high: number];

/** Computing a variance needs two vehicles. */
const MIN_VEHICLES = 2;
/**
 * A spread below the rounding of the means is only rounding: means that a database computed of equal values differ in
 * the last bit. The factor is that of R's `t.test` ("data are essentially constant").
 */
const ESSENTIALLY_CONSTANT = 10 * Number.EPSILON;

/** Checks whether a standard error is no more than the rounding of its means. */
export function isRounding(standardError: number, ...means: readonly number[]): boolean {
  return standardError <= ESSENTIALLY_CONSTANT * Math.max(...means.map(Math.abs));
}

/** Gives the standard error of an arm's mean, in the metric's unit. */
export function standardErrorOf(arm: Moments): number {
  return Math.sqrt(sampleVariance(arm) / arm.count);
}

/**
 * Runs Welch's test on the arms' vehicle means.
 *
 * @returns the test; `too-few-vehicles` when an arm has fewer than two, `no-variance` when all vehicles of each arm
 * measured the same (equal between the arms or not: without spread nothing shows what chance would do), `not-finite`
 * when the numbers exceed a double's range
 */
export function welchTest({ control, treatment }: Arms<Moments>): WelchTest | Missing {
  if (control.count < MIN_VEHICLES || treatment.count < MIN_VEHICLES) return 'too-few-vehicles';
  const difference = treatment.mean - control.mean;
  const [ofTreatment, ofControl] = [standardErrorOf(treatment), standardErrorOf(control)];
  const standardError = Math.hypot(ofTreatment, ofControl);
  if (!Number.isFinite(difference) || !Number.isFinite(standardError)) return 'not-finite';
  if (isRounding(standardError, treatment.mean, control.mean)) return 'no-variance';
  const t = difference / standardError;
  // The formula uses shares, because fourth powers of the errors would exceed the range of a double.
  const share = (ofTreatment / standardError) ** 2;
  const degreesOfFreedom = 1 / (share ** 2 / (treatment.count - 1) + (1 - share) ** 2 / (control.count - 1));
  const pValue = Math.max(Number.MIN_VALUE, studentTwoSided(t, degreesOfFreedom));
  const logPValue = studentLogTwoSided(t, degreesOfFreedom);
  return { difference, standardError, degreesOfFreedom, t, pValue, logPValue };
}

/**
 * Gives the number of standard errors that the test's interval reaches to either side, at a confidence level between 0
 * and 1.
 */
export function welchCritical({ degreesOfFreedom }: WelchTest, confidenceLevel: number): number {
  return studentCritical(1 - confidenceLevel, degreesOfFreedom);
}

/**
 * Gives the difference's interval of `critical` standard errors. It excludes 0 exactly when the test with that critical
 * value rejects.
 */
export function differenceInterval({ difference, standardError }: WelchTest, critical: number): Interval {
  return [difference - critical * standardError, difference + critical * standardError];
}
