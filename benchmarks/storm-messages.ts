/** The messages between the storm benchmark and its vehicles' process. */

/** So many more connect at once; so many frames of changes are expected from now on. */
export type VehicleCommand = { readonly connect: number } | { readonly expect: number };

/** A message from the vehicles' process. */
export type VehicleMessage =
  | { readonly ready: true }
  /** Wall clock, milliseconds with fractions. */
  | { readonly allSyncedAt: number; readonly seconds: number; readonly refused: number; readonly lost: number }
  | { readonly lastAt: number; readonly messageBytes: number };
