/**
 * The stream of the audit log on this instance: every entry in chain order, exactly once. It follows the head of the
 * chain, which moves in the transaction of each entry, so every entry up to it is committed. While there are
 * subscriptions, it polls twice a second, and reads at once when the bus announces entries.
 *
 * Subscriptions read at their own pace. The newest entries are cached once for all. A subscription that has fallen
 * behind them reads pages of its own, so that it neither delays others nor makes memory grow.
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { AUDIT_LOG_APPENDED } from '../../shared/audit/audit-log.ts';
import { headPosition } from '../../shared/audit/head-position.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { PolledFeed } from '../../shared/feeds/polled-feed.ts';
import type { FeedStream } from '../../shared/feeds/feed-subscription.ts';
import { entriesBetween, type StoredAuditEntry } from './audit-log-store.ts';

/** The polling interval in milliseconds; the longest delay after a lost announcement. */
const POLL_INTERVAL_MS = 500;

/** The entries of one read, and the entries that are cached for all subscriptions. */
const PAGE = 200;

/** Reads entries and delivers them to subscriptions. */
export class AuditLogFeed extends PolledFeed<StoredAuditEntry> {
  /** The entries after `#recentAfter` up to the feed's head. */
  #recent: readonly StoredAuditEntry[] = [];
  #recentAfter = 0;

  constructor(
    private readonly prisma: PrismaClient,
    bus: Bus,
    logger: Logger,
  ) {
    super({
      bus,
      channel: AUDIT_LOG_APPENDED,
      intervalMs: POLL_INTERVAL_MS,
      readHead: () => headPosition(prisma),
      logger,
      failure: 'Cannot read the audit log for streams; trying again until it can be read',
    });
  }

  /**
   * Streams the entries after a position of the chain (0: from the oldest attached one), or only those from now on,
   * until its `return()` is called or the feed closes.
   *
   * With 'now', `established` resolves when every later entry is certain to arrive. It rejects, and so does the first
   * `next()`, when the database cannot be read at that time. A stream that is established survives later outages of the
   * database.
   */
  subscribe(after: number | 'now'): FeedStream<StoredAuditEntry> {
    return this.stream((position, head) => this.#read(position, head), after);
  }

  /** Reads up to the head of the chain once for all, page by page. */
  protected override async catchUp(head: number): Promise<void> {
    const seen = this.head;
    // A head below the last seen one belongs to a database that was restored from a backup. Its next rows are new.
    if (seen === undefined || head < seen) {
      [this.#recentAfter, this.#recent] = [head, []];
      return this.advance(head);
    }
    if (head === seen) return this.advance(head);
    for (let from = seen; from < head;) {
      const page = await entriesBetween(this.prisma, from, head, PAGE);
      // All subscriptions have ended meanwhile.
      if (this.head !== from) return;
      const known = [...this.#recent, ...page];
      this.#recent = known.slice(-PAGE);
      if (known.length > PAGE) this.#recentAfter = known[known.length - PAGE - 1]?.position ?? from;
      from = page.length < PAGE ? head : (page.at(-1)?.position ?? head);
      this.advance(from);
    }
  }

  /** Reads entries after `position` up to `head`, oldest first. Gives them with the position to go on from. */
  async #read(position: number, head: number): Promise<{ entries: readonly StoredAuditEntry[]; position: number }> {
    const isRecent = position >= this.#recentAfter;
    const entries = isRecent
      ? this.#recent.filter((entry) => entry.position > position)
      : await entriesBetween(this.prisma, position, head, PAGE);
    return { entries, position: isRecent || entries.length < PAGE ? head : (entries.at(-1)?.position ?? head) };
  }
}
