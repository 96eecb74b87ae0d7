/**
 * The reasons for which a release holds or is halted by itself, for people. The console says them in the reader's language
 * (console/releases/release-reason.ts), so it has to know each.
 */
import { faultShareText, type FaultFigures } from '../../../core/releases/fault-limit.ts';

/** The reasons for which a release holds. */
export const HOLD_REASONS = {
  killed: 'The kill switch is pulled',
  disabled: 'The flag is disabled',
  faulty: 'Too many vehicles report faults',
  silent: (reported: number, needed: number) => `${reported} of ${needed} vehicles report the new content`,
} as const;

/** Gives the reason of a halt for faults of vehicles. */
export const faultsReason = ({ ring, rest }: FaultFigures): string =>
  `Vehicles report faults: ${faultShareText(ring)} with the new content, ${faultShareText(rest)} of the others`;
