/** The messages between a run and the process of its lean vehicles, which sync, but have no store of their own. */
import type { Entry } from '../../tests/faults/history.ts';

/** The metric that vehicles report. */
export const METRIC = 'fault_metric';

/** A message from the run to the process of the vehicles. */
export type FleetCommand =
  | {
      readonly begin: {
        readonly url: string;
        /** The set of public keys to trust. */
        readonly keys: unknown;
        readonly vehicles: readonly { readonly vin: string; readonly token: string }[];
        /** The number of vehicles that report measurements, under this flag. */
        readonly reporters: number;
        readonly flag: string;
      };
    }
  /** Shifts the clocks of some vehicles from the true time by `offsetMs`. */
  | { readonly clocks: { readonly vins: readonly string[]; readonly offsetMs: number } }
  /** Closes the connections of some vehicles, which then connect again by themselves. */
  | { readonly reconnect: readonly string[] }
  /** Asks for the vehicles that are not complete at a revision, or not connected, or have measurements to send. */
  | { readonly behind: number }
  /** Makes the vehicles send no new measurements. */
  | { readonly quiet: true };

/** A message from the process of the vehicles to the run. */
export type FleetMessage =
  | { readonly ready: true }
  | { readonly entries: readonly Entry[] }
  | { readonly behind: readonly string[]; readonly connected: readonly string[] };
