/**
 * How long to wait before the next attempt: exponential with full jitter, so that a fleet that lost its gateway
 * does not come back in one wave. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export interface BackoffOptions {
  /** Milliseconds: the bound of the first wait. */
  readonly baseMs: number;
  /** Milliseconds: no wait is longer. */
  readonly capMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export class Backoff {
  #attempt = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** The next wait in milliseconds. */
  next(): number {
    return this.options.random() * this.#bound();
  }

  /**
   * The next wait in milliseconds, never shorter than its bound, and longer by up to a quarter: for what must stay
   * rare.
   */
  nextWhole(): number {
    return this.#bound() * (1 + this.options.random() / 4);
  }

  /** A wait in the upper half of what is possible, for faults that pass slowly: a token that has to be replaced. */
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
