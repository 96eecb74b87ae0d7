/**
 * The waits between failed attempts. After the first failure in a row the wait is `baseMs`; each further failure
 * doubles it, up to `capMs`.
 */
export interface BackoffBounds {
  /** The wait after the first failure. */
  readonly baseMs: number;
  /** The longest wait. */
  readonly capMs: number;
}

/** The greatest exponent of the doubling; a greater one would overflow. */
const MAX_EXPONENT = 30;

/**
 * Gives the wait in milliseconds after a number of failures in a row. Without a failure it is that after the first.
 *
 * @param failures 0 or more
 */
export function backoffMs(failures: number, { baseMs, capMs }: BackoffBounds): number {
  const exponent = Math.min(Math.max(failures - 1, 0), MAX_EXPONENT);
  return Math.min(capMs, baseMs * 2 ** exponent);
}

/** The bounds of the waits, and their randomness. */
export interface BackoffOptions extends BackoffBounds {
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * The waits of one client of many. They have full jitter, so that a fleet that lost its gateway does not reconnect in
 * one wave. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export class Backoff {
  #failures = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** The number of failures in a row: calls of `next` and `nextWhole` since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure. Gives the next wait in milliseconds: a random one up to its bound. */
  next(): number {
    return this.options.random() * this.#bound();
  }

  /**
   * Counts a failure. Gives the next wait in milliseconds for requests that must stay rare: its bound, and up to a
   * quarter more.
   */
  nextWhole(): number {
    return this.#bound() * (1 + this.options.random() / 4);
  }

  /**
   * Gives a wait in milliseconds from the upper half of the range, for faults that pass slowly, such as a token that
   * has to be replaced.
   */
  nextSlow(): number {
    return this.options.capMs * (0.5 + this.options.random() / 2);
  }

  /** Records that the last attempt succeeded: the waits start from the beginning. */
  reset(): void {
    this.#failures = 0;
  }

  #bound(): number {
    this.#failures += 1;
    return backoffMs(this.#failures, this.options);
  }
}
