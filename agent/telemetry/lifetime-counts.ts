/**
 * The counts of a vehicle over its whole life. The status counts since the start of the process; these go on over
 * restarts, and over the loss of the file (agent/backup/).
 */
import { isCount, isObject, membersOf } from '../../core/json/json-value.ts';
import type { DroppedMetrics } from './metrics/metric-queue.ts';

/** The counts of a vehicle's life. */
export interface LifetimeTotals {
  /** The refusals by reason (agent/trust/refusals.ts). */
  readonly refusals: Readonly<Record<string, number>>;
  /** The measurements and evaluations that were dropped. */
  readonly dropped: DroppedMetrics;
}

/** The form of a reason. Another version of the agent may have reasons that this one does not know. */
const REASON_PATTERN = /^[a-z][a-z0-9-]{0,39}$/;
const MAX_REASONS = 100;

const NOTHING: LifetimeTotals = { refusals: {}, dropped: { evaluations: 0, measurements: 0 } };

/** Reads totals, which are untrusted JSON. Gives null where they do not have the form. */
export function readTotals(value: unknown): LifetimeTotals | null {
  const { refusals, dropped } = membersOf(value);
  const { evaluations, measurements } = membersOf(dropped);
  if (!isObject(refusals) || !isCount(evaluations) || !isCount(measurements)) return null;
  const read: Record<string, number> = {};
  for (const [reason, count] of Object.entries(refusals)) {
    if (!REASON_PATTERN.test(reason) || !isCount(count)) return null;
    read[reason] = count;
  }
  return Object.keys(read).length > MAX_REASONS ? null : { refusals: read, dropped: { evaluations, measurements } };
}

/** Adds what has happened since the start to what happened before. */
export class LifetimeCounts {
  #before: LifetimeTotals | null = null;

  /** @param sinceStart gives the counts since the start of the process */
  constructor(private readonly sinceStart: () => LifetimeTotals) {}

  /** Goes on from stored totals. Once it has done so, further totals are ignored. */
  restore(totals: LifetimeTotals): void {
    this.#before ??= totals;
  }

  /** Gives the totals, with reasons in alphabetical order. */
  totals(): LifetimeTotals {
    const { refusals, dropped } = this.#before ?? NOTHING;
    const since = this.sinceStart();
    const reasons = [...new Set([...Object.keys(refusals), ...Object.keys(since.refusals)])].sort();
    return {
      refusals: Object.fromEntries(
        reasons.map((reason) => [reason, (refusals[reason] ?? 0) + (since.refusals[reason] ?? 0)]),
      ),
      dropped: {
        evaluations: dropped.evaluations + since.dropped.evaluations,
        measurements: dropped.measurements + since.dropped.measurements,
      },
    };
  }
}
