/**
 * Vehicles' numbers, rounded to places in the frozen range. A bet on any limit needs only the number of vehicles at
 * each place. So one query of the metrics store is enough for all bets, which are added up here.
 *
 * The places are fixed before a vehicle is seen, so that the rounding is a part of the metric, as its cap is.
 */
import type { Arms } from '../moments.ts';
import { logMeanExp, type FrozenRange, type Line, type Mixture } from './bets.ts';

/** The steps from one end of the range to the other. */
export const PLACES = 1_000;

/** The vehicles at one place. */
export interface VehiclesAtPlace {
  /** A whole number from 0 to PLACES. */
  readonly place: number;
  readonly vehicles: number;
}

/** Gives the place of a number in the range. */
export function placeInRange(y: number, { low, high }: Pick<FrozenRange, 'low' | 'high'>): number {
  return Math.round(((y - low) / (high - low)) * PLACES);
}

function logSumAt({ offset, slope }: Line, places: readonly VehiclesAtPlace[], low: number, step: number): number {
  let sum = 0;
  for (const { place, vehicles } of places) sum += vehicles * Math.log1p(offset + slope * (low + place * step));
  return sum;
}

/** Gives the logarithm of the e-value of a mixture on vehicles at places. */
export function logEvidenceAt(
  mixture: Mixture,
  { low, high }: Pick<FrozenRange, 'low' | 'high'>,
  { control, treatment }: Arms<readonly VehiclesAtPlace[]>,
): number {
  const step = (high - low) / PLACES;
  return logMeanExp(
    mixture.map((bet) => logSumAt(bet.control, control, low, step) + logSumAt(bet.treatment, treatment, low, step)),
  );
}
