/** Waiting of tests for a condition that comes true by itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

/** The default timeout: longer than anything takes on a busy machine, and shorter than the timeout of a test. */
const TIMEOUT_MS = 20_000;
/** The time between two checks. */
const INTERVAL_MS = 5;

/** The most characters of the last result that a message repeats. */
const MAX_SEEN_LENGTH = 500;

type Missing = undefined | null | false;

/**
 * Calls `check` until it gives something other than undefined, null or false, and resolves to that. Rejects at the
 * deadline with a message that says what was waited for and what `check` gave last, and at once where `check` rejects.
 *
 * @param what the condition in words, for the message; by default the source of `check`
 * @param timeoutMs milliseconds until the deadline; `check` is called once more after it
 */
export async function eventually<T>(
  check: () => T | Missing | Promise<T | Missing>,
  what: string = check.toString(),
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const isLast = performance.now() >= deadline;
    const seen = await check();
    if (seen !== undefined && seen !== null && seen !== false) return seen;
    if (isLast)
      throw new Error(
        `Waited in vain for ${timeoutMs / 1_000} s: ${what} (last seen: ${inspect(seen).slice(0, MAX_SEEN_LENGTH)})`,
      );
    await delay(INTERVAL_MS);
  }
}
