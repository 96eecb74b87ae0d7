/**
 * The sample ratio, tested at every look: do the arms' sizes fit the shares that were planned? When they do not,
 * vehicles were lost on the way in one arm more than in the other, and no number can be trusted.
 *
 * For each epoch (the time in which the shares stay the same) the e-value is a Beta-binomial likelihood, whose prior
 * has its mean at the planned share, divided by that of the plan:
 *
 *   E = B(kθ + xT, k(1 − θ) + xC) / B(kθ, k(1 − θ)) / (θ^xT (1 − θ)^xC)
 *
 * Source: Lindon, Malek, "Anytime-Valid Inference for Multinomial Count Data", Advances in Neural Information
 * Processing Systems 35 (2022). A small k finds a gross mismatch among few vehicles, a great one a slight mismatch
 * among many; the mean over several does both.
 */
import gammaln from '@stdlib/math-base-special-gammaln';
import type { Arms } from '../moments.ts';
import { logMeanExp } from './bets.ts';

/** The vehicles of one epoch. */
export interface Split {
  /** The planned share of the treatment, 0 to 1. */
  readonly treatmentShare: number;
  readonly vehicles: Arms<number>;
}

const CONCENTRATIONS: readonly number[] = [2, 20, 200, 2_000];

const logBeta = (a: number, b: number) => gammaln(a) + gammaln(b) - gammaln(a + b);

/** Gives the logarithm of an epoch's e-value; Infinity where a vehicle is in an arm for which none was planned. */
export function logSplitEvidence({ treatmentShare: share, vehicles: { control, treatment } }: Split): number {
  if (!(share > 0 && share < 1)) return (share > 0 ? control : treatment) > 0 ? Infinity : 0;
  const planned = treatment * Math.log(share) + control * Math.log1p(-share);
  return logMeanExp(
    CONCENTRATIONS.map((k) => {
      const [a, b] = [k * share, k * (1 - share)];
      return logBeta(a + treatment, b + control) - logBeta(a, b) - planned;
    }),
  );
}
