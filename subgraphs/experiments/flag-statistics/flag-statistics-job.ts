/**
 * Keeps `flags.total_evaluations`, `active_vehicles` and `last_evaluation_at` at what the metrics store says. The
 * columns are the flags subgraph's; why they are written from here: docs/decisions/reading-another-subgraphs-table.md.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { Poller } from '../../../core/async/poller.ts';
import { EvaluationCounts } from './evaluation-counts.ts';
import type { MetricTables } from '../metrics/metric-store.ts';

/** Milliseconds between two looks. */
const INTERVAL = 15_000;
/** A look that takes long is followed by a pause this many times as long, so that the store is left to others. */
const REST = 10;
/** Key of the advisory lock; any number that nothing else in the database uses. */
const LOCK_KEY = 4_617_253_019;
/** Milliseconds for reading the one store and writing the other. */
const TIMEOUT = 30_000;

export class FlagStatisticsJob {
  readonly #poller = new Poller(() => this.#poll());
  readonly #counts: EvaluationCounts;

  constructor(
    private readonly prisma: PrismaClient,
    tables: MetricTables,
    private readonly logger: Logger,
    private readonly interval = INTERVAL,
  ) {
    this.#counts = new EvaluationCounts(tables);
  }

  start(): void {
    unattended(this.#poller.start(), "Refreshing flags' statistics");
  }

  /** Waits for the refresh that is under way, if any. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Writes what has changed, in one statement; flags that somebody is changing at this moment are left for the next
   * time. Revision and time of change stay as they are: no vehicle has to hear of it.
   *
   * @returns how many flags it has written; null when another instance is at it
   */
  async refresh(): Promise<number | null> {
    return this.prisma.$transaction(
      async (tx) => {
        const [lock] = await tx.$queryRaw<{ free: boolean }[]>`SELECT pg_try_advisory_xact_lock(${LOCK_KEY}) AS free`;
        if (lock?.free !== true) return null;
        const flags = await tx.$queryRaw<{ key: string }[]>`SELECT key FROM flags`;
        const totals = await this.#counts.of(
          flags.map(({ key }) => key),
          Date.now(),
        );
        if (totals.length === 0) return 0;
        return tx.$executeRaw`
          WITH fresh AS (
            SELECT * FROM unnest(
              ${totals.map(({ flagKey }) => flagKey)}::text[], ${totals.map(({ evaluations }) => evaluations)}::float8[],
              ${totals.map(({ activeVehicles }) => activeVehicles)}::integer[], ${totals.map(({ lastAt }) => lastAt)}::timestamptz[]
            ) AS counted (key, evaluations, vehicles, last_at)
          ), changed AS (
            SELECT id, evaluations, vehicles, last_at FROM flags JOIN fresh USING (key)
            WHERE (total_evaluations, active_vehicles, last_evaluation_at) IS DISTINCT FROM (evaluations::bigint, vehicles, last_at)
            FOR UPDATE OF flags SKIP LOCKED
          )
          UPDATE flags SET total_evaluations = evaluations::bigint, active_vehicles = vehicles, last_evaluation_at = last_at
          FROM changed WHERE flags.id = changed.id`;
      },
      { timeout: TIMEOUT },
    );
  }

  /** One poll. Resolves to the milliseconds until the next. */
  async #poll(): Promise<number> {
    const begun = performance.now();
    try {
      await this.refresh();
    } catch (error) {
      if (!this.#poller.closed) this.logger.warn({ err: error }, "Flags' statistics could not be refreshed");
    }
    return Math.max(this.interval, REST * (performance.now() - begun));
  }
}
