/**
 * The history of full syncs across connections. It keeps a vehicle from starting a full sync, or from reporting the
 * same fault, again with each new connection.
 */
import type { Backoff } from '../../core/async/backoff.ts';

/** The most sets that are remembered: more than appear while a vehicle cannot complete one of them. */
const MAX_SETS = 100;
/** The milliseconds after which a failure to complete a set no longer counts. */
const FORGOTTEN_AFTER_MS = 3_600_000;

/** The options of a history. */
export interface SyncHistoryOptions {
  /** Gives the waits between full syncs that do not help. */
  readonly backoff: Backoff;
  /** The milliseconds after such a sync before a new connection may start another. */
  readonly newLinkMs: number;
  /** The milliseconds for which the control plane must be behind the vehicle's revision before that is reported. */
  readonly belowMs: number;
  /** The monotonic clock, in milliseconds. */
  readonly runningMs: () => number;
}

/** Decides when a full sync may start and when a fault is reported. */
export class SyncHistory {
  readonly #options: SyncHistoryOptions;
  // All times here are milliseconds of the monotonic clock.
  /** The digests of the sets for which a full sync was requested, each with the time. */
  readonly #requested = new Map<string, number>();
  #requestedAtMs = -Infinity;
  /** The end of the last full sync that did not complete a set. */
  #failedAtMs = -Infinity;
  /** The time before which no further full sync may start. */
  #notBeforeMs = -Infinity;
  /** The time since which the control plane is behind the vehicle; null where it is not. */
  #belowSinceMs: number | null = null;
  #isBelowReported = false;

  constructor(options: SyncHistoryOptions) {
    this.#options = options;
  }

  /**
   * Records a new connection. The network on its way may be honest where the former one was not, so that a full sync
   * may start earlier.
   */
  newLink(): void {
    this.#notBeforeMs = Math.min(this.#notBeforeMs, this.#failedAtMs + this.#options.newLinkMs);
  }

  /** The milliseconds until a full sync may start. */
  get waitMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#options.runningMs());
  }

  /**
   * Gives the milliseconds until a full sync is due because `set` is not held: 0 the first time, and then growing
   * waits.
   *
   * @param hasFailed whether a full sync has just ended without giving `set`
   */
  waitFor(set: string, hasFailed: boolean): number {
    const { runningMs, backoff } = this.#options;
    const isFirst = !this.#requested.has(set);
    if (this.#requested.size >= MAX_SETS) this.#requested.clear();
    this.#requestedAtMs = runningMs();
    this.#requested.set(set, this.#requestedAtMs);
    if (hasFailed) this.#failedAtMs = this.#requestedAtMs;
    if (isFirst && !hasFailed) return 0;
    // A wait that has begun is not made longer.
    if (hasFailed || this.waitMs === 0) this.#notBeforeMs = this.#requestedAtMs + backoff.nextWhole();
    return this.waitMs;
  }

  /**
   * Says whether a vehicle that holds no flags may start a full sync at once because `set` is proven, and counts it. It
   * may once for each set within `newLinkMs`.
   */
  mayRetryAtOnce(set: string): boolean {
    const now = this.#options.runningMs();
    if (now - (this.#requested.get(set) ?? -Infinity) < this.#options.newLinkMs) return false;
    this.#requested.set(set, now);
    return true;
  }

  /**
   * Records that a set is held. The backoff is reset only when that has lasted, because the vehicle may hold the sets
   * of two disagreeing instances in turn.
   */
  held(): void {
    const { runningMs, backoff } = this.#options;
    this.#belowSinceMs = null;
    this.#isBelowReported = false;
    if (runningMs() - this.#requestedAtMs < FORGOTTEN_AFTER_MS) return;
    this.#requested.clear();
    backoff.reset();
  }

  /**
   * Records that the control plane is behind the vehicle. Gives the milliseconds after which that has to be reported,
   * if it lasts: 0 to report it now, and null where it was reported.
   */
  below(): number | null {
    const now = this.#options.runningMs();
    this.#belowSinceMs ??= now;
    if (this.#isBelowReported) return null;
    const wait = Math.max(0, this.#belowSinceMs + this.#options.belowMs - now);
    this.#isBelowReported = wait === 0;
    return wait;
  }
}
