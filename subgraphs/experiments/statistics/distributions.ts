/**
 * Distributions in the two forms that keep their digits in the far tails: a two-sided probability, and the value that
 * has it. `1 - cdf(x)` would be 0 from the eighth standard deviation on.
 */
import erfc from '@stdlib/math-base-special-erfc';
import erfcinv from '@stdlib/math-base-special-erfcinv';
import gammaln from '@stdlib/math-base-special-gammaln';
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

/** Gives P(Z ≤ z) for the standard normal distribution. */
export function normalCumulative(z: number): number {
  return erfc(-z / Math.SQRT2) / 2;
}

/**
 * Gives the z ≥ 0 with P(|Z| ≥ z) = `probability`; for a probability above 1 (up to 2) the z < 0 with P(Z ≥ z) =
 * `probability` / 2.
 */
export function normalCritical(probability: number): number {
  return Math.SQRT2 * erfcinv(probability);
}

/** The least logarithm for which the ordinary form still has all its digits. */
const LEAST_EXACT_LOG = -690;
/** The continued fraction's relative error, and a stand-in for a denominator of 0. */
const [PRECISION, TINY] = [1e-15, 1e-300];
/** The size above which adding 1 to the square changes no digit of a double. */
const GREAT = 1e9;
/** Convergence takes about √max(a, b) terms; this is enough for ten thousand million degrees of freedom. */
const MAX_TERMS = 200_000;

/**
 * Gives the continued fraction of I_x(a, b), for x < (a + 1)/(a + b + 2). Source: DLMF 8.17.22, evaluated by Lentz's
 * method.
 */
function betaFraction(x: number, a: number, b: number): number {
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let value = d;
  for (let m = 1; m <= MAX_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d || TINY);
    c = 1 + even / c || TINY;
    value *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d || TINY);
    c = 1 + odd / c || TINY;
    value *= d * c;
    if (Math.abs(d * c - 1) < PRECISION) break;
  }
  return value;
}

/**
 * Gives the natural logarithm of P(|T| ≥ |t|) for Student's t, where the probability itself may be too small for a
 * double.
 */
export function studentLogTwoSided(t: number, df: number): number {
  const direct = Math.log(studentTwoSided(t, df));
  if (direct > LEAST_EXACT_LOG) return direct;
  // P = I_x(df/2, 1/2) with x = df/(df + t²); both logarithms keep their digits when t² is small beside df or great.
  const [a, b, ratio] = [df / 2, 1 / 2, Math.abs(t) / Math.sqrt(df)];
  const logX = ratio > GREAT ? -2 * Math.log(ratio) : -Math.log1p(ratio ** 2);
  const logRest = -Math.log1p(ratio ** -2);
  const logBeta = gammaln(a) + gammaln(b) - gammaln(a + b);
  return a * logX + b * logRest - Math.log(a) - logBeta + Math.log(betaFraction(Math.exp(logX), a, b));
}
