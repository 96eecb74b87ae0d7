/**
 * Keeps the trail's partitions ready, and detaches those that have served their time (database.md, audit_logs). Where
 * pg_cron makes them, none is left to make here; detaching is always done here, because the trail must say so.
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { maintainAuditPartitions } from '../shared/database/audit-partitions.ts';

/** Tells the time, where it is not the database's. */
type Clock = () => Date;

const DAY = 24 * 3_600_000;
const AFTER_FAILURE = 3_600_000;

export class PartitionKeeper {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly logger: Logger,
    private readonly clock: Clock | null = null,
  ) {}

  /**
   * Looks now and then daily (hourly after a failure), until `close`. Resolves after the first look; a failure is
   * logged and not thrown, because there are months until it matters.
   */
  start(): Promise<void> {
    this.#running = this.#look();
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #look(): Promise<void> {
    let wait = DAY;
    try {
      const { created, detached } = await maintainAuditPartitions(this.prisma, this.clock?.() ?? null);
      if (created > 0) this.logger.info({ created }, 'Partitions of the audit trail were created');
      if (detached.length > 0) this.logger.warn({ detached }, 'Partitions of the audit trail were detached: archive these tables');
    } catch (error) {
      wait = AFTER_FAILURE;
      this.logger.error({ err: error }, 'Partitions of the audit trail could not be maintained');
    }
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.start(), wait);
    this.#timer.unref();
  }
}
