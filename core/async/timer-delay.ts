/** The longest delay of a timer of Node.js, in milliseconds. A timer with a longer one fires at once. */
const LONGEST_MS = 2_147_483_647;

/** Limits a delay, in milliseconds, to what a timer can take. A longer one becomes 24 days; NaN becomes 0. */
export function timerDelay(milliseconds: number): number {
  return milliseconds > 0 ? Math.min(milliseconds, LONGEST_MS) : 0;
}
