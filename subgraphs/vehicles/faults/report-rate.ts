import { boundedCache } from '../../../core/bounded-cache.ts';
import { FleetFlagError } from '../../../core/errors.ts';

/** The reports that one vehicle may send in a window. An agent sends a few in a minute, however much goes wrong. */
const MAX_REPORTS = 20;
const WINDOW_MS = 60_000;
/** The vehicles whose reports are counted; those that have reported last. */
const MAX_VEHICLES = 50_000;

interface Window {
  readonly since: number;
  reports: number;
}

/** Bounds how often one vehicle reports faults, in this process. */
export class ReportRate {
  readonly #windows = boundedCache<string, Window>(MAX_VEHICLES);

  /** @param running milliseconds by a monotonic clock */
  constructor(private readonly running: () => number = () => performance.now()) {}

  /** Counts a report. Throws RATE_LIMITED with `retryAfter` where the vehicle has sent too many. */
  count(vin: string): void {
    const now = this.running();
    const known = this.#windows.get(vin);
    const window = known !== undefined && now - known.since < WINDOW_MS ? known : { since: now, reports: 0 };
    window.reports += 1;
    if (window.reports === 1) this.#windows.set(vin, window);
    if (window.reports <= MAX_REPORTS) return;
    const retryAfter = Math.ceil((WINDOW_MS - (now - window.since)) / 1_000);
    throw new FleetFlagError('RATE_LIMITED', `A vehicle may report faults ${MAX_REPORTS} times in a minute.`, {
      retryAfter,
    });
  }
}
