/**
 * Counts of flags' evaluations over their whole life. Each instance counts past months only once, when no more of their
 * measurements can arrive, so that later reads do not grow with the fleet's history.
 */
import { MAX_AGE_MS } from '../metrics/metric-batch.ts';
import type { EvaluationTotals, MetricTables } from '../metrics/metric-store.ts';

/** A vehicle is active when it has evaluated the flag within these days. */
const ACTIVE_DAYS = 30;
const DAY_MS = 86_400_000;
/** A margin beside MAX_AGE_MS: measurements that were just young enough may still be on their way into the store. */
const MARGIN_MS = 2 * DAY_MS;
/** The end of all hours, the year 2100 in Unix seconds, which the store can represent. */
const END = 4_102_444_800;

/** Gives the start (Unix seconds, UTC) of the first month for which measurements may still arrive. */
function openFrom(now: number): number {
  const youngest = new Date(now - MAX_AGE_MS - MARGIN_MS);
  return Date.UTC(youngest.getUTCFullYear(), youngest.getUTCMonth()) / 1_000;
}

/** Counts evaluations, with a cache of past months. */
export class EvaluationCounts {
  /** Unix seconds up to which `#past` counts: the start of a month. */
  #before = 0;
  /** The totals before `#before`, by flag key; null for a flag that was not evaluated then. */
  #past = new Map<string, EvaluationTotals | null>();

  constructor(private readonly tables: Pick<MetricTables, 'evaluations'>) {}

  /**
   * Gives the totals of those of `keys` that were ever evaluated.
   *
   * @param now milliseconds since 1970
   * @throws SERVICE_UNAVAILABLE
   */
  async of(keys: readonly string[], now: number): Promise<EvaluationTotals[]> {
    const activeSince = new Date(now - ACTIVE_DAYS * DAY_MS);
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
      const [past, current] = [this.#past.get(key) ?? null, recent.get(key) ?? null];
      // A vehicle that measured only in past months is not active.
      if (current === null) return past === null ? [] : [{ ...past, activeVehicles: 0 }];
      return [past === null ? current : { ...current, evaluations: past.evaluations + current.evaluations }];
    });
  }
}
