/**
 * Computes the verdicts on guarded rollouts from the metrics store, again and again. The flags subgraph acts on them
 * (subgraphs/flags/rollouts/rollout-guard-enforcer.ts). Source: docs/decisions/guarded-rollouts.md.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import type { Poller } from '../../../core/async/poller.ts';
import { judge } from './guard-verdict.ts';
import { dueForVerdict, findWatched, saveVerdict } from './guarded-rollouts.ts';
import type { MetricTables } from '../metrics/metric-store.ts';
import { storePoller } from '../metrics/store-poller.ts';
import type { Measurements } from '../experiments/results.ts';

/** Milliseconds between two verdicts on a rollout. */
const INTERVAL = 5_000;
/** After slow verdicts the pause is this many times as long, so that the store has time for others. */
const REST = 2;
/** The first key of the advisory locks, one for each rollout; any number that nothing else in the database uses. */
const LOCK_KEY = 461_725_302;
/** Milliseconds for reading the one store and writing the other. */
const TIMEOUT = 30_000;

/** By arrival time. `FINAL` is not needed, because a copy of a row never arrived earlier than the row. */
const LAST_ARRIVAL = `SELECT toFloat64(toUnixTimestamp64Milli(max(received_at))) AS last FROM metric_rows
  WHERE flag_key = {flagKey:String} AND metric = {metric:String} AND variant = 'treatment' AND at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')`;

/** Polls for verdicts that are due and computes them. */
export class GuardVerdictJob {
  readonly #poller: Poller;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly store: Pick<MetricsStore, 'client'>,
    private readonly tables: Pick<MetricTables, 'make'>,
    private readonly measurements: Measurements,
    private readonly logger: Logger,
    private readonly interval = INTERVAL,
  ) {
    this.#poller = storePoller({
      refresh: () => this.refresh(),
      intervalMs: interval,
      rest: REST,
      logger,
      failure: 'Cannot read guarded rollouts; they hold at their step until the next attempt succeeds',
    });
  }

  /** Starts polling. */
  start(): void {
    unattended(this.#poller.start(), 'Checking the guards of rollouts');
  }

  /** Stops polling. Waits for a poll in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Computes the verdicts that are due, each in its own transaction, except those that another instance is computing. A
   * rollout whose numbers cannot be read keeps its old verdict, which then expires.
   *
   * @returns the number of verdicts that this instance has computed
   */
  async refresh(): Promise<number> {
    let computed = 0;
    for (const id of await dueForVerdict(this.prisma, this.interval)) {
      if (this.#poller.closed) break;
      const done = await this.#compute(id).catch((err: unknown) => {
        this.logger.warn(
          { err, rollout: id },
          'Cannot check the guard of a rollout; holding the rollout at its step until the check succeeds',
        );
        return false;
      });
      if (done) computed += 1;
    }
    return computed;
  }

  #compute(id: string): Promise<boolean> {
    return this.prisma.$transaction(
      async (tx) => {
        const [lock] = await tx.$queryRaw<
          { free: boolean }[]
        >`SELECT pg_try_advisory_xact_lock(${LOCK_KEY}::int, hashtext(${id})) AS free`;
        if (lock?.free !== true) return false;
        const watched = await findWatched(tx, id, this.interval);
        if (watched === null) return false;
        const { flagKey, guard, now } = watched;
        const { metric, watchedSince: from } = guard;
        const lastMeasurementAt = await this.#lastArrival(flagKey, metric, from);
        const sums = await this.measurements.sums({ flagKey, metric, historyFrom: from, from, to: now });
        await saveVerdict(tx, watched, judge(guard, { ...sums, lastMeasurementAt }, now));
        return true;
      },
      { timeout: TIMEOUT },
    );
  }

  async #lastArrival(flagKey: string, metric: string, from: Date): Promise<Date | null> {
    try {
      await this.tables.make();
      const answer = await this.store.client.query({
        query: LAST_ARRIVAL,
        query_params: { flagKey, metric, from: from.getTime() },
        format: 'JSONEachRow',
      });
      const [row] = await answer.json<{ last: number }>();
      // The maximum of no rows is the store's zero.
      return row === undefined || row.last <= 0 ? null : new Date(row.last);
    } catch (cause) {
      throw new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'The metrics store does not answer; a retry is safe.',
        {},
        { cause },
      );
    }
  }
}
