/**
 * Computes the verdicts on guarded rollouts and releases from the metrics store, every few seconds. The flags subgraph
 * acts on them (subgraphs/flags/rollouts/rollout-guard-enforcer.ts,
 * subgraphs/flags/releases/release-guard-enforcer.ts). Source: docs/decisions/flags/guarded-rollouts.md,
 * docs/decisions/flags/release-guards.md.
 */
import type { Logger } from 'pino';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Poller } from '../../../core/async/poller.ts';
import { judge } from './guard-verdict.ts';
import { GUARDED_ROLLOUTS } from './guarded-rollouts.ts';
import { lookAt } from './guard-look.ts';
import type { Guarded, JudgedGuard, WatchedGuard } from './watched-guard.ts';
import { storePoller } from '../metrics/store-poller.ts';
import type { SettledVehicles } from '../settled/settled-vehicles.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** Milliseconds between two verdicts of a guard. */
const INTERVAL_MS = 5_000;
/**
 * The factor by which the pause after slow verdicts exceeds the time that they took, so that the store has time for
 * others.
 */
const REST = 2;
/** The first key of the advisory locks, one for each guard; any number that nothing else in the database uses. */
const LOCK_KEY = 461_725_302;
/** Milliseconds for reading the one store and writing the other. */
const TIMEOUT_MS = 30_000;

/** Polls for verdicts that are due and computes them. */
export class GuardVerdictJob {
  readonly #poller: Poller;

  constructor(
    private readonly prisma: PrismaClient,
    private readonly settled: SettledVehicles,
    private readonly logger: Logger,
    private readonly interval = INTERVAL_MS,
    private readonly guarded: Guarded = GUARDED_ROLLOUTS,
  ) {
    this.#poller = storePoller({
      refresh: () => this.refresh(),
      intervalMs: interval,
      rest: REST,
      logger,
      failure: `Cannot read guarded ${guarded.name}s; they hold at their step until the next attempt succeeds`,
    });
  }

  /** Starts polling. */
  start(): void {
    unattended(this.#poller.start(), `Checking the guards of ${this.guarded.name}s`);
  }

  /** Stops polling. Waits for a poll in progress. */
  close(): Promise<void> {
    return this.#poller.close();
  }

  /**
   * Computes the verdicts that are due, each in its own transaction, except those that another instance is computing. A
   * guard whose numbers cannot be read keeps its old verdict, which then expires.
   *
   * @returns the number of verdicts that this instance has computed
   */
  async refresh(): Promise<number> {
    let computed = 0;
    for (const id of await this.guarded.due(this.prisma, this.interval)) {
      if (this.#poller.closed) break;
      const done = await this.#compute(id).catch((err: unknown) => {
        this.logger.warn(
          { err, [this.guarded.name]: id },
          `Cannot check the guard of a ${this.guarded.name}; holding it at its step until the check succeeds`,
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
        const [lock] = await rowsOf(tx, {
          free: is.boolean,
        })`SELECT pg_try_advisory_xact_lock(${LOCK_KEY}::int, hashtext(${id})) AS free`;
        if (lock?.free !== true) return false;
        return this.guarded.judge(tx, id, this.interval, (watched) => this.#look(watched));
      },
      // The percentage and the watch that it belongs to have to be of one moment.
      { timeout: TIMEOUT_MS, isolationLevel: 'RepeatableRead' },
    );
  }

  async #look(watched: WatchedGuard): Promise<JudgedGuard> {
    const look = await lookAt(watched, this.settled);
    return { state: look.state, judgement: judge(watched.guard, look, watched.now) };
  }
}
