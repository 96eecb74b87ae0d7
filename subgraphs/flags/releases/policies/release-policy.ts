/** Release policies and their table. */
import { is } from '../../../../core/json/shape.ts';
import { SAFETY_LEVELS, type Environment, type JsonObject } from '../../../../core/model.ts';
import { parseReleasePolicy } from '../../../../core/releases/policy-input.ts';
import { areReleaseGuards } from '../../../../core/releases/release-guard.ts';
import type { ReleasePolicy } from '../../../../core/releases/release-policy.ts';
import { durationText } from '../../../../core/validation/duration.ts';
import { Prisma } from '../../../../prisma/generated/client.ts';
import { rowCount, rowsOf } from '../../../shared/postgres/rows.ts';
import type { Reader, Transaction } from '../../../shared/postgres/transaction.ts';
import { recordedGuard } from '../release-guards.ts';

/** A looser policy that waits for the second person. */
export interface PolicyProposal {
  readonly id: string;
  readonly policy: ReleasePolicy;
  /** Null where the account is gone. */
  readonly proposedById: string | null;
  readonly proposedAt: Date;
}

/** An environment's policy as it is stored, with or without stages. */
export interface StoredPolicy {
  readonly policy: ReleasePolicy;
  readonly updatedById: string | null;
  /** Null where nobody has set a policy yet. */
  readonly updatedAt: Date | null;
  readonly proposal: PolicyProposal | null;
}

/** The columns that people decide on. */
const CONTENT = {
  stages: is.listOf(is.shape({ percentage: is.number, soakMs: is.number, minimumVehicles: is.number })),
  canary: is.nullable(
    is.shape({ vins: is.listOf(is.string), models: is.listOf(is.string), regions: is.listOf(is.string) }),
  ),
  safetyLevels: is.listOf(is.oneOf(SAFETY_LEVELS)),
  maximumFaultyVehicles: is.number,
  maximumFaultyPercent: is.number,
  guards: areReleaseGuards,
};
const isContent = is.shape(CONTENT);

const CONTENT_COLUMNS = Prisma.sql`stages, canary, safety_levels AS "safetyLevels", maximum_faulty_vehicles AS "maximumFaultyVehicles", maximum_faulty_percent AS "maximumFaultyPercent", guards`;

const ROW = {
  ...CONTENT,
  updatedById: is.nullable(is.string),
  updatedAt: is.nullable(is.date),
  proposalId: is.nullable(is.string),
  proposed: is.nullable(is.jsonObject),
  proposedById: is.nullable(is.string),
  proposedAt: is.nullable(is.date),
};

/** Reads the policy of an environment; null where changes reach everybody at once, because it has no stages. */
export async function readReleasePolicy(db: Reader, environment: Environment): Promise<ReleasePolicy | null> {
  const [content] = await rowsOf(db, CONTENT)`
    SELECT ${CONTENT_COLUMNS} FROM release_policies WHERE environment = ${environment} AND stages <> '[]'`;
  return content === undefined ? null : { environment, ...content };
}

/** Reads an environment's policy with what waits to replace it. It has no stages where nobody has set any. */
export async function findPolicy(db: Reader, environment: Environment): Promise<StoredPolicy> {
  const [row] = await rowsOf(db, ROW)`
    SELECT ${CONTENT_COLUMNS}, updated_by AS "updatedById", updated_at AS "updatedAt",
      proposal_id AS "proposalId", proposed, proposed_by AS "proposedById", proposed_at AS "proposedAt"
    FROM release_policies WHERE environment = ${environment}`;
  if (row === undefined) {
    const policy = parseReleasePolicy({ environment, stages: [] }, 'policy');
    return { policy, updatedById: null, updatedAt: null, proposal: null };
  }
  const { updatedById, updatedAt, proposalId: id, proposed, proposedById, proposedAt, ...content } = row;
  const policy = { environment, ...content };
  if (id === null || proposedAt === null) return { policy, updatedById, updatedAt, proposal: null };
  if (!isContent(proposed))
    throw new Error(`The proposed release policy ${id} of ${environment} is stored in a form that cannot be read`);
  return {
    policy,
    updatedById,
    updatedAt,
    proposal: { id, policy: { ...proposed, environment }, proposedById, proposedAt },
  };
}

/** Locks an environment's policy until the transaction ends, and gives it. Makes the row where there is none yet. */
export async function lockPolicy(tx: Transaction, environment: Environment): Promise<StoredPolicy> {
  await tx.$executeRaw`INSERT INTO release_policies (environment) VALUES (${environment}) ON CONFLICT DO NOTHING`;
  await rowCount(tx)`SELECT FROM release_policies WHERE environment = ${environment} FOR UPDATE`;
  return findPolicy(tx, environment);
}

/** A policy that takes effect, or is proposed, and who decided that; null for an API key. */
interface PolicyDecision {
  readonly policy: ReleasePolicy;
  readonly by: string | null;
}

const NO_PROPOSAL = { proposalId: null, proposed: Prisma.DbNull, proposedById: null, proposedAt: null };

/** Gives the part of a policy that people decide on, as JSON columns hold it. */
function columnsOf(policy: ReleasePolicy) {
  const { stages, canary, safetyLevels, maximumFaultyVehicles, maximumFaultyPercent, guards } = policy;
  return {
    stages: stages.map((stage) => ({ ...stage })),
    canary:
      canary === null ? null : { vins: [...canary.vins], models: [...canary.models], regions: [...canary.regions] },
    safetyLevels: [...safetyLevels],
    maximumFaultyVehicles,
    maximumFaultyPercent,
    guards: guards.map((guard) => ({ ...guard })),
  };
}

/** Puts a policy into effect. A proposal that waits ends with it: it was made against the policy before. */
export async function writePolicy(tx: Transaction, { policy, by }: PolicyDecision): Promise<void> {
  const { canary, ...columns } = columnsOf(policy);
  await tx.releasePolicy.update({
    where: { environment: policy.environment },
    data: { ...columns, canary: canary ?? Prisma.DbNull, updatedById: by, updatedAt: new Date(), ...NO_PROPOSAL },
  });
}

/** Stores a policy that waits for the second person. It takes the place of one that waits already. */
export async function writeProposal(tx: Transaction, id: string, { policy, by }: PolicyDecision): Promise<void> {
  await tx.releasePolicy.update({
    where: { environment: policy.environment },
    data: { proposalId: id, proposed: columnsOf(policy), proposedById: by, proposedAt: new Date() },
  });
}

/** Ends the proposal that waits. */
export async function dropProposal(tx: Transaction, environment: Environment): Promise<void> {
  await tx.releasePolicy.update({ where: { environment }, data: NO_PROPOSAL });
}

/** Gives a policy as the audit log shows it: with durations as people write them. */
export function recordedPolicy(policy: ReleasePolicy): JsonObject {
  const { stages, guards: _, ...others } = columnsOf(policy);
  return {
    environment: policy.environment,
    stages: stages.map(({ soakMs, ...stage }) => ({ ...stage, soak: durationText(soakMs) })),
    ...others,
    guards: policy.guards.map(recordedGuard),
  };
}
