/**
 * The history of syncs across connections. It keeps a vehicle from starting a full sync, or from reporting the same
 * fault, again with each new connection.
 */
import type { Backoff } from '../../core/async/backoff.ts';

/** The sets that are remembered: more than appear while a vehicle cannot complete one of them. */
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
  /** The sets for which a full sync was started, each with its time. */
  readonly #asked = new Map<string, number>();
  #askedAtMs = -Infinity;
  #inVainAtMs = -Infinity;
  #notBeforeMs = -Infinity;
  #belowSinceMs: number | null = null;
  #belowReported = false;

  constructor(options: SyncHistoryOptions) {
    this.#options = options;
  }

  /** Allows an earlier full sync over a new connection, which may be an honest one. */
  newLink(): void {
    this.#notBeforeMs = Math.min(this.#notBeforeMs, this.#inVainAtMs + this.#options.newLinkMs);
  }

  /** The milliseconds until a full sync may start. */
  get waitMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#options.runningMs());
  }

  /**
   * Gives the milliseconds until a full sync is due because `set` is not held: none the first time, and then growing
   * waits.
   *
   * @param inVain whether a full sync has just ended without giving `set`
   */
  waitFor(set: string, inVain: boolean): number {
    const { runningMs, backoff } = this.#options;
    const first = !this.#asked.has(set);
    if (this.#asked.size >= MAX_SETS) this.#asked.clear();
    this.#askedAtMs = runningMs();
    this.#asked.set(set, this.#askedAtMs);
    if (inVain) this.#inVainAtMs = this.#askedAtMs;
    if (first && !inVain) return 0;
    // A running wait goes on.
    if (inVain || this.waitMs === 0) this.#notBeforeMs = this.#askedAtMs + backoff.nextWhole();
    return this.waitMs;
  }

  /**
   * Says whether a vehicle that holds nothing may start a full sync at once because `set` is proven: once for each set
   * in the time after which a new connection may.
   */
  mayAskAgain(set: string): boolean {
    const now = this.#options.runningMs();
    if (now - (this.#asked.get(set) ?? -Infinity) < this.#options.newLinkMs) return false;
    this.#asked.set(set, now);
    return true;
  }

  /**
   * Records that a set is held. The backoff is reset only when that has lasted, because the vehicle may hold the sets
   * of two disagreeing instances in turn.
   */
  held(): void {
    const { runningMs, backoff } = this.#options;
    this.#belowSinceMs = null;
    this.#belowReported = false;
    if (runningMs() - this.#askedAtMs < FORGOTTEN_AFTER_MS) return;
    this.#asked.clear();
    backoff.reset();
  }

  /**
   * Records that the control plane is behind the vehicle. Gives the milliseconds until that has to be reported: 0 when
   * it has to be, once, and then null.
   */
  below(): number | null {
    const now = this.#options.runningMs();
    this.#belowSinceMs ??= now;
    if (this.#belowReported) return null;
    const wait = Math.max(0, this.#belowSinceMs + this.#options.belowMs - now);
    this.#belowReported = wait === 0;
    return wait;
  }
}
