/** The turns of people and API keys: how much of the control plane one account may have at once. */
import { BoundedTurns } from '../../core/async/bounded-turns.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type { Caller } from '../../core/protocol/caller.ts';
import { ACCOUNT_LIMITS } from './account-limits.ts';

/** Seconds that one who is turned away is asked to wait. */
const RETRY_AFTER = 2;

const { runningOperations, waitingOperations, runningKillSwitches, waitingKillSwitches, waitTimeout: waitMs } = ACCOUNT_LIMITS;
const OPERATIONS = { running: runningOperations, waiting: waitingOperations, waitMs };
const KILL_SWITCHES = { running: runningKillSwitches, waiting: waitingKillSwitches, waitMs };

/** Whose turn it is; null for callers who have no account: vehicles take turns among each other (subscriptions/turns.ts). */
function accountOf(caller: Caller): string | null {
  if (caller.kind === 'user' && caller.userId !== null) return `user ${caller.userId}`;
  if (caller.kind === 'apiKey' && caller.apiKeyId !== null) return `key ${caller.apiKeyId}`;
  return null;
}

const NO_TURN = () => undefined;

export class AccountTurns {
  readonly #accounts = new Map<string, BoundedTurns>();

  /** Accounts of which something runs. */
  get size(): number {
    return this.#accounts.size;
  }

  /**
   * Waits until one more operation of the caller's account may run. Resolves to its end.
   *
   * @param isKillSwitch whether it is nothing but kill switches, which wait for each other only
   * @throws RATE_LIMITED with `retryAfter` where too many wait, or this one has waited too long
   */
  async take(caller: Caller, isKillSwitch: boolean): Promise<() => void> {
    const account = accountOf(caller);
    if (account === null) return NO_TURN;
    const limits = isKillSwitch ? KILL_SWITCHES : OPERATIONS;
    const key = isKillSwitch ? `kills of ${account}` : account;
    let turns = this.#accounts.get(key);
    if (turns === undefined) {
      const message = `This account has ${limits.running} operations running and others waiting; try again in ${RETRY_AFTER} seconds.`;
      this.#accounts.set(key, (turns = new BoundedTurns(limits, () => new FleetFlagError('RATE_LIMITED', message, { limit: limits.running + limits.waiting, retryAfter: RETRY_AFTER }))));
    }
    const end = await turns.take();
    return () => {
      end();
      if (turns.idle && this.#accounts.get(key) === turns) this.#accounts.delete(key);
    };
  }
}
