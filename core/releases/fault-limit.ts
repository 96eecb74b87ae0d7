/**
 * The limit of faults under a release: it compares the vehicles that have the new content with all others. Source:
 * releases.md, "The health gate".
 */
import type { ReleasePolicy } from './release-policy.ts';

/** The vehicles of one side, and how many of them have reported a fault. */
export interface FaultShare {
  readonly vehicles: number;
  /** The number of vehicles with a fault: at most `vehicles`. */
  readonly faulty: number;
}

/** The faults of the vehicles with the new content of a release, and those of the rest. */
export interface FaultFigures {
  /** The vehicles with the new content. */
  readonly ring: FaultShare;
  /** The vehicles that have the same definition and keep the stable content. */
  readonly rest: FaultShare;
}

/** The limits of a release: both have to be passed. */
export type FaultLimits = Pick<ReleasePolicy, 'maximumFaultyVehicles' | 'maximumFaultyPercent'>;

/** Percentages have at most three decimals. */
const PARTS_OF_PERCENT = 1_000;

/**
 * Says whether a release is past its limits: more faulty vehicles than `maximumFaultyVehicles` have the new content,
 * and their share is more than `maximumFaultyPercent` percentage points above the share among the rest. Where there is
 * no rest, its share is 0. The arithmetic is exact for limits with at most three decimals.
 */
export function isPastFaultLimit(
  { ring, rest }: FaultFigures,
  { maximumFaultyVehicles, maximumFaultyPercent }: FaultLimits,
): boolean {
  if (ring.faulty <= maximumFaultyVehicles) return false;
  const ringVehicles = BigInt(ring.vehicles);
  const restVehicles = BigInt(Math.max(rest.vehicles, 1));
  // Both sides of the comparison are multiplied with both numbers of vehicles, so that nothing is divided.
  const difference = BigInt(ring.faulty) * restVehicles - BigInt(rest.faulty) * ringVehicles;
  const limit = BigInt(Math.round(maximumFaultyPercent * PARTS_OF_PERCENT)) * ringVehicles * restVehicles;
  return difference * BigInt(100 * PARTS_OF_PERCENT) > limit;
}

/** Gives a share for people, such as `12 of 400 (3%)`. */
export function faultShareText({ vehicles, faulty }: FaultShare): string {
  const percent = vehicles === 0 ? 0 : (faulty / vehicles) * 100;
  return `${faulty} of ${vehicles} (${Number(percent.toPrecision(3))}%)`;
}
