/**
 * Notices that the control plane's own clock is wrong. Single vehicles have wrong clocks all the time; where most of
 * those that report are off by the same, it is not they who are wrong.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Heartbeat } from './heartbeat.ts';

export interface ClockWatchLimits {
  /** Milliseconds that what a vehicle has said counts. */
  readonly window: number;
  /** Vehicles that must have reported before anything is concluded. */
  readonly vehicles: number;
  /** Vehicles of which the last word is kept. */
  readonly kept: number;
  /** Seconds: an offset that is nobody's fault, and how far two may be apart that are the same. */
  readonly tolerance: number;
  /** Milliseconds from one conclusion to the next, and between two lines in the log that say the same. */
  readonly pace: number;
  readonly quiet: number;
}

export const CLOCK_WATCH_LIMITS: ClockWatchLimits = {
  window: 900_000,
  vehicles: 20,
  kept: 5_000,
  tolerance: 60,
  pace: 60_000,
  quiet: 3_600_000,
};

export class ClockWatch {
  readonly #offsets: LRUCache<string, { readonly seconds: number; readonly at: number }>;
  #concludedAt = -Infinity;
  #toldAt = -Infinity;
  #suspected = false;

  /** @param running milliseconds since some moment, by a clock that nobody sets */
  constructor(
    private readonly logger: Pick<Logger, 'warn' | 'info'>,
    private readonly limits: ClockWatchLimits = CLOCK_WATCH_LIMITS,
    private readonly running: () => number = () => performance.now(),
  ) {
    this.#offsets = new LRUCache({ max: limits.kept });
  }

  /** Takes what a vehicle says of its clock. */
  note({ vin, clockOffsetSeconds: seconds }: Pick<Heartbeat, 'vin' | 'clockOffsetSeconds'>): void {
    if (seconds === null) return;
    const at = this.running();
    this.#offsets.set(vin, { seconds, at });
    if (at - this.#concludedAt < this.limits.pace) return;
    this.#concludedAt = at;
    this.#conclude(at);
  }

  #conclude(at: number): void {
    const { window, vehicles, tolerance, quiet } = this.limits;
    const offsets = Array.from(this.#offsets.values()).flatMap((offset) =>
      at - offset.at <= window ? [offset.seconds] : [],
    );
    if (offsets.length < vehicles) return;
    const median = offsets.sort((a, b) => a - b)[Math.floor(offsets.length / 2)] ?? 0;
    const alike = offsets.filter((offset) => Math.abs(offset - median) <= tolerance).length;
    const suspected = Math.abs(median) > tolerance && alike > offsets.length / 2;
    if (suspected && at - this.#toldAt >= quiet) {
      this.logger.warn(
        { seconds: Math.round(median), vehicles: alike, of: offsets.length },
        `The clocks of most vehicles are ${median > 0 ? 'behind' : 'ahead of'} this control plane's by the same: its own clock is probably wrong. Proofs carry the time of the database server: set it by NTP`,
      );
      this.#toldAt = at;
    }
    if (!suspected && this.#suspected) {
      this.logger.info('The clocks of most vehicles agree with this control plane again');
      this.#toldAt = -Infinity;
    }
    this.#suspected = suspected;
  }
}
