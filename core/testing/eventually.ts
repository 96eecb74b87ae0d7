/** The one way in which tests wait for something that happens by itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

/** Milliseconds: longer than anything takes on a busy machine, and shorter than a test may last. */
const TIMEOUT_MS = 20_000;
/** Milliseconds between two looks. */
const INTERVAL_MS = 5;

/** Characters of what was last seen that a message repeats. */
const MAX_SEEN = 500;

type Missing = undefined | null | false;

/**
 * Calls `look` again and again until it gives something other than undefined, null or false, and resolves to that.
 * Rejects at the deadline with a message that says what was waited for and what was last seen, and as `look` does.
 *
 * @param what completes "Waited for …"; without it the message shows the source of `look`
 * @param timeoutMs milliseconds until the deadline; one more look is made after it
 */
export async function eventually<T>(
  look: () => T | Missing | Promise<T | Missing>,
  what: string = look.toString(),
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const isLast = performance.now() >= deadline;
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) return seen;
    if (isLast)
      throw new Error(
        `Waited in vain for ${timeoutMs / 1_000} s: ${what} (last seen: ${inspect(seen).slice(0, MAX_SEEN)})`,
      );
    await delay(INTERVAL_MS);
  }
}
