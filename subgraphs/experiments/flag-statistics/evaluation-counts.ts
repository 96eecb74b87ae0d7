/**
 * How often flags were evaluated in their whole life. Months that are over for good are counted once by each instance,
 * so that what is read each time does not grow with the fleet's history.
 */
import { MAX_AGE } from '../metrics/metric-batch.ts';
import type { EvaluationTotals, MetricTables } from '../metrics/metric-store.ts';

/** A vehicle is active when it has evaluated the flag within these days. */
export const ACTIVE_DAYS = 30;
const DAY = 86_400_000;
/** Milliseconds beside MAX_AGE: what was just young enough may still be on its way into the store. */
const MARGIN = 2 * DAY;
/** Unix seconds of 2100: the store's times reach further. */
const END = 4_102_444_800;

/** Unix seconds at which the month begins (UTC) of which, and of all later ones, more may still arrive. */
function openFrom(now: number): number {
  const youngest = new Date(now - MAX_AGE - MARGIN);
  return Date.UTC(youngest.getUTCFullYear(), youngest.getUTCMonth()) / 1_000;
}

export class EvaluationCounts {
  #before = 0;
  /** Of the months before; null for a flag that was not evaluated then. */
  #past = new Map<string, EvaluationTotals | null>();

  constructor(private readonly tables: Pick<MetricTables, 'evaluations'>) {}

  /**
   * Those of `keys` that were ever evaluated.
   *
   * @param now milliseconds since 1970
   * @throws SERVICE_UNAVAILABLE
   */
  async of(keys: readonly string[], now: number): Promise<EvaluationTotals[]> {
    const activeSince = new Date(now - ACTIVE_DAYS * DAY);
    const before = openFrom(now);
    if (before !== this.#before) {
      this.#past.clear();
      this.#before = before;
    }
    const unknown = keys.filter((key) => !this.#past.has(key));
    if (unknown.length > 0) {
      const found = new Map(
        (await this.tables.evaluations(unknown, { from: 0, to: before }, activeSince)).map((totals) => [
          totals.flagKey,
          totals,
        ]),
      );
      for (const key of unknown) this.#past.set(key, found.get(key) ?? null);
    }
    const recent = new Map(
      (await this.tables.evaluations(keys, { from: before, to: END }, activeSince)).map((totals) => [
        totals.flagKey,
        totals,
      ]),
    );
    return keys.flatMap((key) => {
      const [past, now_] = [this.#past.get(key) ?? null, recent.get(key) ?? null];
      // Nobody is active who was only heard of in the months before.
      if (now_ === null) return past === null ? [] : [{ ...past, activeVehicles: 0 }];
      return [past === null ? now_ : { ...now_, evaluations: past.evaluations + now_.evaluations }];
    });
  }
}
