/**
 * The trail as a stream, on this instance: every entry in chain order, none left out, none twice. It follows the head
 * of the chain, which moves in the transaction of each entry, so that all up to it is committed. While somebody
 * follows it looks twice a second, and at once when it is told to on the bus.
 *
 * Who follows takes entries at their own pace: the newest are kept once for all, and who has fallen behind them reads
 * pages of their own. So a slow follower neither holds up others nor makes anything grow.
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { TRAIL_APPENDED } from '../../shared/audit/audit-trail.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { PolledFeed } from '../../shared/feeds/polled-feed.ts';
import type { FeedStream } from '../../shared/feeds/feed-subscription.ts';
import { entriesBetween, headPosition, type TrailEntry } from './trail-store.ts';

/** How long an entry that was announced to nobody stays unseen, in milliseconds. */
const POLL_INTERVAL = 500;

/** How many entries are read at once, and how many are kept for all. */
const PAGE = 200;

export class TrailFeed {
  readonly #feed: PolledFeed<TrailEntry>;
  /** Up to where the trail has been seen; undefined while nobody follows. */
  #position: number | undefined;
  /** The entries after `#recentAfter` up to `#position`. */
  #recent: readonly TrailEntry[] = [];
  #recentAfter = 0;

  constructor(
    private readonly prisma: PrismaClient,
    bus: Bus,
    logger: Logger,
  ) {
    this.#feed = new PolledFeed({
      bus,
      channel: TRAIL_APPENDED,
      interval: POLL_INTERVAL,
      refresh: () => this.#see(),
      head: () => this.#position,
      unfollowed: () => ([this.#position, this.#recent] = [undefined, []]),
      logger,
      failure: 'The trail cannot be read; it is tried again until it can',
    });
  }

  start(): Promise<void> {
    return this.#feed.start();
  }

  /** Ends every stream, as if nothing were to come any more. */
  close(): Promise<void> {
    return this.#feed.close();
  }

  /**
   * The entries after a position of the chain (0: from the oldest that is there), or those from now on, until its
   * `return()` or the end of the feed.
   *
   * With 'now', `established` resolves when everything that is appended after it will come. It rejects, and so does the
   * first `next()`, when the database cannot be read at that time; a stream that is established outlives such times.
   */
  subscribe(after: number | 'now'): FeedStream<TrailEntry> {
    return this.#feed.subscribe((position) => this.#read(position), after);
  }

  /**
   * Sees what was appended since the last look. Calls during a look are answered by one more look after it. Rejects
   * when the database cannot be read; nothing is lost by it, because the next look goes on from the same place.
   */
  refresh(): Promise<void> {
    return this.#feed.refresh();
  }

  async #see(): Promise<void> {
    const head = await headPosition(this.prisma);
    if (this.#feed.subscriptions.size === 0) return;
    for (const subscription of this.#feed.subscriptions) subscription.rewind(head);
    // Below what was seen: a database restored from a backup. What it appends now is new.
    if (this.#position === undefined || head < this.#position) {
      [this.#position, this.#recentAfter, this.#recent] = [head, head, []];
      this.#wake();
    }
    while (this.#position < head) {
      const from = this.#position;
      const page = await entriesBetween(this.prisma, from, head, PAGE);
      // Everybody has left meanwhile.
      if (this.#position !== from) return;
      const known = [...this.#recent, ...page];
      this.#recent = known.slice(-PAGE);
      if (known.length > PAGE) this.#recentAfter = known[known.length - PAGE - 1]?.position ?? from;
      this.#position = page.length < PAGE ? head : (page.at(-1)?.position ?? head);
      this.#wake();
    }
  }

  #wake(): void {
    for (const subscription of this.#feed.subscriptions) subscription.wake();
  }

  /** Entries after `position` that have been seen, oldest first, and where to go on after them. */
  async #read(position: number): Promise<{ entries: readonly TrailEntry[]; position: number }> {
    const seen = this.#position;
    if (seen === undefined || position >= seen) return { entries: [], position };
    const recent = position >= this.#recentAfter;
    const entries = recent
      ? this.#recent.filter((entry) => entry.position > position)
      : await entriesBetween(this.prisma, position, seen, PAGE);
    return { entries, position: recent || entries.length < PAGE ? seen : (entries.at(-1)?.position ?? seen) };
  }
}
