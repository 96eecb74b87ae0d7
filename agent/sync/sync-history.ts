/**
 * What one connection leaves to the next, so that no reconnecting makes a vehicle ask for everything, or report, again
 * and again.
 */
import type { Backoff } from '../link/backoff.ts';

/** More sets than come by while a vehicle has trouble with one of them. */
const MAX_SETS = 100;
/** Trouble with a set that is as old as this is over. */
const FORGOTTEN_AFTER_MS = 3_600_000;

export interface SyncHistoryOptions {
  /** Waits between two times of asking for everything in vain. */
  readonly backoff: Backoff;
  /** Milliseconds after such a time before a new connection may ask for everything. */
  readonly newLinkMs: number;
  /** Milliseconds that a revision below the own must last before it is reported. */
  readonly belowMs: number;
  /** Milliseconds, by a clock that nobody sets. */
  readonly runningMs: () => number;
}

export class SyncHistory {
  readonly #options: SyncHistoryOptions;
  /** Sets for which everything has been asked, and when. */
  readonly #asked = new Map<string, number>();
  #askedAtMs = -Infinity;
  #inVainAtMs = -Infinity;
  #notBeforeMs = -Infinity;
  #belowSinceMs: number | null = null;
  #belowReported = false;

  constructor(options: SyncHistoryOptions) {
    this.#options = options;
  }

  /** A new connection may be an honest one. */
  newLink(): void {
    this.#notBeforeMs = Math.min(this.#notBeforeMs, this.#inVainAtMs + this.#options.newLinkMs);
  }

  /** Milliseconds until everything may be asked for. */
  get waitMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#options.runningMs());
  }

  /**
   * Milliseconds until everything is to be asked for, since `set` is not what is held: once at once, then after growing
   * waits.
   *
   * @param inVain whether everything has just been asked for, and `set` did not come of it
   */
  waitFor(set: string, inVain: boolean): number {
    const { runningMs, backoff } = this.#options;
    const first = !this.#asked.has(set);
    if (this.#asked.size >= MAX_SETS) this.#asked.clear();
    this.#askedAtMs = runningMs();
    this.#asked.set(set, this.#askedAtMs);
    if (inVain) this.#inVainAtMs = this.#askedAtMs;
    if (first && !inVain) return 0;
    // A wait that is under way goes on.
    if (inVain || this.waitMs === 0) this.#notBeforeMs = this.#askedAtMs + backoff.nextWhole();
    return this.waitMs;
  }

  /**
   * Whether a vehicle that holds nothing may ask for everything at once, since `set` is proven: once in the time of a
   * new connection for each set.
   */
  mayAskAgain(set: string): boolean {
    const now = this.#options.runningMs();
    if (now - (this.#asked.get(set) ?? -Infinity) < this.#options.newLinkMs) return false;
    this.#asked.set(set, now);
    return true;
  }

  /**
   * A set is held. The waits start anew only when that has lasted: instances that disagree each have their set held in
   * turn.
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
   * The control plane is behind the vehicle. Gives the milliseconds until that is to be reported: 0 once, then null.
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
