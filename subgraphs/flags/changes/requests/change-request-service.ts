/**
 * Four-eyes review: what people do with change requests. Nobody reviews their own request; they may only cancel it.
 * Source: design.md, "Safety and accountability".
 */
import { FleetFlagError } from '../../../../core/errors.ts';
import { REVIEWERS } from '../../../../core/access/permissions.ts';
import { mayAskFor } from '../../../../core/access/safety-policy.ts';
import type { CallerIdentity } from '../../../../core/access/caller.ts';
import { readOptionalReason, readReason } from '../../../../core/validation/text.ts';
import { appendAudit } from '../../../shared/audit/audit-log.ts';
import type { Reader, Transaction, Transactor } from '../../../shared/postgres/transaction.ts';
import { isUuid } from '../../../../core/wire/api/pagination.ts';
import { TRANSACTION, limitsOf, type FlagChanges } from '../change.ts';
import {
  requestedChanges,
  countChangeRequests,
  countMembers,
  findChangeRequests,
  findChangeRequestsById,
  findChangeRequestsOfFlags,
  lockChangeRequest,
  type ChangeRequest,
  type ChangeRequestStatus,
} from './change-request.ts';
import { holdActiveRoles, personOf } from '../../flags/people.ts';
import { endRequest } from './request-ending.ts';
import type { RolloutTransitions } from '../../rollouts/rollout-transitions.ts';

/** Gives the comment as it is stored. Throws BAD_USER_INPUT when it is too long, or blank although one is required. */
function checkComment(comment: string | null | undefined, needed: boolean): string | null {
  return (needed ? readReason : readOptionalReason)(comment, 'comment', 'A comment');
}

/** The use cases of change requests, each in one transaction. */
export class ChangeRequestService {
  constructor(
    private readonly prisma: Reader,
    private readonly turns: Transactor,
    private readonly changes: FlagChanges,
    private readonly rollouts: RolloutTransitions,
  ) {}

  /** Lists change requests, newest first. */
  list({ status = null }: { status?: ChangeRequestStatus | null }): Promise<ChangeRequest[]> {
    return findChangeRequests(this.prisma, status);
  }

  /** Gives the number of change requests with a status, or of all (null). */
  count(status: ChangeRequestStatus | null): Promise<number> {
    return countChangeRequests(this.prisma, status);
  }

  /** Lists the change requests of flags, newest first, by the flags' ids. */
  ofFlags(flagIds: readonly string[], status: ChangeRequestStatus | null): Promise<Map<string, ChangeRequest[]>> {
    return findChangeRequestsOfFlags(this.prisma, flagIds, status);
  }

  /** Gives the requests with these ids; unknown ids are left out. */
  byIds(ids: readonly string[]): Promise<ChangeRequest[]> {
    return findChangeRequestsById(this.prisma, ids);
  }

  /**
   * Applies the change, in one transaction with the decision.
   *
   * @throws FORBIDDEN when the caller made the request; CONFLICT when it is already decided, its flag has changed
   * since, or its requester has lost the permission for it; NOT_FOUND
   */
  async approve(identity: CallerIdentity, id: string, comment?: string | null): Promise<ChangeRequest> {
    const why = checkComment(comment, false);
    const reviewer = personOf(identity);
    const flags = isUuid(id) ? await countMembers(this.prisma, id) : 0;
    return this.changes.approve(identity, (tx) => this.#toApprove(tx, id, reviewer), why, limitsOf(flags));
  }

  /**
   * Rejects a request, even when its flag has changed meanwhile.
   *
   * @throws as `approve` does otherwise
   */
  async reject(identity: CallerIdentity, id: string, comment: string): Promise<ChangeRequest> {
    const why = checkComment(comment, true);
    const reviewer = personOf(identity);
    return this.#announced(identity, async (tx) => {
      const request = await this.#toReview(tx, id, reviewer);
      const decided = await endRequest(tx, this.rollouts, request, {
        status: 'rejected',
        reviewedById: reviewer,
        comment: why,
      });
      const after = { changeRequest: id, action: request.action, requestedBy: request.requestedById, comment: why };
      await appendAudit(tx, identity, { action: 'REJECT_CHANGE', flagId: request.flagId, after });
      return decided;
    });
  }

  /** Withdraws a request. Only its requester or an administrator may. */
  async cancel(identity: CallerIdentity, id: string): Promise<ChangeRequest> {
    const person = personOf(identity);
    return this.#announced(identity, async (tx) => {
      const request = await this.#pending(tx, id);
      const isAdministrator = identity.caller.kind === 'user' && identity.caller.role === 'ADMIN';
      if (request.requestedById !== person && !isAdministrator)
        throw new FleetFlagError('FORBIDDEN', 'Only its requester or an administrator may cancel a change request.');
      const decided = await endRequest(tx, this.rollouts, request, {
        status: 'cancelled',
        reviewedById: request.requestedById === person ? null : person,
        comment: null,
      });
      await appendAudit(tx, identity, {
        action: 'CANCEL_CHANGE',
        flagId: request.flagId,
        after: { changeRequest: id, action: request.action, requestedBy: request.requestedById },
      });
      return decided;
    });
  }

  /** Runs `decide` in a transaction, and then announces the new row on the bus. */
  async #announced(
    identity: CallerIdentity,
    decide: (tx: Transaction) => Promise<ChangeRequest>,
  ): Promise<ChangeRequest> {
    const decided = await this.turns.$transaction(decide, TRANSACTION);
    this.changes.announce([], false, identity.origin.requestId);
    return decided;
  }

  async #pending(tx: Transaction, id: string): Promise<ChangeRequest> {
    const request = isUuid(id) ? await lockChangeRequest(tx, id) : null;
    if (request === null) throw new FleetFlagError('NOT_FOUND', 'This change request does not exist.', { field: 'id' });
    if (request.status !== 'pending')
      throw new FleetFlagError('CONFLICT', `The change request is already ${request.status}.`, { field: 'id' });
    return request;
  }

  async #toReview(tx: Transaction, id: string, reviewer: string): Promise<ChangeRequest> {
    const request = await this.#pending(tx, id);
    if (request.requestedById === reviewer)
      throw new FleetFlagError('FORBIDDEN', 'You cannot review your own change request.');
    return request;
  }

  /**
   * Checks both people's permissions again: one may have lost them since the request was made, or since the reviewer
   * signed in.
   */
  async #toApprove(tx: Transaction, id: string, reviewer: string): Promise<ChangeRequest> {
    const [seen] = isUuid(id) ? await findChangeRequestsById(tx, [id]) : [];
    const roles = await holdActiveRoles(tx, seen === undefined ? [reviewer] : [seen.requestedById, reviewer]);
    const request = await this.#toReview(tx, id, reviewer);
    const reviewerRole = roles.get(reviewer);
    if (reviewerRole === undefined || !REVIEWERS.users.some((role) => role === reviewerRole))
      throw new FleetFlagError('FORBIDDEN', 'This account may no longer approve changes.');
    const role = roles.get(request.requestedById);
    if (role === undefined || !requestedChanges(request).every(({ action }) => mayAskFor(action, role))) {
      throw new FleetFlagError(
        'CONFLICT',
        'The requester of this change is inactive or may no longer request it. Reject it; a user who may can request it again.',
        { field: 'id' },
      );
    }
    return request;
  }
}
