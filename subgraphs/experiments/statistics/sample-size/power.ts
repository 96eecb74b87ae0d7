/**
 * The power of the two-sample t-test: the probability that a noncentral t leaves the interval of the critical value. It
 * is the normal probability that it does so at a given estimate of the standard deviation, averaged over that estimate.
 *
 *   power = ∫ [Φ(δ − t* s) + Φ(−δ − t* s)] f(s) ds,   s² df ~ χ² with df = 2n − 2,   δ = d √(n/2)
 *
 * Source: Johnson, Kotz, Balakrishnan, "Continuous Univariate Distributions", volume 2 (1995), section 31.
 */
import gammaln from '@stdlib/math-base-special-gammaln';
import { normalCumulative, studentCritical } from '../distributions.ts';

/** The standard deviations of s on either side that are integrated over, and the steps of the integration. */
const [REACH, STEPS] = [9, 240];

/**
 * Gives the power.
 *
 * @param vehicles in each arm, from 2
 * @param effect the difference of the means in standard deviations
 * @param alpha the chance of a false alarm, two-sided
 */
export function powerOfTest(vehicles: number, effect: number, alpha: number): number {
  const df = 2 * vehicles - 2;
  const critical = studentCritical(alpha, df);
  const shift = Math.abs(effect) * Math.sqrt(vehicles / 2);
  // The density of s = √(χ²/df), from its logarithm.
  const scale = Math.log(2) + (df / 2) * Math.log(df / 2) - gammaln(df / 2);
  const density = (s: number) => Math.exp(scale + (df - 1) * Math.log(s) - (df * s * s) / 2);
  const width = REACH / Math.sqrt(2 * df);
  const from = Math.max(0, 1 - width);
  const step = (1 + width - from) / STEPS;
  // Simpson's rule.
  let sum = 0;
  for (let index = 0; index <= STEPS; index++) {
    const s = from + index * step;
    const weight = index === 0 || index === STEPS ? 1 : index % 2 === 1 ? 4 : 2;
    if (s > 0)
      sum += weight * density(s) * (normalCumulative(shift - critical * s) + normalCumulative(-shift - critical * s));
  }
  return (sum * step) / 3;
}
