/** The schedule of attempts: the example of Standard Webhooks 1.0.0, "Deliverability and reliability", with jitter. */

const [SECOND, MINUTE, HOUR] = [1_000, 60_000, 3_600_000] as const;

/** The milliseconds from each failed attempt to the next one, before jitter. */
export const RETRY_DELAYS_MS: readonly number[] = [
  ...[5 * SECOND, 5 * MINUTE, 30 * MINUTE],
  ...[2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR],
];

/** The longest wait, in milliseconds, that a receiver may ask for by `retry-after`. */
const MAX_RETRY_AFTER_MS = 24 * HOUR;

/**
 * Gives the milliseconds until the next attempt; null when there is none left. The wait is up to a quarter longer than
 * in the schedule, so that what has failed together does not come back together, and as long as the receiver asks.
 *
 * @param attempts the attempts that have failed, 1 or more
 * @param random uniform in [0, 1)
 */
export function retryDelayMs(attempts: number, retryAfterMs: number | null, random: () => number): number | null {
  const delay = RETRY_DELAYS_MS[attempts - 1];
  if (delay === undefined) return null;
  return Math.max(delay * (1 + random() / 4), Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
}
