/**
 * Detects that the control plane's own clock is wrong. Single vehicles often have wrong clocks; when most of the
 * reporting vehicles are off by the same amount, the control plane's clock is the wrong one.
 */
import type { LRUCache } from 'lru-cache';
import { boundedCache } from '../../../core/bounded-cache.ts';
import type { Logger } from 'pino';
import type { Heartbeat } from './heartbeat.ts';

/** The settings of the clock watch. */
export interface ClockWatchLimits {
  /** Milliseconds for which a vehicle's report counts. */
  readonly windowMs: number;
  /** The least number of reporting vehicles for a conclusion. */
  readonly vehicles: number;
  /** The most vehicles whose last report is kept. */
  readonly kept: number;
  /** Seconds of offset that are normal, and by which two offsets may differ and still count as the same. */
  readonly toleranceSeconds: number;
  /** Milliseconds between two conclusions. */
  readonly intervalMs: number;
  /** Milliseconds between two equal warnings in the log. */
  readonly warningIntervalMs: number;
}

/** The default settings. */
export const CLOCK_WATCH_LIMITS: ClockWatchLimits = {
  windowMs: 900_000,
  vehicles: 20,
  kept: 5_000,
  toleranceSeconds: 60,
  intervalMs: 60_000,
  warningIntervalMs: 3_600_000,
};

/** Collects vehicles' clock offsets and warns when this machine's clock seems wrong. */
export class ClockWatch {
  readonly #offsets: LRUCache<string, { readonly seconds: number; readonly at: number }>;
  #concludedAt = -Infinity;
  #warnedAtMs = -Infinity;
  #suspected = false;

  /** @param clock a monotonic clock, in milliseconds */
  constructor(
    private readonly logger: Pick<Logger, 'warn' | 'info'>,
    private readonly limits: ClockWatchLimits = CLOCK_WATCH_LIMITS,
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.#offsets = boundedCache(limits.kept);
  }

  /** Records the clock offset that a vehicle reports. */
  note({ vin, clockOffsetSeconds: seconds }: Pick<Heartbeat, 'vin' | 'clockOffsetSeconds'>): void {
    if (seconds === null) return;
    const at = this.clock();
    this.#offsets.set(vin, { seconds, at });
    if (at - this.#concludedAt < this.limits.intervalMs) return;
    this.#concludedAt = at;
    this.#conclude(at);
  }

  #conclude(at: number): void {
    const { windowMs, vehicles, toleranceSeconds, warningIntervalMs } = this.limits;
    const offsets = Array.from(this.#offsets.values()).flatMap((offset) =>
      at - offset.at <= windowMs ? [offset.seconds] : [],
    );
    if (offsets.length < vehicles) return;
    const median = offsets.sort((a, b) => a - b)[Math.floor(offsets.length / 2)] ?? 0;
    const alike = offsets.filter((offset) => Math.abs(offset - median) <= toleranceSeconds).length;
    const suspected = Math.abs(median) > toleranceSeconds && alike > offsets.length / 2;
    if (suspected && at - this.#warnedAtMs >= warningIntervalMs) {
      this.logger.warn(
        { seconds: Math.round(median), vehicles: alike, of: offsets.length },
        `The clocks of most vehicles are ${median > 0 ? 'behind' : 'ahead of'} this control plane's by the same amount: its own clock is probably wrong. Proofs use the time of the database server: synchronise it with NTP`,
      );
      this.#warnedAtMs = at;
    }
    if (!suspected && this.#suspected) {
      this.logger.info('The clocks of most vehicles agree with this control plane again');
      this.#warnedAtMs = -Infinity;
    }
    this.#suspected = suspected;
  }
}
