/**
 * Creates the audit log's partitions in advance, and detaches those past their retention (database.md, audit_logs).
 * Where pg_cron has created them, there is nothing left to create. Only this job detaches, because the audit log must
 * record that.
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { maintainAuditPartitions } from '../../shared/audit/audit-partitions.ts';
import { Poller } from '../../../core/async/poller.ts';

/** Gives the time, when it is not the database's. */
type Clock = () => Date;

const DAY_MS = 24 * 3_600_000;
const RETRY_INTERVAL_MS = 3_600_000;

/** Runs the partitions' maintenance. */
export class PartitionJob {
  readonly #poller = new Poller(() => this.#poll());

  constructor(
    private readonly prisma: PrismaClient,
    private readonly logger: Logger,
    private readonly clock: Clock | null = null,
  ) {}

  /**
   * Runs the maintenance now and then daily (hourly after a failure), until `close`. Resolves after the first run. A
   * failure is logged and not thrown, because partitions exist months ahead.
   */
  start(): Promise<void> {
    return this.#poller.start();
  }

  /** Stops the maintenance. Waits for a run in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /** Polls once. Resolves to the milliseconds until the next poll. */
  async #poll(): Promise<number> {
    try {
      const { created, detached } = await maintainAuditPartitions(this.prisma, this.clock?.() ?? null);
      if (created > 0) this.logger.info({ created }, 'Created partitions of the audit log');
      if (detached.length > 0)
        this.logger.warn({ detached }, 'Detached expired partitions of the audit log; archive these tables');
    } catch (error) {
      this.logger.error({ err: error }, 'Cannot create or detach partitions of the audit log; retrying in an hour');
      return RETRY_INTERVAL_MS;
    }
    return DAY_MS;
  }
}
