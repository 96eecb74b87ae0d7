/**
 * Keeps the trail's partitions ready, and detaches those that have served their time (database.md, audit_logs). Where
 * pg_cron makes them, none is left to make here; detaching is always done here, because the trail must say so.
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { maintainAuditPartitions } from '../../shared/audit/audit-partitions.ts';
import { Poller } from '../../../core/async/poller.ts';

/** Tells the time, where it is not the database's. */
type Clock = () => Date;

const DAY = 24 * 3_600_000;
const AFTER_FAILURE = 3_600_000;

export class PartitionJob {
  readonly #poller = new Poller(() => this.#poll());

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
    return this.#poller.start();
  }

  close(): Promise<void> {
    return this.#poller.close();
  }

  /** One poll. Resolves to the milliseconds until the next. */
  async #poll(): Promise<number> {
    try {
      const { created, detached } = await maintainAuditPartitions(this.prisma, this.clock?.() ?? null);
      if (created > 0) this.logger.info({ created }, 'Partitions of the audit trail were created');
      if (detached.length > 0)
        this.logger.warn({ detached }, 'Partitions of the audit trail were detached: archive these tables');
    } catch (error) {
      this.logger.error({ err: error }, 'Partitions of the audit trail could not be maintained');
      return AFTER_FAILURE;
    }
    return DAY;
  }
}
