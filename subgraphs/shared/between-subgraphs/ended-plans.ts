/**
 * What ends when somebody loses the right to it. The audit subgraph takes rights away, the flags subgraph keeps what
 * people have asked for and scheduled: who puts the two together gives the one's way of ending it to the other, so that
 * both happen in one transaction (docs/decisions/ended-plans.md).
 */
import type { CallerIdentity, Role } from '../../../core/access/caller.ts';
import type { Transaction } from '../postgres/transaction.ts';

/** Ids, in no order. */
export interface EndedPlans {
  readonly cancelledChangeRequests: readonly string[];
  readonly pausedRollouts: readonly string[];
}

/** A person as they are from now on. */
export interface ChangedPerson {
  readonly id: string;
  readonly role: Role;
  readonly isActive: boolean;
}

/**
 * Cancels the requests that the person may no longer ask for and pauses the rollouts that may no longer go on in their
 * name. To be called in the transaction that changes the account, under the account's lock, before anything is written
 * to the trail; `record` then writes what has ended into it, in the name of `identity`.
 */
export type EndPlans = (
  tx: Transaction,
  identity: CallerIdentity,
  person: ChangedPerson,
) => Promise<EndedPlans & { readonly record: () => Promise<void> }>;
