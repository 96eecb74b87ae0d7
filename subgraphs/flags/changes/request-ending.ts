/** Ending a change request without applying it: what was there only for it goes, too. */
import { lockFlag, dropDraft } from '../flags/flag-store.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { decideChangeRequest, type ChangeRequest } from './change-request.ts';
import type { RolloutTransitions } from '../rollouts/rollout-transitions.ts';

export interface Ending {
  readonly status: 'rejected' | 'cancelled';
  /** Null where who asked for it ends it. */
  readonly reviewedById: string | null;
  readonly comment: string | null;
}

/**
 * Ends a pending request whose lock the caller holds: the rollout that it was to start is cancelled, and the draft that
 * it was to make a flag is dropped, which frees its key.
 */
export async function endRequest(
  tx: Transaction,
  rollouts: RolloutTransitions,
  request: ChangeRequest,
  ending: Ending,
): Promise<ChangeRequest> {
  const ended = await decideChangeRequest(tx, request.id, ending);
  const flag = await lockFlag(tx, { id: request.flagId });
  await rollouts.refuse(tx, request);
  if (flag?.draft === true) await dropDraft(tx, flag);
  return ended;
}
