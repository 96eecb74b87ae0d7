/** Ends a change request without applying it, together with the rollout or draft that existed only for it. */
import { actingUser, type CallerIdentity } from '../../../../core/access/caller.ts';
import { appendAuditRows, type AuditEntry } from '../../../shared/audit/audit-log.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import type { Flag } from '../../flags/flag.ts';
import { dropDraft, lockFlags } from '../../flags/flag-store.ts';
import { findFlagsById } from '../../flags/reading/flag-reads.ts';
import type { RolloutTransitions } from '../../rollouts/rollout-transitions.ts';
import { requestedChanges, decideChangeRequest, lockPendingRequestsFor, type ChangeRequest } from './change-request.ts';

/** The end of a request. */
export interface RequestEnding {
  readonly status: 'rejected' | 'cancelled';
  /** Null when the requester ends it. */
  readonly reviewedById: string | null;
  readonly comment: string | null;
}

/**
 * Ends a pending request whose lock the caller holds. Cancels the rollout that its approval would have started, and
 * deletes the draft that its approval would have made a flag, so that another flag can have the key.
 */
export async function endRequest(
  tx: Transaction,
  rollouts: RolloutTransitions,
  request: ChangeRequest,
  ending: RequestEnding,
): Promise<ChangeRequest> {
  const ended = await decideChangeRequest(tx, request.id, ending);
  const ids = requestedChanges(request).map(({ flagId }) => flagId);
  await lockFlags(tx, ids);
  await rollouts.refuse(tx, request);
  for (const flag of await findFlagsById(tx, ids)) if (flag.draft) await dropDraft(tx, flag);
  return ended;
}

/** Checks whether a change archives a flag; an archived flag can no longer change. */
export const archives = (before: Flag, after: Flag) => before.archivedAt === null && after.archivedAt !== null;

/**
 * Cancels all pending requests for archived flags, whose locks the caller holds: none of them can be applied now. Gives
 * a function that writes their audit rows, to be called after the archiving's own rows.
 */
export async function endRequestsFor(
  tx: Transaction,
  rollouts: RolloutTransitions,
  identity: CallerIdentity,
  archived: readonly Flag[],
): Promise<() => Promise<void>> {
  if (archived.length === 0) return async () => undefined;
  const requests = await lockPendingRequestsFor(
    tx,
    archived.map(({ id }) => id),
  );
  const by = actingUser(identity.caller);
  const ended: AuditEntry[] = [];
  for (const request of requests) {
    const ids = new Set(requestedChanges(request).map(({ flagId }) => flagId));
    const flag = archived.find(({ id }) => ids.has(id) || id === request.flagId);
    if (flag === undefined) continue;
    const { id, action, requestedById } = request;
    await endRequest(tx, rollouts, request, {
      status: 'cancelled',
      reviewedById: by === requestedById ? null : by,
      comment: `${flag.key} was archived.`,
    });
    ended.push({
      action: 'CANCEL_CHANGE',
      flagId: flag.id,
      after: { changeRequest: id, action, requestedBy: requestedById, reason: `${flag.key} was archived` },
    });
  }
  return () => appendAuditRows(tx, identity, ended);
}
