/**
 * Change requests and rollouts that end when a person loses the right to them. The audit subgraph takes rights away,
 * and the flags subgraph keeps requests and rollouts. `main` passes the flags subgraph's `EndPlans` to the audit
 * subgraph, so that both happen in one transaction (docs/decisions/flags/ended-plans.md).
 */
import type { CallerIdentity, Role } from '../../../core/access/caller.ts';
import type { Transaction } from '../postgres/transaction.ts';

/** Ids of what has ended, in no order. */
export interface EndedPlans {
  readonly cancelledChangeRequests: readonly string[];
  readonly pausedRollouts: readonly string[];
}

/** A person's account as it will be after the change. */
export interface ChangedPerson {
  readonly id: string;
  readonly role: Role;
  readonly isActive: boolean;
}

/**
 * Cancels the change requests that the person may no longer make, and pauses the rollouts that may no longer continue
 * in their name. Call it in the transaction that changes the account, under the account's lock, and before anything is
 * written to the audit log. The returned `record` then writes the ended plans to the audit log, in the name of
 * `identity`.
 */
export type EndPlans = (
  tx: Transaction,
  identity: CallerIdentity,
  person: ChangedPerson,
) => Promise<EndedPlans & { readonly record: () => Promise<void> }>;
