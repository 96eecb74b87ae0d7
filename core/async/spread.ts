/**
 * Gives an interval, in milliseconds, with up to a tenth added at random: vehicles that began together do not stay
 * together.
 *
 * @param random a source of random numbers, uniform in [0, 1)
 */
export function spreadInterval(intervalMs: number, random: () => number): number {
  return intervalMs * (1 + random() / 10);
}
