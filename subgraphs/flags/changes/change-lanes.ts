/**
 * The two lanes in which changes reach the database. Ordinary changes queue for a semaphore that runs two at a time;
 * more would only wait for each other in the database, each holding a connection. Kill switches use a lane with
 * reserved connections, and sessions that hold a lock they need are ended (docs/decisions/flags/kill-switch-lane.md).
 */
import type { Logger } from 'pino';
import { BoundedSemaphore, type SemaphoreLimits } from '../../../core/async/bounded-semaphore.ts';
import { Poller } from '../../../core/async/poller.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { APPLICATION } from '../../shared/postgres/database.ts';
import type { Transactor } from '../../shared/postgres/transaction.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/**
 * The limits of one instance. A change takes some 20 ms, so a queue of a hundred takes two seconds, or ten on a busy
 * machine.
 */
const CHANGE_TURNS: SemaphoreLimits = { running: 2, waiting: 200, waitMs: 15_000 };

/**
 * The limits of a lane with reserved connections. One of its three is left to the question what blocks the other two,
 * which would otherwise wait behind those that it is to free.
 */
const LANE_TURNS: SemaphoreLimits = { running: 2, waiting: 200, waitMs: 15_000 };
/** The limits of the halts of releases within that lane: however many there are, a kill switch has a connection. */
const HALT_TURNS: SemaphoreLimits = { running: 1, waiting: 200, waitMs: 15_000 };

/**
 * Milliseconds that a kill switch waits for a lock before the lock's holder is ended, and the shortest duration of the
 * holder's transaction for that.
 */
const LOCK_TIMEOUT_MS = 400;
/** Milliseconds between two checks for sessions that block a kill switch. */
const POLL_INTERVAL_MS = 100;

/**
 * Queues ordinary changes. Rejects with SERVICE_UNAVAILABLE and `retryAfter` when the queue is full, or a change has
 * waited too long.
 */
export const changesInTurn = (database: Transactor, limits = CHANGE_TURNS): Transactor => inTurn(database, limits);

/** Queues the halts of releases before the lane that they share with kill switches, as `changesInTurn` does. */
export const haltsInTurn = (lane: Transactor): Transactor => inTurn(lane, HALT_TURNS);

function inTurn(database: Transactor, limits: SemaphoreLimits): Transactor {
  const turns = new BoundedSemaphore(
    limits,
    () =>
      new FleetFlagError('SERVICE_UNAVAILABLE', 'Too many changes are waiting; a retry is safe.', {
        retryAfter: 2,
      }),
  );
  return { $transaction: (work, options) => turns.run(() => database.$transaction(work, options)) };
}

/**
 * Gives a transactor whose transactions end the sessions that block them: other FleetFlag sessions that have held a
 * needed lock for too long. A lane has one, because it counts what runs; it rejects as `changesInTurn` does.
 */
export function clearedWay(lane: PrismaClient, logger: Logger): Transactor {
  return inTurn(clearing(lane, logger), LANE_TURNS);
}

function clearing(lane: PrismaClient, logger: Logger): Transactor {
  return {
    $transaction: (work, options) =>
      lane.$transaction(async (tx) => {
        const [session] = await rowsOf(tx, { pid: is.number })`SELECT pg_backend_pid() AS pid`;
        const poller = Poller.every(POLL_INTERVAL_MS, () => clearWay(lane, session?.pid ?? 0, logger));
        const what = 'Ending transactions that block a kill switch';
        unattended(poller.start(LOCK_TIMEOUT_MS), what);
        try {
          return await work(tx);
        } finally {
          // Not waited for: nothing may hold up a kill switch that has what it needs.
          unattended(poller.close(), what);
        }
      }, options),
  };
}

/** Ends FleetFlag's sessions outside the lanes that block session `pid` and whose transaction has lasted too long. */
async function clearWay(lane: PrismaClient, pid: number, logger: Logger): Promise<void> {
  try {
    // Materialised, so that every condition is evaluated before any session is ended.
    const ended = await rowsOf(lane, { pid: is.number, milliseconds: is.number })`
      WITH holders AS MATERIALIZED (
        SELECT pid, (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::int AS milliseconds
        FROM pg_stat_activity
        WHERE pid = ANY (pg_blocking_pids(${pid}::int)) AND usename = current_user AND application_name = ${APPLICATION}
          AND clock_timestamp() - xact_start > make_interval(secs => ${LOCK_TIMEOUT_MS / 1000}::float8)
      )
      SELECT pid, milliseconds FROM holders WHERE pg_terminate_backend(pid)`;
    if (ended.length > 0)
      logger.warn(
        { ended },
        'Ended transactions that blocked a kill switch; their callers get an error that says to try again',
      );
  } catch (error) {
    logger.warn({ err: error }, 'Cannot check which transactions block a kill switch; checking again while it waits');
  }
}
