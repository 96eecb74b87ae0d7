/** The longest that a timer of Node.js waits; a longer one would fire at once. */
const LONGEST_MS = 2_147_483_647;

/** A wait as a timer can take it: what is too long ends after 24 days, and what is no number at once. */
export function timerDelay(milliseconds: number): number {
  return milliseconds > 0 ? Math.min(milliseconds, LONGEST_MS) : 0;
}
