/** Ends a change request without applying it, together with the rollout or draft that existed only for it. */
import { actingUser, type CallerIdentity } from '../../../core/access/caller.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import { dropDraft, lockFlag } from '../flags/flag-store.ts';
import type { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { decideChangeRequest, lockPendingRequestsFor, type ChangeRequest } from './change-request.ts';

/** How a request ends. */
export interface Ending {
  readonly status: 'rejected' | 'cancelled';
  /** Null when the requester ends it. */
  readonly reviewedById: string | null;
  readonly comment: string | null;
}

/**
 * Ends a pending request whose lock the caller holds. Cancels the rollout that it was to start, and drops the draft
 * that it was to make a flag, which frees the draft's key.
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

/** Checks whether a change archives a flag; an archived flag cannot change any more. */
export const archives = (before: Flag, after: Flag) => before.archivedAt === null && after.archivedAt !== null;

/**
 * Cancels all pending requests for an archived flag, whose lock the caller holds: none of them can be applied any more.
 * Gives a function that writes their audit rows, to be called after the archiving's own row.
 */
export async function endRequestsFor(
  tx: Transaction,
  rollouts: RolloutTransitions,
  identity: CallerIdentity,
  flag: Flag,
): Promise<() => Promise<void>> {
  const requests = await lockPendingRequestsFor(tx, flag.id);
  const by = actingUser(identity.caller);
  for (const request of requests)
    await endRequest(tx, rollouts, request, {
      status: 'cancelled',
      reviewedById: by === request.requestedById ? null : by,
      comment: `${flag.key} was archived.`,
    });
  return async () => {
    for (const { id, action, requestedById } of requests)
      await appendAudit(tx, identity, {
        action: 'CANCEL_CHANGE',
        flagId: flag.id,
        after: { changeRequest: id, action, requestedBy: requestedById, reason: `${flag.key} was archived` },
      });
  };
}
