/**
 * Streams of changes of vehicles' status, on this instance. A stream delivers the vehicle's current state: of several
 * quick changes, a slow reader gets only the last. While there are subscriptions, the feed polls every second, and
 * reads at once when the bus announces a change.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { PolledFeed } from '../../shared/feeds/polled-feed.ts';
import type { FeedStream } from '../../shared/feeds/feed-subscription.ts';
import { STATUSES_CHANGED, statusHead } from '../registry/status-position.ts';
import { changedStatuses } from '../registry/vehicle-store.ts';
import type { Vehicle } from '../registry/vehicle.ts';

/** The polling interval in milliseconds; the longest delay after a lost announcement. */
const POLL_INTERVAL_MS = 1_000;

/**
 * The most vehicles of one read, and the milliseconds until the next read when there are more: a gateway can execute
 * this many without falling behind.
 */
const PAGE = 200;
const PAGE_PAUSE_MS = 250;

/** The region and model whose changes are wanted; null for any. */
export interface StatusFilter {
  readonly region: string | null;
  readonly model: string | null;
}

/** Reads status changes and delivers them to subscriptions. */
export class StatusFeed extends PolledFeed<Vehicle> {
  constructor(
    private readonly prisma: PrismaClient,
    bus: Bus,
    logger: Logger,
  ) {
    super({
      bus,
      channel: STATUSES_CHANGED,
      intervalMs: POLL_INTERVAL_MS,
      readHead: () => statusHead(prisma),
      logger,
      failure: 'Cannot read changed statuses of vehicles for streams; trying again until they can be read',
    });
  }

  /**
   * Streams the vehicles whose status changes from now on, in that order, until its `return()` is called or the feed
   * closes. `established` resolves when every later change is certain to arrive. It rejects, and so does the first
   * `next()`, when the database cannot be read at that time. A stream that is established survives later outages of the
   * database.
   */
  subscribe(filter: StatusFilter): FeedStream<Vehicle> {
    let more = false;
    return this.stream(async (after, head) => {
      if (more) await delay(PAGE_PAUSE_MS, undefined, { ref: false });
      const page = await changedStatuses(this.prisma, { after, upTo: head }, filter, PAGE);
      more = page.length === PAGE;
      return { entries: page.map(({ vehicle }) => vehicle), position: more ? (page.at(-1)?.position ?? head) : head };
    }, 'now');
  }
}
