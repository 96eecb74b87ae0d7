/**
 * CUPED: what a vehicle measured before the experiment explains part of how it differs from others now. Taking that
 * part out leaves the difference of the arms as it is and makes its standard error smaller, by a factor √(1 − r²).
 *
 *   Y' = Y − θ (X − x̄),   θ = cov(Y, X) / var(X), pooled over the arms, x̄ over all vehicles
 *
 * Source: Deng, Xu, Kohavi, Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing
 * Pre-Experiment Data", WSDM 2013: θ is eq. 4.
 *
 * A vehicle with no measurement before the start gets x̄ for X, so it stays in with its Y unchanged: whether a vehicle
 * has history was settled before it was assigned, so this favours no arm. θ is the slope within the arms (a slope
 * through both arms as one group would take part of the effect for history).
 */
import {
  mapArms,
  mergePaired,
  withConstantCovariate,
  type Arms,
  type Missing,
  type Moments,
  type PairedMoments,
} from './moments.ts';
import { isRounding } from './welch/welch.ts';

/** The vehicles of an arm, by whether they measured the metric before the experiment's start. */
export interface ArmHistory {
  readonly withHistory: PairedMoments;
  readonly withoutHistory: Moments;
}

/** The adjusted arms. */
export interface Cuped {
  readonly theta: number;
  /** The vehicles' adjusted measurements. */
  readonly adjusted: Arms<Moments>;
  /** The share of vehicles that have history. */
  readonly coverage: number;
}

/** A remainder of a subtraction below this part of the first number is only rounding: none of its digits is right. */
const ROUNDING = 32 * Number.EPSILON;

/** Gives all vehicles of an arm, with the pooled covariate for those that have none of their own. */
export function allVehicles({ withHistory, withoutHistory }: ArmHistory, covariateMean = 0): PairedMoments {
  return mergePaired(withHistory, withConstantCovariate(withoutHistory, covariateMean));
}

/** Gives the pooled slope of the measurement on the covariate, within the arms. */
function slope({ control, treatment }: Arms<PairedMoments>): number | null {
  const spread = control.covariateM2 + treatment.covariateM2;
  const standardDeviation = Math.sqrt(spread / (control.count + treatment.count));
  return isRounding(standardDeviation, control.covariateMean, treatment.covariateMean)
    ? null
    : (control.comoment + treatment.comoment) / spread;
}

/**
 * Adjusts the arms for the vehicles' history.
 *
 * @returns `no-history` when no vehicle has any, `history-is-constant` when it was the same for all that have it,
 * `not-finite` when the numbers exceed a double's range
 */
export function cuped(arms: Arms<ArmHistory>): Cuped | Missing {
  const known = mergePaired(arms.control.withHistory, arms.treatment.withHistory);
  if (known.count === 0) return 'no-history';
  const vehicles = mapArms(arms, (arm) => allVehicles(arm, known.covariateMean));
  const theta = slope(vehicles);
  if (theta === null) return 'history-is-constant';
  const adjusted = mapArms(vehicles, ({ count, mean, m2, covariateMean, covariateM2, comoment }): Moments => {
    const left = m2 - 2 * theta * comoment + theta * theta * covariateM2;
    return { count, mean: mean - theta * (covariateMean - known.covariateMean), m2: left <= ROUNDING * m2 ? 0 : left };
  });
  const coverage = known.count / (vehicles.control.count + vehicles.treatment.count);
  const numbers = [theta, adjusted.control.m2, adjusted.treatment.m2, adjusted.control.mean, adjusted.treatment.mean];
  return numbers.every(Number.isFinite) ? { theta, adjusted, coverage } : 'not-finite';
}
