/**
 * Changes of vehicles' status as streams, on this instance. What is streamed is the vehicle as it is: of changes that
 * follow each other faster than somebody reads, that one gets the last. While somebody follows it looks every second,
 * and at once when it is told to on the bus.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/bus.ts';
import { Follower, type FollowedStream } from '../shared/follower.ts';
import { Looks } from '../shared/looks.ts';
import { STATUSES_CHANGED, statusHead } from './status-position.ts';
import { changedStatuses } from './store.ts';
import type { Vehicle } from './vehicle.ts';

/** How long a change that was announced to nobody stays unseen, in milliseconds. */
const POLL_INTERVAL = 1_000;

/** Vehicles that are read at once, and the milliseconds until the next of them where there are more: what a gateway executes without falling behind. */
const PAGE = 200;
const PAGE_PAUSE = 250;

/** Whose changes; null: of any. */
export interface StatusFilter {
  readonly region: string | null;
  readonly model: string | null;
}

export class StatusFeed {
  readonly #followers = new Set<Follower<Vehicle>>();
  /** Up to where there are changes; undefined while nobody follows. */
  #head: number | undefined;
  readonly #looks = new Looks(() => this.#see());
  #failing = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly bus: Bus,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    this.#unsubscribe = await this.bus.subscribe(STATUSES_CHANGED, () => {
      if (this.#followers.size > 0) void this.#lookOrLog();
    });
  }

  /** Ends every stream, as if nothing were to come any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const follower of [...this.#followers]) void follower.return();
    clearTimeout(this.#timer);
    await this.#unsubscribe?.();
    await this.#looks.close();
  }

  /**
   * The vehicles whose status changes from now on, in that order, until its `return()` or the end of the feed.
   * `established` resolves when every change after it will come; it rejects, and so does the first `next()`, when the
   * database cannot be read at that time. A stream that is established outlives such times.
   */
  follow(filter: StatusFilter): FollowedStream<Vehicle> {
    let more = false;
    const follower: Follower<Vehicle> = new Follower(
      {
        start: async () => {
          await this.look();
          return this.#head ?? 0;
        },
        read: async (after) => {
          if (more) await delay(PAGE_PAUSE, undefined, { ref: false });
          const head = this.#head;
          if (head === undefined || after >= head) return { entries: [], position: after };
          const page = await changedStatuses(this.prisma, { after, upTo: head }, filter, PAGE);
          more = page.length === PAGE;
          return { entries: page.map(({ vehicle }) => vehicle), position: more ? (page.at(-1)?.position ?? head) : head };
        },
        leave: () => this.#leave(follower),
      },
      'now',
    );
    this.#followers.add(follower);
    follower.begin();
    if (this.#closed) void follower.return();
    else if (this.#followers.size === 1) this.#poll();
    return follower;
  }

  /** Looks whether there are changes. Rejects when the database cannot be read; nothing is lost by it. */
  look(): Promise<void> {
    return this.#looks.look();
  }

  #poll(): void {
    void this.#lookOrLog().then(() => {
      if (this.#closed || this.#followers.size === 0) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#poll(), POLL_INTERVAL);
      this.#timer.unref();
    });
  }

  async #lookOrLog(): Promise<void> {
    try {
      await this.look();
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.logger.warn({ err: error }, 'Changed statuses cannot be read; it is tried again until they can');
      this.#failing = true;
    }
  }

  async #see(): Promise<void> {
    const head = await statusHead(this.prisma);
    if (this.#followers.size === 0) return;
    this.#head = head;
    for (const follower of this.#followers) {
      // Lower than before: a database restored from a backup. What changes now is new.
      follower.rewind(head);
      // Also where there is nothing new: it may be waiting because it could not read.
      follower.wake();
    }
  }

  #leave(follower: Follower<Vehicle>): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    clearTimeout(this.#timer);
    this.#head = undefined;
  }
}
