/**
 * Computes the wait before the next attempt. It is exponential with full jitter, so that a fleet that has lost its
 * gateway does not reconnect all at once. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export interface BackoffOptions {
  /** The upper bound of the first wait, in milliseconds. */
  readonly baseMs: number;
  /** The upper bound of every wait, in milliseconds. */
  readonly capMs: number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
}

/** Gives growing waits until it is reset. */
export class Backoff {
  #attempt = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** Gives the next wait in milliseconds. */
  next(): number {
    return this.options.random() * this.#bound();
  }

  /**
   * Gives the next wait in milliseconds for work that must stay rare: the whole bound, and up to a quarter more.
   */
  nextWhole(): number {
    return this.#bound() * (1 + this.options.random() / 4);
  }

  /** Gives a wait of at least half the cap, in milliseconds, for faults that pass slowly, such as a refused token. */
  nextSlow(): number {
    return this.options.capMs * (0.5 + this.options.random() / 2);
  }

  #bound(): number {
    const { baseMs, capMs } = this.options;
    const bound = Math.min(capMs, baseMs * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 30);
    return bound;
  }

  reset(): void {
    this.#attempt = 0;
  }
}
