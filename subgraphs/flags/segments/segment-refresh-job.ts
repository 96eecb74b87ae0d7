/**
 * Signs flags again when the tags that their segments name were given to vehicles or taken from them. Each instance
 * polls a count that is written with the vehicles, so no change of a tag is lost, whatever is killed; an announcement
 * on the bus only makes it sooner. The locks of `lockWithFlags` let one instance refresh a segment at a time.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { Poller } from '../../../core/async/poller.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { TAGS_CHANGED } from '../../shared/between-subgraphs/tags-changed.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { limitsOf, type FlagChanges } from '../changes/change.ts';
import { flagsNaming, segmentsToRefresh } from './segment.ts';
import { lockWithFlags, refreshSet } from './segment-change.ts';

/** Milliseconds after which a change of tags is seen without an announcement. */
const POLL_INTERVAL_MS = 1_000;
/** The wait of a segment that cannot be refreshed, such as one whose flags would grow beyond a limit. */
const RETRY_MS = 30_000;

/** Gives the identity of the control plane itself. The audit log has the person who changed the tags (TAG_VEHICLES). */
const identity = (): CallerIdentity => ({
  caller: { kind: 'gateway' },
  origin: { ipAddress: null, userAgent: 'FleetFlag segments', requestId: randomUUID() },
});

/** Polls for segments whose tags have changed. */
export class SegmentRefreshJob {
  readonly #poller = Poller.every(POLL_INTERVAL_MS, () => this.#poll());
  readonly #failedAt = new Map<string, number>();
  #running: Promise<void> = Promise.resolve();
  #unsubscribe: () => Promise<void> = async () => undefined;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly changes: FlagChanges,
    private readonly bus: Bus,
    private readonly logger: Logger,
  ) {}

  /** Starts polling, and listening to announcements. */
  async start(): Promise<void> {
    this.#unsubscribe = await this.bus.subscribe(TAGS_CHANGED, () => unattended(this.#poll(), 'Refreshing segments'));
    unattended(this.#poller.start(), 'Polling for segments to refresh');
  }

  /** Stops polling. Waits for a refresh in progress. */
  async close(): Promise<void> {
    await this.#unsubscribe();
    await this.#poller.close();
    await this.#running;
  }

  /** Refreshes every segment whose tags have changed, and gives the number of flags that were signed. */
  async refresh(): Promise<number> {
    let signed = 0;
    for (const key of await segmentsToRefresh(this.prisma)) {
      if (Date.now() - (this.#failedAt.get(key) ?? 0) < RETRY_MS) continue;
      try {
        signed += await this.#refresh(key);
        this.#failedAt.delete(key);
      } catch (err) {
        this.#failedAt.set(key, Date.now());
        this.logger.warn(
          { err, segment: key },
          'Cannot sign the flags of a segment for its changed tags; vehicles keep what they have; retrying in 30 s',
        );
      }
    }
    return signed;
  }

  async #refresh(key: string): Promise<number> {
    const limits = limitsOf((await flagsNaming(this.prisma, [key])).length);
    const find = async (tx: Transaction) => refreshSet(tx, await lockWithFlags(tx, key));
    return (await this.changes.applySet(identity(), find, limits)).flags.length;
  }

  #poll(): Promise<void> {
    this.#running = this.#running.then(async () => {
      try {
        await this.refresh();
      } catch (err) {
        this.logger.warn({ err }, 'Cannot read which segments have changed tags; the next poll retries it');
      }
    });
    return this.#running;
  }
}
