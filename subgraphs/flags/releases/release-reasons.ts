/**
 * The reasons for which a release holds or is halted by itself, for people. The console says them in the reader's
 * language (console/releases/release-reason.ts), so it has to know each.
 */
import type { MetricGuard, GuardFigures } from '../../../core/rollouts/rollout-guard.ts';
import { faultShareText, type FaultFigures } from '../../../core/releases/fault-limit.ts';

/** The reasons for which a release holds. */
export const HOLD_REASONS = {
  killed: 'The kill switch is pulled',
  disabled: 'The flag is disabled',
  faulty: 'Too many vehicles report faults',
  unseen: 'The control plane was away, and vehicles have a minute to report what they saw meanwhile',
  silent: (reported: number, needed: number) => `${reported} of ${needed} vehicles report the new content`,
  unevaluated: (evaluated: number, needed: number) =>
    `${evaluated} of ${needed} vehicles have evaluated the new content`,
  unwatched: (metric: string) => `The guard of ${metric} has no fresh verdict`,
  unmeasured: (metric: string) => `No vehicle with the new content measures ${metric}`,
  uncounted: (metric: string, ring: number, rest: number, needed: number) =>
    `The guard of ${metric} counts ${ring} vehicles with the new content and ${rest} of the others, and needs ${needed}`,
} as const;

/** Gives the reason of a halt for faults of vehicles. */
export const faultsReason = ({ ring, rest }: FaultFigures): string =>
  `Vehicles report faults: ${faultShareText(ring)} with the new content, ${faultShareText(rest)} of the others`;

const meanText = (mean: number | null) => (mean === null ? 'nothing' : String(Number(mean.toPrecision(4))));

/**
 * Gives the reason for which a release is halted, or holds, where a guard's limit is crossed. The means are of the
 * vehicles that the present stage has drawn; the evidence is of all stages.
 */
export function guardReason({ metric, maxWorsePercent, bound }: MetricGuard, figures: GuardFigures): string {
  const { treatmentMean, treatmentVehicles, controlMean, controlVehicles } = figures;
  const ring = `${meanText(treatmentMean)} in ${treatmentVehicles} vehicles with the new content`;
  return bound === null
    ? `The guard of ${metric} is crossed: ${ring}, ${meanText(controlMean)} in ${controlVehicles} of the others, where ${maxWorsePercent}% worse is the limit`
    : `The guard of ${metric} is crossed: ${ring}, where ${bound} is the bound`;
}
