/**
 * The treatment's mean relative to the control's, in percent, with a delta-method interval.
 *
 *   R = (mT − mC) / |mC|,   Var(R) ≈ (vT/nT) / mC² + mT² (vC/nC) / mC⁴
 *
 * Source: Deng, Knoblich, Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 3.1 (percent change).
 * The absolute value keeps the sign that of the difference when a metric is negative.
 */
import type { Arms, Missing, Moments } from './moments.ts';
import { standardErrorOf, type Interval } from './welch.ts';

/** An improvement in percent with its interval. */
export interface RelativeImprovement {
  readonly percent: number;
  /** In percent, too. */
  readonly interval: Interval;
}

/**
 * Computes the improvement of arms that Welch's test could compare.
 *
 * @param critical the number of standard errors that the interval reaches to either side, as for the difference
 * @returns `control-mean-near-zero` when the control's own interval, at the same critical value, contains 0: then the
 * data do not bound the ratio (Fieller, J. R. Stat. Soc. B 16, 1954), and a percentage would be noise; `not-finite`
 * when the numbers exceed a double's range
 */
export function relativeImprovement(
  { control, treatment }: Arms<Moments>,
  critical: number,
): RelativeImprovement | Missing {
  const size = Math.abs(control.mean);
  const ofControl = standardErrorOf(control);
  if (size <= critical * ofControl) return 'control-mean-near-zero';
  const percent = (100 * (treatment.mean - control.mean)) / size;
  const standardError =
    100 * Math.hypot(standardErrorOf(treatment) / size, (treatment.mean / size) * (ofControl / size));
  const interval: Interval = [percent - critical * standardError, percent + critical * standardError];
  return interval.every(Number.isFinite) ? { percent, interval } : 'not-finite';
}
