/**
 * Evidence over the steps of a rollout, and over several things that are watched at once.
 *
 * Each step draws again which of the vehicles that were left in control are moved to the treatment, so the e-values of
 * the steps multiply. Comparisons of all of the treatment with all of control at each step do not multiply: they would
 * use the same draw again. E-values of several things watched at once are averaged, by weights that add up to 1: the
 * mean is an e-value, however they depend on each other.
 */

/**
 * The share of the vehicles left in control at `from` that a step to `to` moves. `from` and `to` are shares of all
 * vehicles.
 */
export function shareMoved(from: number, to: number): number {
  return from >= 1 ? 0 : (to - from) / (1 - from);
}

/** The e-value of one thing that is watched, as a logarithm, and its weight in the mean. */
export interface WeightedEvidence {
  readonly weight: number;
  readonly log: number;
}

/** Gives the logarithm of the weighted mean of e-values. */
export function logWeighted(parts: readonly WeightedEvidence[]): number {
  const most = Math.max(...parts.map(({ log }) => log));
  if (!Number.isFinite(most)) return most;
  return most + Math.log(parts.reduce((sum, { weight, log }) => sum + weight * Math.exp(log - most), 0));
}

/** Gives the logarithm that evidence has to reach for a chance of a false alarm of at most `alpha`. */
export function logThreshold(alpha: number): number {
  return -Math.log(alpha);
}

/**
 * Gives the p-value that holds at all looks together: 1 / max E, at most 1. It is never 0: the least value is the least
 * positive double.
 *
 * @param logMost the logarithm of the greatest e-value so far
 */
export function pValueOf(logMost: number): number {
  return Math.max(Number.MIN_VALUE, Math.min(1, Math.exp(-logMost)));
}
