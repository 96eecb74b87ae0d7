/**
 * The treatment's mean relative to the control's, in percent, with the interval of Fieller: all ratios that the test of
 * the difference, at the same critical value c, does not reject.
 *
 *   {ρ: |mT − (1 + ρ) mC| ≤ c √(vT/nT + (1 + ρ)² vC/nC)}
 *
 * So the interval leaves out 0 exactly when the test rejects. With R = mT/mC and g = c² (vC/nC)/mC² its ends are
 *
 *   1 + ρ = (R ± c √((1 − g)(vT/nT)/mC² + R² (vC/nC)/mC²))/(1 − g)
 *
 * Source: Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16 (1954). Percentages are of the size of
 * the control's mean, which keeps the sign that of the difference when a metric is negative.
 */
import type { Arms, Missing, Moments } from '../moments.ts';
import { standardErrorOf, type Interval } from './welch.ts';

/** An improvement in percent with its interval. */
export interface RelativeImprovement {
  readonly percent: number;
  /** The confidence interval, in percent as well. */
  readonly interval: Interval;
}

/**
 * Computes the improvement of arms that Welch's test could compare.
 *
 * @param critical the number of standard errors that the interval reaches to either side, as for the difference
 * @returns `control-mean-near-zero` when the control's own interval, at the same critical value, contains 0: then the
 * data do not bound the ratio, and a percentage would be noise; `not-finite` when the numbers exceed a double's range
 */
export function relativeImprovement(
  { control, treatment }: Arms<Moments>,
  critical: number,
): RelativeImprovement | Missing {
  const size = Math.abs(control.mean);
  const ofControl = (critical * standardErrorOf(control)) / size;
  if (!(ofControl < 1)) return 'control-mean-near-zero';
  const ofTreatment = (critical * standardErrorOf(treatment)) / size;
  // In units of the control's size, so that squares stay within a double's range; the sign makes more be above.
  const sign = Math.sign(control.mean);
  const [centre, left] = [treatment.mean / size, (1 - ofControl) * (1 + ofControl)];
  const reach = Math.hypot(Math.sqrt(left) * ofTreatment, centre * ofControl);
  const percent = (100 * (treatment.mean - control.mean)) / size;
  // (centre ± reach)/left − sign, without subtracting numbers that are nearly equal.
  const shift = 100 * (sign * ofControl ** 2);
  const interval: Interval = [(percent + shift - 100 * reach) / left, (percent + shift + 100 * reach) / left];
  return [percent, ...interval].every(Number.isFinite) ? { percent, interval } : 'not-finite';
}
