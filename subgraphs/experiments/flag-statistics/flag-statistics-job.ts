/**
 * Copies evaluation statistics from the metrics store to `flags.total_evaluations`, `active_vehicles` and
 * `last_evaluation_at`. The columns belong to the flags subgraph;
 * docs/decisions/data/reading-another-subgraphs-table.md says why they are written from here.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Poller } from '../../../core/async/poller.ts';
import { EvaluationCounts } from './evaluation-counts.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import { storePoller } from '../metrics/store-poller.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** The least milliseconds between two refreshes. */
const INTERVAL_MS = 15_000;
/**
 * The factor by which the pause after a slow refresh exceeds the time that the refresh took, so that the store has time
 * for others.
 */
const REST = 10;
/** The key of the advisory lock; any number that nothing else in the database uses. */
const LOCK_KEY = 4_617_253_019;
/** Milliseconds for reading the one store and writing the other. */
const TIMEOUT_MS = 30_000;

/** Refreshes the statistics periodically. Of all instances, one does so at a time. */
export class FlagStatisticsJob {
  readonly #poller: Poller;
  readonly #counts: EvaluationCounts;

  constructor(
    private readonly prisma: PrismaClient,
    tables: MetricTables,
    logger: Logger,
    intervalMs = INTERVAL_MS,
  ) {
    this.#poller = storePoller({
      refresh: () => this.refresh(),
      intervalMs,
      rest: REST,
      logger,
      failure: 'Cannot refresh the statistics of flags; serving the previous ones until the next attempt succeeds',
    });
    this.#counts = new EvaluationCounts(tables);
  }

  /** Starts refreshing. */
  start(): void {
    unattended(this.#poller.start(), "Refreshing flags' statistics");
  }

  /** Stops refreshing. Waits for a refresh in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Writes changed statistics in one statement; flags that another transaction has locked are left to the next refresh.
   * Keeps each flag's revision and time of change, because vehicles need not learn of this.
   *
   * @returns the number of flags written; null while another instance refreshes
   */
  async refresh(): Promise<number | null> {
    return this.prisma.$transaction(
      async (tx) => {
        const [lock] = await rowsOf(tx, { free: is.boolean })`SELECT pg_try_advisory_xact_lock(${LOCK_KEY}) AS free`;
        if (lock?.free !== true) return null;
        const flags = await rowsOf(tx, { key: is.string })`SELECT key FROM flags`;
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
      { timeout: TIMEOUT_MS },
    );
  }
}
