/**
 * The two ways in which changes reach the database. Changes take turns, two at a time: they would only wait for each
 * other there, each holding a connection. A kill switch has a way of its own, with connections that nothing else can
 * take, and what holds a lock that it needs gives way (docs/decisions/kill-switch-lane.md).
 */
import type { Logger } from 'pino';
import { BoundedSemaphore, type SemaphoreLimits } from '../../../core/async/bounded-semaphore.ts';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { APPLICATION } from '../../shared/postgres/database.ts';
import type { Transactor } from '../../shared/postgres/transaction.ts';

/**
 * Of one instance. A change takes some 20 ms: a hundred that wait are two seconds, and ten on a machine that is busy.
 */
export const CHANGE_TURNS: SemaphoreLimits = { running: 2, waiting: 200, waitMs: 15_000 };

/**
 * Milliseconds that a kill switch waits for a lock, and how long its holder's transaction must last, until that is
 * ended.
 */
const PATIENCE = 400;
/** Milliseconds between two looks at who holds what a kill switch waits for. */
const LOOK = 100;

/**
 * Changes in turn. Rejects with SERVICE_UNAVAILABLE and `retryAfter` where too many wait, or one has waited too long.
 */
export function changesInTurn(database: Transactor, limits = CHANGE_TURNS): Transactor {
  const turns = new BoundedSemaphore(
    limits,
    () =>
      new FleetFlagError('SERVICE_UNAVAILABLE', 'Too many changes wait for their turn; a retry is safe.', {
        retryAfter: 2,
      }),
  );
  return { $transaction: (work, options) => turns.run(() => database.$transaction(work, options)) };
}

/**
 * Transactions whose way is cleared: other sessions of ours that have held for too long what they wait for are ended.
 */
export function clearedWay(lane: PrismaClient, logger: Logger): Transactor {
  return {
    $transaction: (work, options) =>
      lane.$transaction(async (tx) => {
        const [session] = await tx.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
        const look = () => unattended(clearWay(lane, session?.pid ?? 0, logger), 'Clearing the way of a kill switch');
        let timer = setTimeout(function again() {
          look();
          timer = setTimeout(again, LOOK);
        }, PATIENCE);
        try {
          return await work(tx);
        } finally {
          clearTimeout(timer);
        }
      }, options),
  };
}

/** Ends the sessions of ours (of no lane) that keep session `pid` waiting and whose transaction has lasted too long. */
async function clearWay(lane: PrismaClient, pid: number, logger: Logger): Promise<void> {
  try {
    // Materialised: nothing may be ended before all conditions have been looked at.
    const ended = await lane.$queryRaw<{ pid: number; milliseconds: number }[]>`
      WITH holders AS MATERIALIZED (
        SELECT pid, (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::int AS milliseconds
        FROM pg_stat_activity
        WHERE pid = ANY (pg_blocking_pids(${pid}::int)) AND usename = current_user AND application_name = ${APPLICATION}
          AND clock_timestamp() - xact_start > make_interval(secs => ${PATIENCE / 1000}::float8)
      )
      SELECT pid, milliseconds FROM holders WHERE pg_terminate_backend(pid)`;
    if (ended.length > 0)
      logger.warn(
        { ended },
        'A kill switch has ended transactions that held what it needs; who began them is told to try again',
      );
  } catch (error) {
    logger.warn({ err: error }, 'What a kill switch waits for could not be looked at');
  }
}
