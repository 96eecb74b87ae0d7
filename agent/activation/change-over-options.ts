/** The options of a change-over, and the status of the drive that it gives. */
import type { PresentFlags } from '../evaluate/present-flags.ts';
import type { Log } from '../log.ts';
import type { ReturnCause, VehicleState } from '../state.ts';
import type { VehicleStore } from '../store/vehicle-store.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import type { PendingFlag } from './active-flags.ts';

/** The parts with which a vehicle changes over. */
export interface ChangeOverOptions {
  readonly store: Pick<VehicleStore, 'save' | 'saveWhole'>;
  readonly flags: Pick<PresentFlags, 'state' | 'drive' | 'replace' | 'driveBeginningNow' | 'contextOf'>;
  /** Called with each state from which flags are evaluated from then on, but for the loaded one. */
  readonly activated: (state: VehicleState) => void;
  /** Called when a flag goes back to its last known good, with the revision that it leaves. */
  readonly returned: (flagKey: string, leftRevision: number, goodRevision: number, cause: ReturnCause) => void;
  /** The keys to trust; null before any are known. */
  readonly keys: () => PinnedKeys | null;
  /** The vehicle's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** The ageing clock. Its running time may stand still while the computer sleeps. */
  readonly ageingClock: Pick<AgeingClock, 'seconds' | 'runningMs'>;
  readonly log: Log;
}

/** The status of the vehicle's drive. */
export interface DriveStatus {
  /** The ignition and the movement of the last report; null where none counts. */
  readonly ignition: 'on' | 'off' | null;
  readonly moving: boolean | null;
  /** Whether the vehicle is known to stand with its ignition off. */
  readonly parked: boolean;
  /** Whether programs report the state of the vehicle. Otherwise a drive lasts until the agent starts again. */
  readonly reported: boolean;
  /** The time in ISO 8601, by the vehicle's clock, since which the vehicle is parked or in its drive. */
  readonly since: string;
  /** The flags whose changes wait for the end of the drive. */
  readonly pending: readonly PendingFlag[];
}
