import { CoalescedRefresh } from './coalesce.ts';
import { Poller } from './poller.ts';

/** The refresh, its interval, and the callbacks for failures. */
export interface PolledRefreshOptions {
  /** Does one refresh; rejects when it fails. */
  readonly refresh: () => Promise<void>;
  /** The milliseconds from the start of one poll to the start of the next. */
  readonly intervalMs: number;
  /** Receives the error of a refresh that was polled or tried, and whether it is the first failure in a row. */
  readonly failed: (error: unknown, isFirst: boolean) => void;
  /** Called after the first refresh that succeeds again. */
  readonly recovered?: () => void;
}

/**
 * Keeps something up to date: refreshes it at an interval, which may be started and stopped, and at each call. One
 * refresh runs at a time; all calls during it share one more after it.
 */
export class PolledRefresh {
  readonly #refreshes: CoalescedRefresh;
  #poller: Poller | undefined;
  #failing = false;

  constructor(private readonly options: PolledRefreshOptions) {
    this.#refreshes = new CoalescedRefresh(options.refresh);
  }

  /**
   * Starts polling. Without a wait, the first poll begins at once, and this resolves after it.
   *
   * @param waitMs milliseconds until the first poll
   */
  start(waitMs = 0): Promise<void> {
    this.#poller = Poller.every(this.options.intervalMs, () => this.attempt());
    return this.#poller.start(waitMs);
  }

  /** Stops polling. Resolves when a poll in progress has ended. */
  async stop(): Promise<void> {
    await this.#poller?.close();
  }

  /** Stops polling, and drops a refresh that is still due. Resolves when a refresh in progress has ended. */
  async close(): Promise<void> {
    await this.stop();
    await this.#refreshes.close();
  }

  /** Resolves after a refresh that began after this call; rejects when it fails. */
  refresh(): Promise<void> {
    return this.#refreshes.refresh();
  }

  /** Resolves after a refresh that began after this call, whether it fails or not. */
  async attempt(): Promise<void> {
    try {
      await this.refresh();
      if (this.#failing) this.options.recovered?.();
      this.#failing = false;
    } catch (error) {
      const isFirst = !this.#failing;
      this.#failing = true;
      this.options.failed(error, isFirst);
    }
  }
}
