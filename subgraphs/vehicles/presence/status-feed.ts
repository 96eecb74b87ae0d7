/**
 * Changes of vehicles' status as streams, on this instance. What is streamed is the vehicle as it is: of changes that
 * follow each other faster than somebody reads, that one gets the last. While somebody follows it looks every second,
 * and at once when it is told to on the bus.
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

/** How long a change that was announced to nobody stays unseen, in milliseconds. */
const POLL_INTERVAL = 1_000;

/**
 * Vehicles that are read at once, and the milliseconds until the next of them where there are more: what a gateway
 * executes without falling behind.
 */
const PAGE = 200;
const PAGE_PAUSE = 250;

/** Whose changes; null: of any. */
export interface StatusFilter {
  readonly region: string | null;
  readonly model: string | null;
}

export class StatusFeed {
  readonly #feed: PolledFeed<Vehicle>;
  /** Up to where there are changes; undefined while nobody follows. */
  #head: number | undefined;

  constructor(
    private readonly prisma: PrismaClient,
    bus: Bus,
    logger: Logger,
  ) {
    this.#feed = new PolledFeed({
      bus,
      channel: STATUSES_CHANGED,
      interval: POLL_INTERVAL,
      refresh: () => this.#see(),
      head: () => this.#head,
      unfollowed: () => (this.#head = undefined),
      logger,
      failure: 'Changed statuses cannot be read; it is tried again until they can',
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
   * The vehicles whose status changes from now on, in that order, until its `return()` or the end of the feed.
   * `established` resolves when every change after it will come; it rejects, and so does the first `next()`, when the
   * database cannot be read at that time. A stream that is established outlives such times.
   */
  subscribe(filter: StatusFilter): FeedStream<Vehicle> {
    let more = false;
    return this.#feed.subscribe(async (after) => {
      if (more) await delay(PAGE_PAUSE, undefined, { ref: false });
      const head = this.#head;
      if (head === undefined || after >= head) return { entries: [], position: after };
      const page = await changedStatuses(this.prisma, { after, upTo: head }, filter, PAGE);
      more = page.length === PAGE;
      return { entries: page.map(({ vehicle }) => vehicle), position: more ? (page.at(-1)?.position ?? head) : head };
    }, 'now');
  }

  /** Looks whether there are changes. Rejects when the database cannot be read; nothing is lost by it. */
  refresh(): Promise<void> {
    return this.#feed.refresh();
  }

  async #see(): Promise<void> {
    const head = await statusHead(this.prisma);
    const { subscriptions } = this.#feed;
    if (subscriptions.size === 0) return;
    this.#head = head;
    for (const subscription of subscriptions) {
      // Lower than before: a database restored from a backup. What changes now is new.
      subscription.rewind(head);
      // Also where there is nothing new: it may be waiting because it could not read.
      subscription.wake();
    }
  }
}
