/**
 * The use cases of release policies. One person who loosens a policy alone could get past it, so that a second person
 * approves that where the policy holds for ASIL-D. Source: releases.md, "Stages".
 */
import { randomUUID } from 'node:crypto';
import { actingUser, type CallerIdentity } from '../../../../core/access/caller.ts';
import { REVIEWERS } from '../../../../core/access/permissions.ts';
import { mayAskFor } from '../../../../core/access/safety-policy.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import { canonicalJson } from '../../../../core/json/canonical-json.ts';
import type { Environment } from '../../../../core/model.ts';
import { parseReleasePolicy, type PolicyDraft } from '../../../../core/releases/policy-input.ts';
import {
  looseningsOf,
  needsSecondPersonForPolicy,
  type Loosening,
} from '../../../../core/releases/policy-loosening.ts';
import type { ReleasePolicy } from '../../../../core/releases/release-policy.ts';
import { readOptionalReason, readReason } from '../../../../core/validation/text.ts';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { appendAudit } from '../../../shared/audit/audit-log.ts';
import { notifyWebhooks } from '../../../shared/webhooks/outbox.ts';
import type { Transaction, Transactor } from '../../../shared/postgres/transaction.ts';
import { TRANSACTION, type FlagChanges } from '../../changes/change.ts';
import { holdActiveRoles, personOf } from '../../flags/people.ts';
import { checkGuardMetrics } from '../release-guards.ts';
import {
  dropProposal,
  findPolicy,
  lockPolicy,
  recordedPolicy,
  writePolicy,
  writeProposal,
  type PolicyProposal,
  type StoredPolicy,
} from './release-policy.ts';

/** The action under which the audit log records a policy that takes effect. */
const SET = 'SET_RELEASE_POLICY';

/** A proposal, and the ways in which it is looser than the policy in effect. */
export interface ReviewedProposal extends PolicyProposal {
  readonly loosens: readonly Loosening[];
}

/** Gives the proposal of a policy as the second person has to see it; null for none. */
export function reviewedProposal({ policy, proposal }: StoredPolicy): ReviewedProposal | null {
  return proposal && { ...proposal, loosens: looseningsOf(policy, proposal.policy) };
}

const unknownProposal = () =>
  new FleetFlagError('NOT_FOUND', 'No such proposal waits: it is decided, or another policy has taken its place.', {
    field: 'proposalId',
  });

/** Reads and changes release policies, each use case in one transaction. */
export class ReleasePolicyService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly turns: Transactor,
    private readonly changes: FlagChanges,
  ) {}

  /** Gives an environment's policy, without stages where nobody has set any. */
  find(environment: Environment): Promise<StoredPolicy> {
    return findPolicy(this.prisma, environment);
  }

  /**
   * Sets an environment's policy. A looser one than a present one for ASIL-D becomes a proposal, and the present one
   * stays in effect.
   *
   * @param expectedUpdatedAt when the policy took effect that the caller has seen; null: not compared
   * @throws as `parseReleasePolicy` and `checkGuardMetrics` do, below `input`; CONFLICT where another policy took
   *   effect since; FORBIDDEN for a caller that may not ask for a second person
   */
  async set(identity: CallerIdentity, input: PolicyDraft, expectedUpdatedAt?: Date | null): Promise<StoredPolicy> {
    const policy = parseReleasePolicy(input, 'input');
    const { environment } = policy;
    const by = actingUser(identity.caller);
    return this.#announced(identity, async (tx) => {
      // Accounts are locked before policies, as `holdActiveRoles` says.
      const roles = by === null ? null : await holdActiveRoles(tx, [by]);
      await checkGuardMetrics(tx, policy.guards, 'input.guards');
      const present = await lockPolicy(tx, environment);
      if (expectedUpdatedAt != null && present.updatedAt?.getTime() !== expectedUpdatedAt.getTime())
        throw new FleetFlagError('CONFLICT', `Another release policy of ${environment} took effect meanwhile.`);
      if (present.updatedAt !== null && present.proposal === null && isSame(present.policy, policy)) return present;
      if (!needsSecondPersonForPolicy(present.policy, policy)) {
        await writePolicy(tx, { policy, by });
        await this.#record(tx, identity, present, policy);
        return lockPolicy(tx, environment);
      }
      const person = personOf(identity);
      const role = roles?.get(person);
      if (role === undefined || !mayAskFor(SET, role))
        throw new FleetFlagError('FORBIDDEN', 'This account is no longer active, or may no longer do this.');
      const id = randomUUID();
      await writeProposal(tx, id, { policy, by: person });
      const loosens = looseningsOf(present.policy, policy);
      const data = { environment, proposalId: id, proposedById: person, loosens };
      await notifyWebhooks(tx, 'release_policy.waiting', data, { environment });
      await appendAudit(tx, identity, {
        action: 'PROPOSE_RELEASE_POLICY',
        before: recordedPolicy(present.policy),
        after: { ...recordedPolicy(policy), proposal: id, loosens },
      });
      return lockPolicy(tx, environment);
    });
  }

  /**
   * Puts a proposed policy into effect, as the second person.
   *
   * @param proposalId the proposal that the person has seen; another one may have taken its place
   * @throws NOT_FOUND; FORBIDDEN for the person who proposed it; CONFLICT where that person may no longer do so
   */
  async approve(
    identity: CallerIdentity,
    environment: Environment,
    proposalId: string,
    comment?: string | null,
  ): Promise<StoredPolicy> {
    const why = readOptionalReason(comment, 'comment', 'A comment');
    const reviewer = personOf(identity);
    return this.#announced(identity, async (tx) => {
      const proposer = (await findPolicy(tx, environment)).proposal?.proposedById ?? null;
      const roles = await holdActiveRoles(tx, proposer === null ? [reviewer] : [proposer, reviewer]);
      const present = await lockPolicy(tx, environment);
      const { policy, proposedById } = this.#waiting(present, proposalId);
      if (proposedById === reviewer)
        throw new FleetFlagError('FORBIDDEN', 'You cannot approve your own release policy.');
      const role = roles.get(reviewer);
      if (role === undefined || !REVIEWERS.users.some((one) => one === role))
        throw new FleetFlagError('FORBIDDEN', 'This account may no longer approve changes.');
      const proposersRole = proposedById === null ? undefined : roles.get(proposedById);
      if (proposersRole === undefined || !mayAskFor(SET, proposersRole))
        throw new FleetFlagError(
          'CONFLICT',
          'The person who proposed this policy is inactive or may no longer propose it. Reject it; a person who may can propose it again.',
          { field: 'proposalId' },
        );
      await writePolicy(tx, { policy, by: proposedById });
      await this.#record(tx, identity, present, policy, {
        proposal: proposalId,
        proposedBy: proposedById,
        comment: why,
      });
      return lockPolicy(tx, environment);
    });
  }

  /**
   * Ends a proposal: the second person rejects it, or the person who made it withdraws it.
   *
   * @throws NOT_FOUND; BAD_USER_INPUT for a blank comment
   */
  async reject(
    identity: CallerIdentity,
    environment: Environment,
    proposalId: string,
    comment: string,
  ): Promise<StoredPolicy> {
    const why = readReason(comment, 'comment', 'A comment');
    personOf(identity);
    return this.#announced(identity, async (tx) => {
      const present = await lockPolicy(tx, environment);
      const { policy, proposedById } = this.#waiting(present, proposalId);
      await dropProposal(tx, environment);
      await appendAudit(tx, identity, {
        action: 'REJECT_RELEASE_POLICY',
        after: { ...recordedPolicy(policy), proposal: proposalId, proposedBy: proposedById, comment: why },
      });
      return { ...present, proposal: null };
    });
  }

  #waiting({ proposal }: StoredPolicy, id: string): PolicyProposal {
    if (proposal === null || proposal.id !== id.toLowerCase()) throw unknownProposal();
    return proposal;
  }

  #record(
    tx: Transaction,
    identity: CallerIdentity,
    { policy: before, updatedAt, proposal }: StoredPolicy,
    after: ReleasePolicy,
    approval: Readonly<Record<string, string | null>> = proposal === null ? {} : { endedProposal: proposal.id },
  ): Promise<void> {
    return appendAudit(tx, identity, {
      action: SET,
      before: updatedAt === null ? null : recordedPolicy(before),
      after: { ...recordedPolicy(after), ...approval },
    });
  }

  /** Runs `decide` in a transaction, and then announces the new row of the audit log. */
  async #announced(
    identity: CallerIdentity,
    decide: (tx: Transaction) => Promise<StoredPolicy>,
  ): Promise<StoredPolicy> {
    const decided = await this.turns.$transaction(decide, TRANSACTION);
    this.changes.announce([], false, identity.origin.requestId);
    return decided;
  }
}

const isSame = (one: ReleasePolicy, other: ReleasePolicy) =>
  canonicalJson(recordedPolicy(one)) === canonicalJson(recordedPolicy(other));
