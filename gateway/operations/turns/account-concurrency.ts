/** The turns of people and API keys: how much of the control plane one account may have at once. */
import { BoundedSemaphore, type SemaphoreLimits } from '../../../core/async/bounded-semaphore.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { ACCOUNT_LIMITS } from './account-limits.ts';

/** Seconds that one who is turned away is asked to wait. */
const RETRY_AFTER = 2;

const {
  runningOperations,
  waitingOperations,
  runningDearOperations,
  runningDearOfAll,
  runningKillSwitches,
  waitingKillSwitches,
  waitTimeout: waitMs,
} = ACCOUNT_LIMITS;

/** Kill switches and dear operations wait for those of their kind only. */
export type OperationKind = 'ordinary' | 'dear' | 'kill switch';

const LIMITS: Readonly<Record<OperationKind, SemaphoreLimits>> = {
  ordinary: { running: runningOperations, waiting: waitingOperations, waitMs },
  dear: { running: runningDearOperations, waiting: waitingOperations, waitMs },
  'kill switch': { running: runningKillSwitches, waiting: waitingKillSwitches, waitMs },
};

/** @param cost as check-operation.ts measures it */
export function kindOf(isKillSwitch: boolean, cost: number): OperationKind {
  if (isKillSwitch) return 'kill switch';
  return cost > ACCOUNT_LIMITS.dearCost ? 'dear' : 'ordinary';
}

/**
 * Whose turn it is; null for callers who have no account: vehicles take turns among each other
 * (transports/websocket/operation-queue.ts).
 */
function accountOf(caller: Caller): string | null {
  if (caller.kind === 'user' && caller.userId !== null) return `user ${caller.userId}`;
  if (caller.kind === 'apiKey' && caller.apiKeyId !== null) return `key ${caller.apiKeyId}`;
  return null;
}

const NO_TURN = () => undefined;

export class AccountConcurrency {
  readonly #accounts = new Map<string, BoundedSemaphore>();
  /** Each account has one in it, so they come in turn. */
  readonly #dearOfAll = new BoundedSemaphore(
    { running: runningDearOfAll, waiting: Infinity, waitMs },
    () =>
      new FleetFlagError(
        'SERVICE_UNAVAILABLE',
        'This operation has waited too long for large operations of other accounts; a retry is safe, and smaller pages do not wait for those.',
        { retryAfter: RETRY_AFTER },
      ),
  );

  /** Accounts of which something runs. */
  get size(): number {
    return this.#accounts.size;
  }

  /**
   * Waits until one more operation of the caller's account may run. Resolves to its end.
   *
   * @throws RATE_LIMITED with `retryAfter` where too many of the account wait, or this one has waited too long, and
   * SERVICE_UNAVAILABLE where a dear one has waited too long for those of others
   */
  async acquire(caller: Caller, kind: OperationKind): Promise<() => void> {
    const account = accountOf(caller);
    if (account === null) return NO_TURN;
    const end = await this.#ofAccount(account, kind);
    if (kind !== 'dear') return end;
    try {
      const endOfAll = await this.#dearOfAll.acquire();
      return () => {
        endOfAll();
        end();
      };
    } catch (error) {
      end();
      throw error;
    }
  }

  async #ofAccount(account: string, kind: OperationKind): Promise<() => void> {
    const limits = LIMITS[kind];
    const key = `${kind} of ${account}`;
    let turns = this.#accounts.get(key);
    if (turns === undefined) {
      const message = `This account already has ${limits.running} such operations running and others waiting; try again in ${RETRY_AFTER} s.`;
      this.#accounts.set(
        key,
        (turns = new BoundedSemaphore(
          limits,
          () =>
            new FleetFlagError('RATE_LIMITED', message, {
              limit: limits.running + limits.waiting,
              retryAfter: RETRY_AFTER,
            }),
        )),
      );
    }
    const end = await turns.acquire();
    return () => {
      end();
      if (turns.idle && this.#accounts.get(key) === turns) this.#accounts.delete(key);
    };
  }
}
