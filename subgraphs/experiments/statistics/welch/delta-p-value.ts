/**
 * The p-value of the *ratio* of the means being 1, by the delta method. It is another approximation than the test that
 * decides, and may disagree with it at the edge: a number to compare with other programs, and never a verdict.
 *
 *   t = (mT/mC − 1)/s,   s² = (vT/nT)/mC² + mT² (vC/nC)/mC⁴,   the degrees of freedom of Welch's test
 *
 * Source: Deng, Knoblich, Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 3.1.
 */
import { studentTwoSided } from '../distributions.ts';
import { isMissingNumber, type Arms, type Missing, type Moments } from '../moments.ts';
import { standardErrorOf, welchTest } from './welch.ts';

/** Computes the p-value, or gives the reason why there is none. */
export function deltaPValue(arms: Arms<Moments>): number | Missing {
  const welch = welchTest(arms);
  if (isMissingNumber(welch)) return welch;
  const { control, treatment } = arms;
  const size = Math.abs(control.mean);
  if (size === 0) return 'control-mean-near-zero';
  const standardError = Math.hypot(
    standardErrorOf(treatment) / size,
    (treatment.mean / size) * (standardErrorOf(control) / size),
  );
  const pValue = studentTwoSided(welch.difference / size / standardError, welch.degreesOfFreedom);
  return Number.isFinite(pValue) ? pValue : 'not-finite';
}
