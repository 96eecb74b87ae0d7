/**
 * How long to wait before the next attempt. After the first failure in a row the wait is `baseMs`; each further failure
 * doubles it, up to `capMs`.
 */
export interface BackoffBounds {
  /** Milliseconds: the wait after the first failure. */
  readonly baseMs: number;
  /** Milliseconds: no wait is longer. */
  readonly capMs: number;
}

/** The greatest exponent that is counted; a greater one would only overflow. */
const MAX_EXPONENT = 30;

/**
 * The wait in milliseconds after so many failures in a row. Without a failure it is what the first one would cost.
 *
 * @param failures 0 or more
 */
export function backoffMs(failures: number, { baseMs, capMs }: BackoffBounds): number {
  const exponent = Math.min(Math.max(failures - 1, 0), MAX_EXPONENT);
  return Math.min(capMs, baseMs * 2 ** exponent);
}

export interface BackoffOptions extends BackoffBounds {
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * The waits of one of many that try the same: with full jitter, so that a fleet that lost its gateway does not come
 * back in one wave. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export class Backoff {
  #failures = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** Failures in a row that were counted: calls of `next` and `nextWhole` since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure. Gives the next wait in milliseconds: anything up to its bound. */
  next(): number {
    return this.options.random() * this.#bound();
  }

  /**
   * Counts a failure. Gives the next wait in milliseconds, never shorter than its bound, and longer by up to a quarter:
   * for what must stay rare.
   */
  nextWhole(): number {
    return this.#bound() * (1 + this.options.random() / 4);
  }

  /**
   * A wait in milliseconds from the upper half of what is possible, for faults that pass slowly: a token that has to be
   * replaced.
   */
  nextSlow(): number {
    return this.options.capMs * (0.5 + this.options.random() / 2);
  }

  /** The last attempt succeeded: the waits start anew. */
  reset(): void {
    this.#failures = 0;
  }

  #bound(): number {
    this.#failures += 1;
    return backoffMs(this.#failures, this.options);
  }
}
