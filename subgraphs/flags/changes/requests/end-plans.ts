/**
 * Ends a person's change requests and rollouts once they lose the permission for them: nothing may continue or be
 * approved in the name of a person who could not start it now. Source: design.md, "Safety and accountability".
 */
import { mayAskFor } from '../../../../core/access/safety-policy.ts';
import type { CallerIdentity } from '../../../../core/access/caller.ts';
import { appendAudit } from '../../../shared/audit/audit-log.ts';
import type { ChangedPerson, EndPlans } from '../../../shared/between-subgraphs/ended-plans.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import { requestedChanges, lockPendingRequestsOf, type ChangeRequest } from './change-request.ts';
import { endRequest } from './request-ending.ts';
import type { Halt, RolloutTransitions } from '../../rollouts/rollout-transitions.ts';
import { findRollout, runningRolloutsOf, type Rollout } from '../../rollouts/rollout.ts';
import { lockFlags } from '../../flags/flag-store.ts';

const whyOf = ({ isActive, role }: ChangedPerson) =>
  isActive ? `now has the role ${role}, which may not do this` : 'is no longer active';

/**
 * Creates the function that ends them.
 *
 * @param rollouts changes rollouts, under their flags' locks
 */
export function planEnding(rollouts: RolloutTransitions): EndPlans {
  return async (tx, identity, person) => {
    const may = (action: string) => person.isActive && mayAskFor(action, person.role);
    const requests = (await lockPendingRequestsOf(tx, person.id)).filter(
      (request) => !requestedChanges(request).every(({ action }) => may(action)),
    );
    const running = may('SCHEDULE_ROLLOUT') ? [] : await runningRolloutsOf(tx, person.id);
    // Locks all flags at once, in the common order, and before the audit log's lock: a transaction that holds a flag
    // may be waiting for that one.
    await lockFlags(
      tx,
      [...requests.flatMap(requestedChanges), ...running].map(({ flagId }) => flagId),
    );
    for (const request of requests) await cancel(tx, rollouts, identity, person, request);
    const paused = await pause(tx, rollouts, person, running);
    return {
      cancelledChangeRequests: requests.map(({ id }) => id),
      pausedRollouts: paused.map(({ rollout }) => rollout.id),
      async record() {
        for (const { id, flagId, action, requestedById } of requests) {
          await appendAudit(tx, identity, {
            action: 'CANCEL_CHANGE',
            flagId,
            after: {
              changeRequest: id,
              action,
              requestedBy: requestedById,
              reason: `The requester ${whyOf(person)}`,
            },
          });
        }
        await rollouts.recordHalts(tx, identity, paused);
      },
    };
  };
}

function cancel(
  tx: Transaction,
  rollouts: RolloutTransitions,
  { caller }: CallerIdentity,
  person: ChangedPerson,
  request: ChangeRequest,
) {
  const by = caller.kind === 'user' && caller.userId !== person.id ? caller.userId : null;
  return endRequest(tx, rollouts, request, {
    status: 'cancelled',
    reviewedById: by,
    comment: `The requester ${whyOf(person)}.`,
  });
}

async function pause(
  tx: Transaction,
  rollouts: RolloutTransitions,
  person: ChangedPerson,
  seen: readonly Rollout[],
): Promise<Halt[]> {
  const halts: Halt[] = [];
  const obstacle = { status: 'paused', reason: `The user who scheduled it ${whyOf(person)}` } as const;
  for (const { id } of seen) {
    // Read again now that its flag is locked.
    const rollout = await findRollout(tx, { id });
    if (rollout?.status !== 'running') continue;
    await rollouts.stop(tx, rollout, obstacle);
    halts.push({ rollout, ...obstacle });
  }
  return halts;
}
