/**
 * A feed of entries that have positions in the database, on this instance. While it has subscriptions it polls the
 * database, and refreshes at once when the bus announces something, so that a lost announcement costs one interval and
 * nothing else.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import type { Bus } from './bus.ts';
import { FeedSubscription, type FeedSource, type FeedStream } from './feed-subscription.ts';
import { CoalescedRefresh } from '../../../core/async/coalesce.ts';

export interface FeedOptions {
  readonly bus: Bus;
  /** Where it is announced that there is something new. */
  readonly channel: string;
  /** Milliseconds for which what was announced to nobody stays unseen. */
  readonly interval: number;
  /** Reads what is new, and wakes the subscriptions. Rejects when the database cannot be read. */
  readonly refresh: () => Promise<void>;
  /** The position of the newest entry that a refresh has seen; undefined before the first. */
  readonly head: () => number | undefined;
  /** Called when the last subscription has ended. */
  readonly unfollowed: () => void;
  readonly logger: Logger;
  /** What the log says, once, when refreshes begin to fail. */
  readonly failure: string;
}

export class PolledFeed<Entry> {
  readonly #subscriptions = new Set<FeedSubscription<Entry>>();
  readonly #refreshes: CoalescedRefresh;
  #failing = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(private readonly options: FeedOptions) {
    this.#refreshes = new CoalescedRefresh(options.refresh);
  }

  /** The subscriptions that there are now. */
  get subscriptions(): ReadonlySet<FeedSubscription<Entry>> {
    return this.#subscriptions;
  }

  async start(): Promise<void> {
    const { bus, channel } = this.options;
    this.#unsubscribe = await bus.subscribe(channel, () => {
      if (this.#subscriptions.size > 0) unattended(this.#refreshOrLog(), 'Looking for entries');
    });
  }

  /** Ends every stream, as if nothing were to come any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) unattended(subscription.return(), 'Ending a stream');
    clearTimeout(this.#timer);
    await this.#unsubscribe?.();
    await this.#refreshes.close();
  }

  /**
   * The entries after a position (0: all), or those from now on, until its `return()` or the end of the feed.
   *
   * With 'now', `established` resolves when everything after it will come. It rejects, and so does the first `next()`,
   * when the database cannot be read at that time; a stream that is established outlives such times.
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
    else if (this.#subscriptions.size === 1) this.#poll();
    return subscription;
  }

  /**
   * Reads what is new since the last refresh. Calls during a refresh are answered by one more after it. Rejects when the
   * database cannot be read; nothing is lost by it, because the next refresh goes on from the same place.
   */
  refresh(): Promise<void> {
    return this.#refreshes.refresh();
  }

  #poll(): void {
    const looked = this.#refreshOrLog().then(() => {
      if (this.#closed || this.#subscriptions.size === 0) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#poll(), this.options.interval);
      this.#timer.unref();
    });
    unattended(looked, 'Looking for entries');
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
    clearTimeout(this.#timer);
    this.options.unfollowed();
  }
}
