/**
 * The smallest effect that a test which may be read at any time shows in about 80 % of cases, with the vehicles that
 * there are. Where it is large, "no harm seen" says little. The normal approximation of the bets: the capital of the
 * best of them grows to exp(z²/2), and a third of that remains of a mixture. The treatment's variance is taken to grow
 * with its mean, as that of events does: with the variance that there is without an effect, 60 % of the cases of rare
 * events were seen.
 */
import type { Arms } from '../moments.ts';

/** A mean of vehicles, with its variance. */
export interface Estimate {
  readonly vehicles: number;
  readonly mean: number;
  /** The variance of the vehicles' numbers, in their unit squared. */
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
  const part = ({ variance, vehicles }: Estimate) => (reach / control.mean) ** 2 * (variance / vehicles);
  const [ofTreatment, ofControl] = [part(treatment), part(control)];
  // d² = (1 + d) ofTreatment + ofControl
  const percent = 50 * (ofTreatment + Math.sqrt(ofTreatment ** 2 + 4 * (ofTreatment + ofControl)));
  return Number.isFinite(percent) && percent > 0 ? percent : null;
}
