/** The messages between the storm benchmark and its vehicles' process. */

/**
 * `connect`: the number of further vehicles that connect at once; `until`: the answer comes when all connected vehicles
 * have received this revision; `backUpWithinMs`: each connected vehicle stores a backup at a random moment within these
 * milliseconds.
 */
export type VehicleCommand =
  | { readonly connect: number }
  | { readonly until: number }
  | { readonly backUpWithinMs: number };

/** The numbers of connections that did not last. */
export interface Interruptions {
  /** The connections that were put off to a later time. */
  readonly refused: number;
  /** The connections that the kernel ended before the gateway took them. */
  readonly reset: number;
  /** The connections that the gateway ended after it had taken them. */
  readonly lost: number;
}

/** A message from the vehicles' process. */
export type VehicleMessage =
  | { readonly ready: true }
  /** Wall clock, milliseconds with fractions. */
  | ({ readonly allSyncedAtMs: number; readonly seconds: number } & Interruptions)
  | ({ readonly lastAtMs: number; readonly messageBytes: number } & BackupAnswers);

/** The answers to backups so far. */
export interface BackupAnswers {
  readonly stored: number;
  readonly notStored: number;
}
