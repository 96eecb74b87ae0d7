/**
 * What one account (a person, or an API key) may run at once at one gateway, over HTTP and websockets together.
 * `docs/operations/limits.md` gives the reasons; a test holds the two together. Kill switches are counted by
 * themselves: they wait for no query or change of their account.
 */
export const ACCOUNT_LIMITS = {
  /**
   * The cost past which an operation is a dear one: those hold the event loop for longest, and take turns of their own.
   */
  dearCost: 500,
  /**
   * Dear operations that run at once: of one account, and of all accounts together. As many may wait as of the others.
   */
  runningDearOperations: 1,
  runningDearOfAll: 2,
  /**
   * Queries and mutations that run at once. Each may have twenty fields, and each of those a connection to the
   * database.
   */
  runningOperations: 4,
  /** That wait for their turn; one more is refused with RATE_LIMITED and `retryAfter`. */
  waitingOperations: 100,
  /** Kill switches that run at once, and that wait. */
  runningKillSwitches: 2,
  waitingKillSwitches: 20,
  /** Milliseconds that either waits at most. */
  waitTimeout: 15_000,
} as const;
