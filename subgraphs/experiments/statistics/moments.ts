/**
 * Moments of many vehicles: their number, mean and sum of squared deviations from the mean (M2). Plain sums of squares
 * lose all digits when the mean is large compared with the spread; these do not, and two groups merge exactly.
 *
 * Source: Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37 (1983),
 * eq. 1.5; the co-moment: Pébay, Sandia report SAND2008-6212 (2008), eq. 3.6.
 */

/** The two arms of an experiment: `treatment` is the percentage_rollout's cohort, `control` the rest. */
export interface Arms<T> {
  readonly control: T;
  readonly treatment: T;
}

/** One number for each vehicle (the mean of its observations), summed up. */
export interface Moments {
  /** The number of vehicles. */
  readonly count: number;
  /** The mean; of no vehicles it is any number, and never read. */
  readonly mean: number;
  /** The sum of (value − mean)². */
  readonly m2: number;
}

/** Two numbers for each vehicle: its measurement, and the same metric's mean before the experiment (the covariate). */
export interface PairedMoments extends Moments {
  readonly covariateMean: number;
  readonly covariateM2: number;
  /** The sum of (value − mean)(covariate − covariateMean). */
  readonly comoment: number;
}

/** The reason why a number is missing; `docs/reference/statistics.md` explains each. */
export type Missing =
  | 'too-few-vehicles'
  | 'no-variance'
  | 'not-finite'
  | 'control-mean-near-zero'
  | 'too-early'
  | 'unbounded'
  | 'ratio-only'
  | 'contradictory'
  | 'no-history'
  | 'history-is-constant';

/** Checks whether a statistic could not be computed. */
export function isMissingNumber<T extends object | number>(result: T | Missing): result is Missing {
  return typeof result === 'string';
}

/** Applies `f` to both arms. */
export function mapArms<T, U>({ control, treatment }: Arms<T>, f: (arm: T) => U): Arms<U> {
  return { control: f(control), treatment: f(treatment) };
}

/** Merges the moments of two groups of vehicles, covariates included. */
export function mergePaired(a: PairedMoments, b: PairedMoments): PairedMoments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const step = b.mean - a.mean;
  const covariateStep = b.covariateMean - a.covariateMean;
  const share = b.count / count;
  const weight = a.count * share;
  return {
    count,
    mean: a.mean + step * share,
    m2: a.m2 + b.m2 + step * step * weight,
    covariateMean: a.covariateMean + covariateStep * share,
    covariateM2: a.covariateM2 + b.covariateM2 + covariateStep * covariateStep * weight,
    comoment: a.comoment + b.comoment + step * covariateStep * weight,
  };
}

/** Gives moments beside a covariate that is the same for all vehicles. */
export function withConstantCovariate({ count, mean, m2 }: Moments, covariateMean: number): PairedMoments {
  return { count, mean, m2, covariateMean, covariateM2: 0, comoment: 0 };
}

/** Gives the unbiased variance (divisor n − 1), in the metric's unit squared. For two vehicles or more. */
export function sampleVariance({ count, m2 }: Moments): number {
  return m2 / (count - 1);
}
