/** Limits how many operations one account (a person or an API key) may run at once. */
import { BoundedSemaphore, type Lender, type SemaphoreLimits } from '../../../core/async/bounded-semaphore.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { ACCOUNT_LIMITS } from './account-limits.ts';
import { UNSHARED, divide, type SharedLimits } from './shared-limits.ts';

/** The seconds after which a refused caller is asked to retry. */
const RETRY_AFTER_SECONDS = 2;

const {
  runningOperations,
  waitingOperations,
  runningExpensiveOperations,
  runningExpensiveOfAll,
  runningKillSwitches,
  waitingKillSwitches,
  waitTimeoutMs: waitMs,
} = ACCOUNT_LIMITS;

/**
 * The kinds of operations, which have limits of their own: kill switches, and expensive operations, wait only for
 * others of their kind.
 */
export type TurnKind = 'ordinary' | 'expensive' | 'kill switch';

const LIMITS: Readonly<Record<TurnKind, SemaphoreLimits>> = {
  ordinary: { running: runningOperations, waiting: waitingOperations, waitMs },
  expensive: { running: runningExpensiveOperations, waiting: waitingOperations, waitMs },
  'kill switch': { running: runningKillSwitches, waiting: waitingKillSwitches, waitMs },
};

/**
 * Gives the kind of an operation.
 *
 * @param cost as measure-operation.ts computes it
 */
export function kindOf(isKillSwitch: boolean, cost: number): TurnKind {
  if (isKillSwitch) return 'kill switch';
  return cost > ACCOUNT_LIMITS.expensiveCost ? 'expensive' : 'ordinary';
}

/**
 * Gives the name of the caller's account; null for callers that have none. Vehicles wait in a queue of their own
 * (transports/websocket/operations/operation-queue.ts).
 */
function accountOf(caller: Caller): string | null {
  if (caller.kind === 'user' && caller.userId !== null) return `user ${caller.userId}`;
  if (caller.kind === 'apiKey' && caller.apiKeyId !== null) return `key ${caller.apiKeyId}`;
  return null;
}

const NO_TURN = () => undefined;

/**
 * The places of a shared limit that each gateway has of its own, so that an account that runs one operation at a time
 * needs no message to another process.
 */
const OWN_PLACES = 1;

/** Gives the operations of each account their turns. */
export class AccountConcurrency {
  readonly #accounts = new Map<string, BoundedSemaphore>();
  /**
   * The limit of expensive operations of all accounts together. Each account waits with at most one, so that the
   * accounts take turns.
   */
  readonly #expensiveOfAll: BoundedSemaphore;

  constructor(private readonly shared: SharedLimits = UNSHARED) {
    this.#expensiveOfAll = this.#turns(
      'expensive of all',
      { running: runningExpensiveOfAll, waiting: Infinity, waitMs },
      () =>
        new FleetFlagError(
          'SERVICE_UNAVAILABLE',
          'This operation has waited too long for large operations of other accounts; a retry is safe, and smaller pages do not wait for those.',
          { retryAfter: RETRY_AFTER_SECONDS },
        ),
    );
  }

  /** Creates a limit whose places all gateways on the port share. */
  #turns(name: string, { running, waiting, waitMs }: SemaphoreLimits, refusal: () => Error): BoundedSemaphore {
    const { own, lent } = divide(running, this.shared, OWN_PLACES);
    const lender: Lender | null =
      lent === 0
        ? null
        : { borrow: () => this.shared.borrow(name, lent), giveBack: () => this.shared.giveBack(name, 1) };
    return new BoundedSemaphore(
      { running: own, waiting: Math.ceil(waiting / this.shared.gateways), waitMs },
      refusal,
      lender,
    );
  }

  /** The number of accounts with running operations. */
  get size(): number {
    return this.#accounts.size;
  }

  /**
   * Waits until one more operation of the caller's account may run. Resolves to the function that ends its turn.
   *
   * @throws RATE_LIMITED with `retryAfter` where too many operations of the account wait, or this one has waited too
   *   long; SERVICE_UNAVAILABLE where an expensive one has waited too long for those of other accounts
   */
  async acquire(caller: Caller, kind: TurnKind): Promise<() => void> {
    const account = accountOf(caller);
    if (account === null) return NO_TURN;
    const end = await this.#ofAccount(account, kind);
    if (kind !== 'expensive') return end;
    try {
      const endOfAll = await this.#expensiveOfAll.acquire();
      return () => {
        endOfAll();
        end();
      };
    } catch (error) {
      end();
      throw error;
    }
  }

  async #ofAccount(account: string, kind: TurnKind): Promise<() => void> {
    const limits = LIMITS[kind];
    const key = `${kind} of ${account}`;
    let turns = this.#accounts.get(key);
    if (turns === undefined) {
      const message = `This account already has ${limits.running} such operations running and others waiting; try again in ${RETRY_AFTER_SECONDS} s.`;
      const refusal = () =>
        new FleetFlagError('RATE_LIMITED', message, {
          limit: limits.running + limits.waiting,
          retryAfter: RETRY_AFTER_SECONDS,
        });
      // A kill switch must not wait for a message between processes, so each gateway counts its own.
      turns = kind === 'kill switch' ? new BoundedSemaphore(limits, refusal) : this.#turns(key, limits, refusal);
      this.#accounts.set(key, turns);
    }
    const held = turns;
    const forget = () => {
      if (held.idle && this.#accounts.get(key) === held) this.#accounts.delete(key);
    };
    try {
      const end = await held.acquire();
      return () => {
        end();
        forget();
      };
    } catch (error) {
      forget();
      throw error;
    }
  }
}
