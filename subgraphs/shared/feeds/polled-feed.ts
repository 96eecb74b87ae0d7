/**
 * A feed of entries that have positions in the database, on this instance. While it has subscriptions, it polls the
 * database and also refreshes as soon as the bus announces something. A lost announcement therefore only delays entries
 * by one polling interval.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import type { Bus } from './bus.ts';
import { FeedSubscription, type FeedSource, type FeedStream } from './feed-subscription.ts';
import { CoalescedRefresh } from '../../../core/async/coalesce.ts';
import { Poller } from '../../../core/async/poller.ts';

/** The settings of a polled feed. */
export interface FeedOptions {
  readonly bus: Bus;
  /** The bus channel that announces new entries. */
  readonly channel: string;
  /** The polling interval in milliseconds; the longest delay after a lost announcement. */
  readonly interval: number;
  /** Reads new entries and wakes the subscriptions. Rejects when the database cannot be read. */
  readonly refresh: () => Promise<void>;
  /** Gives the position of the newest entry that a refresh has seen; undefined before the first refresh. */
  readonly head: () => number | undefined;
  /** Called when the last subscription has ended. */
  readonly unfollowed: () => void;
  readonly logger: Logger;
  /** The log message, written once when refreshes begin to fail. */
  readonly failure: string;
}

/** Runs subscriptions, polling and announcements of one feed. */
export class PolledFeed<Entry> {
  readonly #subscriptions = new Set<FeedSubscription<Entry>>();
  readonly #refreshes: CoalescedRefresh;
  #failing = false;
  #closed = false;
  /** Polls while there are subscriptions. */
  #poller: Poller | undefined;
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(private readonly options: FeedOptions) {
    this.#refreshes = new CoalescedRefresh(options.refresh);
  }

  /** The open subscriptions. */
  get subscriptions(): ReadonlySet<FeedSubscription<Entry>> {
    return this.#subscriptions;
  }

  /** Subscribes to the bus. */
  async start(): Promise<void> {
    const { bus, channel } = this.options;
    this.#unsubscribe = await bus.subscribe(channel, () => {
      if (this.#subscriptions.size > 0) unattended(this.#refreshOrLog(), 'Looking for entries');
    });
  }

  /** Ends every stream normally, as if no more entries were to come. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) unattended(subscription.return(), 'Ending a stream');
    await this.#unsubscribe?.();
    await this.#refreshes.close();
  }

  /**
   * Streams the entries after a position (0: all), or only those from now on, until its `return()` is called or the
   * feed closes.
   *
   * With 'now', `established` resolves when every later entry is certain to arrive. It rejects, and so does the first
   * `next()`, when the database cannot be read at that time. A stream that is established survives later outages of the
   * database.
   */
  subscribe(read: FeedSource<Entry>['read'], after: number | 'now'): FeedStream<Entry> {
    const start = async () => {
      await this.refresh();
      return this.options.head() ?? 0;
    };
    const subscription: FeedSubscription<Entry> = new FeedSubscription(
      { start, read, leave: () => this.#unsubscribed(subscription) },
      after,
    );
    this.#subscriptions.add(subscription);
    subscription.begin();
    if (this.#closed) unattended(subscription.return(), 'Ending a stream');
    else if (this.#subscriptions.size === 1) this.#startPolling();
    return subscription;
  }

  /**
   * Reads the entries since the last refresh. Calls during a refresh share one more refresh after it. Rejects when the
   * database cannot be read; nothing is lost, because the next refresh continues from the same position.
   */
  refresh(): Promise<void> {
    return this.#refreshes.refresh();
  }

  #startPolling(): void {
    this.#poller = new Poller(async () => {
      await this.#refreshOrLog();
      return this.options.interval;
    });
    unattended(this.#poller.start(), 'Polling a feed');
  }

  async #refreshOrLog(): Promise<void> {
    try {
      await this.refresh();
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.options.logger.warn({ err: error }, this.options.failure);
      this.#failing = true;
    }
  }

  #unsubscribed(subscription: FeedSubscription<Entry>): void {
    this.#subscriptions.delete(subscription);
    if (this.#subscriptions.size > 0) return;
    // Not waited for: what it still reads is nobody's any more.
    if (this.#poller !== undefined) unattended(this.#poller.close(), 'Polling a feed');
    this.options.unfollowed();
  }
}
