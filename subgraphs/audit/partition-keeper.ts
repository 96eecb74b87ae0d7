/**
 * Keeps the trail's partitions ready: this month's and the next three (database.md, audit_logs). Where pg_cron does
 * the same, nothing is left to do here.
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';

const DAY = 24 * 3_600_000;
const AFTER_FAILURE = 3_600_000;
const MONTHS_AHEAD = 3;

export class PartitionKeeper {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly logger: Logger,
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
      const [row] = await this.prisma.$queryRaw<{ created: number }[]>`SELECT ensure_audit_log_partitions(${MONTHS_AHEAD}::int) AS created`;
      if (row !== undefined && row.created > 0) this.logger.info({ created: row.created }, 'Partitions of the audit trail were created');
    } catch (error) {
      wait = AFTER_FAILURE;
      this.logger.error({ err: error }, 'Partitions of the audit trail could not be created');
    }
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.start(), wait);
    this.#timer.unref();
  }
}
