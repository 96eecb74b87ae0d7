/**
 * The operations that one account (a person, or an API key) may run at once at one gateway, over HTTP and websockets
 * together. `docs/operations/limits.md` gives the reasons; a test holds the two together. Kill switches are counted by
 * themselves: they wait for no query or change of their account.
 */
export const ACCOUNT_LIMITS = {
  /**
   * The cost above which an operation counts as expensive. Expensive operations hold the event loop for longest, and
   * have a limit of their own.
   */
  expensiveCost: 500,
  /**
   * The most expensive operations that run at once: of one account, and of all accounts together. As many may wait as
   * of ordinary ones.
   */
  runningExpensiveOperations: 1,
  runningExpensiveOfAll: 2,
  /**
   * The most ordinary queries and mutations that run at once. Each may have twenty fields, and each field may use a
   * connection to the database.
   */
  runningOperations: 4,
  /** The most operations that wait for their turn; one more is refused with RATE_LIMITED and `retryAfter`. */
  waitingOperations: 100,
  /** The most kill switches that run at once, and that wait. */
  runningKillSwitches: 2,
  waitingKillSwitches: 20,
  /** The most milliseconds for which an operation waits. */
  waitTimeoutMs: 15_000,
} as const;
