/**
 * Holm's correction for several hypotheses: the chance that any true one is rejected stays below α, whatever their
 * dependence is. Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
 * Statistics 6 (1979).
 *
 * It keeps that promise at all looks together when the p-values are 1 / max E: each is then valid at the last look, the
 * one at which all are least, and a smaller p-value never takes a rejection back.
 */

/**
 * Gives the adjusted p-values, in the order of the given ones: those below α may be rejected. A missing p-value counts
 * as one hypothesis, which is not rejected.
 */
export function holm(pValues: readonly (number | null)[]): (number | null)[] {
  const order = pValues.map((_, index) => index).sort((a, b) => (pValues[a] ?? 1) - (pValues[b] ?? 1));
  const adjusted: (number | null)[] = pValues.map(() => null);
  let least = 0;
  order.forEach((index, rank) => {
    const pValue = pValues[index] ?? null;
    least = Math.max(least, Math.min(1, (pValues.length - rank) * (pValue ?? 1)));
    adjusted[index] = pValue === null ? null : least;
  });
  return adjusted;
}
