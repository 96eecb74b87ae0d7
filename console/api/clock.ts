/** The control plane's time, by which everything it says is judged. The clock of a device may be wrong by hours. */

/** Milliseconds that the two clocks may differ without one of them being wrong: headers count in whole seconds. */
const AGREEMENT_MS = 5_000;

let aheadMs = 0;

/** Notes the time at which the control plane has answered: the header field `Date`; null where it has none. */
export function noteAnswer(date: string | null): void {
  const difference = Date.parse(date ?? '') - Date.now();
  if (Number.isNaN(difference)) return;
  aheadMs = Math.abs(difference) > AGREEMENT_MS ? difference : 0;
}

/**
 * Gives the present time by the control plane's clock, in milliseconds since 1970; before its first answer by the
 * device's.
 */
export const presentTime = (): number => Date.now() + aheadMs;
