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
  /** The position of the newest entry in the database. Rejects when that cannot be read. */
  readonly readHead: () => Promise<number>;
  /**
   * Moves the feed to `head` by its own steps, each told with `advance`. Without it, that is one step. It gives up when
   * the feed's head is not where it left it: everybody has unsubscribed meanwhile.
   */
  readonly catchUp?: (head: number) => Promise<void>;
  readonly logger: Logger;
  /** The log message, written once when refreshes begin to fail. */
  readonly failure: string;
}

/** Entries after `position` up to `head`, oldest first, and where to go on after them. */
export type ReadPage<Entry> = (
  position: number,
  head: number,
) => Promise<{ readonly entries: readonly Entry[]; readonly position: number }>;

export class PolledFeed<Entry> {
  readonly #subscriptions = new Set<FeedSubscription<Entry>>();
  readonly #refreshes = new CoalescedRefresh(() => this.#readNews());
  #head: number | undefined;
  #failing = false;
  #closed = false;
  /** Polls while there are subscriptions. */
  #poller: Poller | undefined;
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(private readonly options: FeedOptions) {}

  /** Up to where subscriptions may read; undefined while there are none, and before the first refresh. */
  get head(): number | undefined {
    return this.#head;
  }

  /** Lets subscriptions read up to `head`. */
  advance(head: number): void {
    this.#head = head;
    // Also where there is nothing new: one may be waiting because it could not read.
    for (const subscription of this.#subscriptions) subscription.wake();
  }

  /** Subscribes to the bus. */
  async start(): Promise<void> {
    const { bus, channel } = this.options;
    this.#unsubscribe = await bus.subscribe(channel, () => {
      if (this.#subscriptions.size > 0) unattended(this.#refreshOrLog(), 'Polling for entries');
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
   * With 'now', `established` resolves when everything after it will come. It rejects, and so does the first `next()`,
   * when the database cannot be read at that time; a stream that is established outlives such times.
   *
   * @param read gives entries after `position` up to `head`, oldest first, and where to go on after them
   */
  subscribe(read: ReadPage<Entry>, after: number | 'now'): FeedStream<Entry> {
    const start = async () => {
      await this.refresh();
      return this.#head ?? 0;
    };
    const readUpToHead: FeedSource<Entry>['read'] = async (position) => {
      const head = this.#head;
      return head === undefined || position >= head ? { entries: [], position } : read(position, head);
    };
    const subscription: FeedSubscription<Entry> = new FeedSubscription(
      { start, read: readUpToHead, leave: () => this.#unsubscribed(subscription) },
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

  async #readNews(): Promise<void> {
    const head = await this.options.readHead();
    if (this.#subscriptions.size === 0) return;
    // Lower than before: a database restored from a backup. What it appends now is new.
    for (const subscription of this.#subscriptions) subscription.rewind(head);
    if (this.options.catchUp === undefined) this.advance(head);
    else await this.options.catchUp(head);
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
    this.#head = undefined;
  }
}
