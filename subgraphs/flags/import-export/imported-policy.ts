/**
 * Export and import of an environment's release policy. An import sets it as `setReleasePolicy` does, by the same
 * rights: docs/decisions/flags/policies-in-files.md.
 */
import { PERMISSIONS, refusalOf } from '../../../core/access/permissions.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { FleetFlagError } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import { looseningsOf, needsSecondPersonForPolicy, type Loosening } from '../../../core/releases/policy-loosening.ts';
import { guardDrafts } from '../../../core/releases/release-guard.ts';
import type { ReleasePolicy } from '../../../core/releases/release-policy.ts';
import { durationText } from '../../../core/validation/duration.ts';
import { POLICY_MEMBER, type PolicyEntry } from '../../../core/wire/flag-files/policy-entry.ts';
import type { Reader } from '../../shared/postgres/transaction.ts';
import { findPolicy, recordedPolicy } from '../releases/policies/release-policy.ts';
import type { ReleasePolicyService } from '../releases/policies/release-policy-service.ts';
import { valueDifferences, type MemberDifference } from './environment-difference.ts';

/** The change that an import would make of a release policy, compared with the one in effect. */
export interface PolicyPlan {
  readonly policy: ReleasePolicy;
  readonly members: readonly MemberDifference[];
  /**
   * The ways in which it is looser, for which a second person has to approve it; empty where it takes effect at once.
   */
  readonly waitsFor: readonly Loosening[];
  /** The time when the policy in effect was set: one that somebody sets meanwhile is not overwritten. */
  readonly updatedAt: Date | null;
}

/** Gives an environment's policy for a file; null for one without stages, which is as none. */
export async function exportedPolicy(db: Reader, environment: Environment): Promise<PolicyEntry | null> {
  const { environment: _, ...entry } = (await findPolicy(db, environment)).policy;
  return entry.stages.length === 0 ? null : entry;
}

/**
 * Compares a file's policy with an environment's. Gives null where the file has none or they are equal. Writes nothing.
 */
export async function planPolicy(
  db: Reader,
  environment: Environment,
  entry: PolicyEntry | null,
): Promise<PolicyPlan | null> {
  if (entry === null) return null;
  const policy = { environment, ...entry };
  const { policy: present, updatedAt } = await findPolicy(db, environment);
  const members = Object.entries(recordedPolicy(policy)).flatMap(([name, after]) =>
    valueDifferences(name, recordedPolicy(present)[name] ?? null, after),
  );
  if (members.length === 0) return null;
  const waitsFor = needsSecondPersonForPolicy(present, policy) ? looseningsOf(present, policy) : [];
  return { policy, members, waitsFor, updatedAt };
}

/** Gives the refusal of a caller that may not set release policies; null for one that may. */
export const policyRefusal = ({ caller }: CallerIdentity): FleetFlagError | null =>
  refusalOf(PERMISSIONS['Mutation.setReleasePolicy'], POLICY_MEMBER, caller, {});

/**
 * Sets the policy of a plan. Gives whether it takes effect; otherwise a second person has to approve it.
 *
 * @throws as `ReleasePolicyService.set`, and FORBIDDEN for a caller that may not set release policies
 */
export async function applyPolicy(
  service: ReleasePolicyService,
  identity: CallerIdentity,
  { policy, updatedAt }: PolicyPlan,
): Promise<boolean> {
  const refusal = policyRefusal(identity);
  if (refusal !== null) throw refusal;
  const { stages, guards, ...others } = policy;
  const drafts = stages.map(({ soakMs, ...stage }) => ({ ...stage, soak: durationText(soakMs) }));
  const { proposal } = await service.set(
    identity,
    { ...others, stages: drafts, guards: guardDrafts(guards) },
    updatedAt,
  );
  return proposal === null;
}
