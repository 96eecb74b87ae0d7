/**
 * Distributions in the two forms that keep their digits in the far tails: a two-sided probability, and the value that
 * has it. `1 - cdf(x)` would be 0 from the eighth standard deviation on.
 */
import erfc from '@stdlib/math-base-special-erfc';
import erfcinv from '@stdlib/math-base-special-erfcinv';
import betainc from '@stdlib/math-base-special-betainc';
import studentCdf from '@stdlib/stats-base-dists-t-cdf';
import studentQuantile from '@stdlib/stats-base-dists-t-quantile';

/** Gives P(|T| ≥ |t|) for Student's t with `df` degrees of freedom (a fraction is fine). */
export function studentTwoSided(t: number, df: number): number {
  return 2 * studentCdf(-Math.abs(t), df);
}

/** Gives the t ≥ 0 with P(|T| ≥ t) = `probability`; Infinity when it exceeds a double's range. */
export function studentCritical(probability: number, df: number): number {
  return Math.abs(studentQuantile(probability / 2, df));
}

/** Gives P(|Z| ≥ |z|) for the standard normal distribution. */
export function normalTwoSided(z: number): number {
  return erfc(Math.abs(z) / Math.SQRT2);
}

/**
 * Gives the z ≥ 0 with P(|Z| ≥ z) = `probability`; for a probability above 1 (up to 2) the z < 0 with P(Z ≥ z) =
 * `probability` / 2.
 */
export function normalCritical(probability: number): number {
  return Math.SQRT2 * erfcinv(probability);
}

/**
 * Gives P(X ≥ `x`) and P(X ≤ `x`) of a binomial X: `trials`, each with probability `p`. `x` is an integer from 0 to
 * `trials`.
 */
export function binomialTails(
  x: number,
  trials: number,
  p: number,
): { readonly upper: number; readonly lower: number } {
  // DLMF 8.17.5: P(X ≥ x) = I_p(x, n − x + 1).
  return {
    upper: x === 0 ? 1 : betainc(p, x, trials - x + 1, true, false),
    lower: x === trials ? 1 : betainc(p, x + 1, trials - x, true, true),
  };
}
