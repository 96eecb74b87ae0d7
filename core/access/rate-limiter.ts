/** Counts uses of a key in windows of time, over all processes that share a cache. */
export interface RateLimiter {
  /**
   * Counts one more use of `key` in its open window, or opens a window.
   *
   * @param limit the number of uses that a window allows
   * @param windowSeconds the window's length in whole seconds; always the same for one key
   */
  consume(key: string, limit: number, windowSeconds: number): Promise<RateLimitState>;
  /** Takes one counted use of `key` back. */
  giveBack(key: string, windowSeconds: number): Promise<void>;
  /** Forgets all counted uses of `key`. */
  reset(key: string, windowSeconds: number): Promise<void>;
}

/** The state of a key's window after a use. */
export interface RateLimitState {
  readonly allowed: boolean;
  /** The number of uses that are left in the window. */
  readonly remaining: number;
  /** Whole seconds until the window ends, at least 1. */
  readonly resetSeconds: number;
}
