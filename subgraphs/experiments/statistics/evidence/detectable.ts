/**
 * The smallest effect that a test which may be looked at at any time shows in about 80 % of cases, with the vehicles that
 * there are: where it is large, "no harm seen" says little. The normal approximation of the bets: the capital of the
 * best of them grows to exp(z²/2), and a third of that remains of a mixture.
 */
import type { Arms } from '../moments.ts';

/** A mean of vehicles, with its variance. */
export interface Estimate {
  readonly vehicles: number;
  readonly mean: number;
  /** Of the vehicles' numbers, in their unit squared. */
  readonly variance: number;
}

/** The normal quantile of 80 %. */
const POWER_QUANTILE = 0.8416;
const PART_OF_MIXTURE = 1 / 3;

/**
 * Gives the effect in percent of the control's mean; null where nothing can be said yet.
 *
 * @param logNeeded the logarithm that the evidence has to reach
 */
export function detectablePercent({ control, treatment }: Arms<Estimate>, logNeeded: number): number | null {
  const reach = Math.sqrt(2 * (logNeeded - Math.log(PART_OF_MIXTURE))) + POWER_QUANTILE;
  const error = Math.sqrt(treatment.variance / treatment.vehicles + control.variance / control.vehicles);
  const percent = (100 * reach * error) / Math.abs(control.mean);
  return Number.isFinite(percent) && percent > 0 ? percent : null;
}
