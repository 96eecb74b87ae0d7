/** Counting how often something is done, over all processes that share a cache. */
export interface RateLimiter {
  /**
   * Counts one more use of `key` in the window that is open for it, or opens one.
   *
   * @param limit uses that a window allows
   * @param windowSeconds the window's length, whole seconds; one key always comes with the same
   */
  consume(key: string, limit: number, windowSeconds: number): Promise<RateLimitState>;
  /** Takes one use back, as if it had not been made. */
  giveBack(key: string, windowSeconds: number): Promise<void>;
  /** Forgets what was counted. */
  reset(key: string, windowSeconds: number): Promise<void>;
}

export interface RateLimitState {
  readonly allowed: boolean;
  /** Uses that are left in the window. */
  readonly remaining: number;
  /** Whole seconds until the window ends, at least 1. */
  readonly resetSeconds: number;
}
