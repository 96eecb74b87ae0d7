/**
 * A feed of entries that have positions in the database, on this instance. While it has subscriptions, it polls the
 * database and also refreshes as soon as the bus announces something. A lost announcement therefore only delays entries
 * by one polling interval.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { Bus } from './bus.ts';
import { FeedSubscription, type FeedSource, type FeedStream } from './feed-subscription.ts';
import { PolledRefresh } from '../../../core/async/polled-refresh.ts';

/** The settings of a polled feed. */
export interface FeedOptions {
  readonly bus: Bus;
  /** The bus channel that announces new entries. */
  readonly channel: string;
  /** The polling interval in milliseconds; the longest delay after a lost announcement. */
  readonly intervalMs: number;
  /** The position of the newest entry in the database. Rejects when that cannot be read. */
  readonly readHead: () => Promise<number>;
  readonly logger: Logger;
  /** The log message, written once when refreshes begin to fail. */
  readonly failure: string;
}

/** Entries after `position` up to `head`, oldest first, and where to go on after them. */
export type ReadPage<Entry> = (
  position: number,
  head: number,
) => Promise<{ readonly entries: readonly Entry[]; readonly position: number }>;

/** The base of the feeds: each says which entries there are, and offers the streams of them. */
export abstract class PolledFeed<Entry> {
  readonly #subscriptions = new Set<FeedSubscription<Entry>>();
  /** Polls while there are subscriptions. */
  readonly #polled: PolledRefresh;
  #head: number | undefined;
  #closed = false;
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(private readonly options: FeedOptions) {
    this.#polled = new PolledRefresh({
      refresh: () => this.#readNews(),
      intervalMs: options.intervalMs,
      failed: (err, isFirst) => {
        if (isFirst) options.logger.warn({ err }, options.failure);
      },
    });
  }

  /** The position up to which subscriptions may read; undefined while there are none, and before the first refresh. */
  protected get head(): number | undefined {
    return this.#head;
  }

  /**
   * Moves the feed to `head`, by steps that are each given to `advance`; here in one step. A feed with more steps gives
   * up when its head is not where it left it: everybody has unsubscribed meanwhile.
   */
  protected async catchUp(head: number): Promise<void> {
    this.advance(head);
  }

  /** Lets subscriptions read up to `head`. */
  protected advance(head: number): void {
    this.#head = head;
    // They wake even where there is nothing new: one may be waiting because it could not read.
    for (const subscription of this.#subscriptions) subscription.wake();
  }

  /** Subscribes to the bus. */
  async start(): Promise<void> {
    const { bus, channel } = this.options;
    this.#unsubscribe = await bus.subscribe(channel, () => {
      if (this.#subscriptions.size > 0) unattended(this.#polled.attempt(), 'Polling for entries');
    });
  }

  /** Ends every stream normally, as if no more entries were to come. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) unattended(subscription.return(), 'Ending a stream');
    await this.#unsubscribe?.();
    await this.#polled.close();
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
  protected stream(read: ReadPage<Entry>, after: number | 'now'): FeedStream<Entry> {
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
    else if (this.#subscriptions.size === 1) unattended(this.#polled.start(), 'Polling a feed');
    return subscription;
  }

  /**
   * Reads the entries since the last refresh. Calls during a refresh share one more refresh after it. Rejects when the
   * database cannot be read; nothing is lost, because the next refresh continues from the same position.
   */
  refresh(): Promise<void> {
    return this.#polled.refresh();
  }

  async #readNews(): Promise<void> {
    const head = await this.options.readHead();
    if (this.#subscriptions.size === 0) return;
    // Lower than before: a database restored from a backup. What it appends now is new.
    for (const subscription of this.#subscriptions) subscription.rewind(head);
    await this.catchUp(head);
  }

  #unsubscribed(subscription: FeedSubscription<Entry>): void {
    this.#subscriptions.delete(subscription);
    if (this.#subscriptions.size > 0) return;
    // Nothing waits for the end of the polls: the last read has no subscriber.
    unattended(this.#polled.stop(), 'Polling a feed');
    this.#head = undefined;
  }
}
