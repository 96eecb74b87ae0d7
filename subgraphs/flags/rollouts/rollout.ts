/**
 * Rollouts, which raise a rule's percentage by schedule, and their tables rollouts and rollout_steps (the guards'
 * tables: rollout-guard.ts).
 */
import { ENVIRONMENTS, type Environment, type JsonObject, type JsonValue } from '../../../core/model.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import {
  VERDICT_TTL_MS,
  guardContent,
  toGuard,
  toGuardStatus,
  type GuardOfRollout,
  type GuardStatus,
} from './rollout-guard.ts';
import { oneOf } from '../../shared/postgres/column-values.ts';
import { isJsonObject, membersOf } from '../../../core/json/json-value.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

const ROLLOUT_STATUSES = [
  'waiting_for_approval',
  'running',
  'paused',
  'completed',
  'cancelled',
  'pulled_back',
] as const;
/** The lifecycle of a rollout. */
export type RolloutStatus = (typeof ROLLOUT_STATUSES)[number];

/** The statuses in which a rollout may still change its rule. A rule has at most one such rollout. */
export const ACTIVE: readonly RolloutStatus[] = ['waiting_for_approval', 'running', 'paused'];

/** One step of a rollout. */
export interface RolloutStep {
  /** The step's number, from 1. */
  readonly position: number;
  readonly percentage: number;
  /** Milliseconds after the previous step was applied; null for a step at a fixed time. */
  readonly delay: number | null;
  readonly dueAt: Date;
  readonly appliedAt: Date | null;
  /** The flag's revision that the step made; null when a person had already reached the percentage. */
  readonly revision: number | null;
}

/** A rollout with its steps and its guard. */
export interface Rollout {
  readonly id: string;
  readonly flagId: string;
  readonly ruleId: string;
  readonly environment: Environment;
  readonly status: RolloutStatus;
  readonly pausedReason: string | null;
  /** Null unless it runs and has a step to come. */
  readonly nextStepAt: Date | null;
  /**
   * The time when its guard will have watched long enough after the last step; null unless it runs and all steps are
   * applied.
   */
  readonly watchedUntil: Date | null;
  readonly scheduledById: string;
  /** The user who approved it, where two people have to agree. */
  readonly approvedById: string | null;
  /** The last request to start or to resume it. */
  readonly changeRequestId: string | null;
  readonly steps: readonly RolloutStep[];
  readonly guard: GuardOfRollout | null;
  /** The newest verdict, which may concern an earlier watch. */
  readonly guardStatus: GuardStatus | null;
  /** The rule's current percentage. */
  readonly currentPercentage: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const WITH_STEPS = {
  steps: { orderBy: { position: 'asc' } },
  rule: { select: { conditions: true } },
  guard: true,
  verdict: true,
} as const satisfies Prisma.RolloutInclude;
type Row = Prisma.RolloutGetPayload<{ include: typeof WITH_STEPS }>;

/** Gives the percentage of a percentage_rollout rule with these conditions. */
export function percentageOf(conditions: unknown): number {
  const percentage = membersOf(conditions)['rollout_percentage'];
  return typeof percentage === 'number' ? percentage : 0;
}

/** Gives the conditions of a percentage_rollout rule with another percentage. */
export function withPercentage(conditions: JsonValue, percentage: number): JsonObject {
  return { ...(isJsonObject(conditions) && conditions), rollout_percentage: percentage };
}

const readEnvironment = oneOf('rollouts.environment', ENVIRONMENTS);
const readStatus = oneOf('rollouts.status', ROLLOUT_STATUSES);

function toRollout(row: Row): Rollout {
  const stepsToCome = row.steps.some((step) => step.appliedAt === null);
  return {
    id: row.id,
    flagId: row.flagId,
    ruleId: row.ruleId,
    environment: readEnvironment(row.environment),
    status: readStatus(row.status),
    pausedReason: row.pausedReason,
    nextStepAt: stepsToCome ? row.nextStepAt : null,
    watchedUntil: stepsToCome ? null : row.nextStepAt,
    scheduledById: row.scheduledById,
    approvedById: row.approvedById,
    changeRequestId: row.changeRequestId,
    steps: row.steps.map((step) => ({
      position: step.position,
      percentage: step.percentage.toNumber(),
      delay: step.delayMs === null ? null : Number(step.delayMs),
      dueAt: step.dueAt,
      appliedAt: step.appliedAt,
      revision: step.revision === null ? null : Number(step.revision),
    })),
    guard: row.guard && toGuard(row.guard),
    guardStatus: row.verdict && toGuardStatus(row.verdict),
    currentPercentage: percentageOf(row.rule.conditions),
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

/** Gives the steps that are still to come, in order. */
export function remainingSteps(rollout: Rollout): RolloutStep[] {
  return rollout.steps.filter((step) => step.appliedAt === null);
}

/** Gives a rollout as the audit log and reviewers see it. */
export function rolloutContent({ id, ruleId, currentPercentage, steps, guard }: Rollout): JsonObject {
  const plan = steps.map(({ percentage, delay, dueAt }): JsonValue => ({
    percentage,
    at: dueAt.toISOString(),
    afterSeconds: delay === null ? null : delay / 1000,
  }));
  return {
    rollout: id,
    rule: ruleId,
    from: currentPercentage,
    steps: plan,
    ...(guard !== null && { guard: guardContent(guard) }),
  };
}

/** The columns of a new rollout, with its steps and its guard. */
export type NewRollout = Omit<Prisma.RolloutUncheckedCreateInput, 'steps' | 'guard'> & {
  id: string;
  steps: Prisma.RolloutStepUncheckedCreateWithoutRolloutInput[];
  guard: Prisma.RolloutGuardUncheckedCreateWithoutRolloutInput | null;
};

/** Inserts a rollout and gives it as stored. */
export async function insertRollout(tx: Transaction, { steps, guard, ...columns }: NewRollout): Promise<Rollout> {
  const data = { ...columns, steps: { create: steps }, ...(guard !== null && { guard: { create: guard } }) };
  return toRollout(await tx.rollout.create({ data, include: WITH_STEPS }));
}

/** Writes columns of a rollout, and changed steps. The caller holds the flag's lock (`lockFlag` of flag-store.ts). */
export async function updateRollout(
  tx: Transaction,
  id: string,
  columns: Prisma.RolloutUncheckedUpdateInput,
  steps: readonly Pick<RolloutStep, 'position' | 'dueAt' | 'appliedAt' | 'revision'>[] = [],
): Promise<Rollout> {
  for (const { position, dueAt, appliedAt, revision } of steps) {
    await tx.rolloutStep.update({
      where: { rolloutId_position: { rolloutId: id, position } },
      data: { dueAt, appliedAt, revision },
    });
  }
  return toRollout(await tx.rollout.update({ where: { id }, data: columns, include: WITH_STEPS }));
}

/** Finds a rollout, or null. */
export async function findRollout(
  db: Reader,
  where: { id: string } | { changeRequestId: string },
): Promise<Rollout | null> {
  const row = await db.rollout.findFirst({ where, include: WITH_STEPS });
  return row === null ? null : toRollout(row);
}

/** Gives the rollouts of flags that may still change them, in no particular order. */
export async function activeRollouts(db: Reader, flagIds: readonly string[]): Promise<Rollout[]> {
  // The ids are found first: a list of thousands of flags is one parameter here, and thousands for Prisma.
  const active = await rowsOf(db, { id: is.string })`
    SELECT id FROM rollouts WHERE flag_id = ANY(${[...flagIds]}::uuid[]) AND status = ANY(${[...ACTIVE]}::text[])`;
  if (active.length === 0) return [];
  const rows = await db.rollout.findMany({
    where: { id: { in: active.map(({ id }) => id) } },
    include: WITH_STEPS,
  });
  return rows.map(toRollout);
}

/** Gives the running rollouts that a person scheduled or resumed. */
export async function runningRolloutsOf(db: Reader, scheduledById: string): Promise<Rollout[]> {
  return (await db.rollout.findMany({ where: { scheduledById, status: 'running' }, include: WITH_STEPS })).map(
    toRollout,
  );
}

/** Gives each rule's active rollout, or else its latest. Rules without rollouts are left out. */
export async function rolloutsOfRules(db: Reader, ruleIds: readonly string[]): Promise<Map<string, Rollout>> {
  const ids = await rowsOf(db, { id: is.string })`
    SELECT DISTINCT ON (rule_id) id FROM rollouts WHERE rule_id = ANY(${[...ruleIds]}::uuid[])
    ORDER BY rule_id, status IN ('waiting_for_approval', 'running', 'paused') DESC, created_at DESC, id DESC`;
  const rows = await db.rollout.findMany({ where: { id: { in: ids.map(({ id }) => id) } }, include: WITH_STEPS });
  return new Map(rows.map((row) => [row.ruleId, toRollout(row)]));
}

/**
 * Checks whether a rollout's guard permits the next step, or the end. To continue, a guarded rollout needs a verdict of
 * the last minute on the current percentage that the limit is kept. To end, any such verdict suffices, since at 100 %
 * there may be no control to compare with. While the rule gives the treatment to no vehicle, there is nothing to watch.
 */
export function guardPermits({ guard, guardStatus, nextStepAt, currentPercentage }: Rollout, now: Date): boolean {
  if (guard === null || currentPercentage === 0) return true;
  if (guardStatus?.watch !== guard.watch || now.getTime() - guardStatus.computedAt.getTime() > VERDICT_TTL_MS)
    return false;
  return guardStatus.verdict === 'holding' || (guardStatus.verdict === 'waiting' && nextStepAt === null);
}

/**
 * Finds rollouts with something due at `now` that may continue, the longest overdue first; at most 100. The query
 * contains the condition of `guardPermits`, so that waiting rollouts do not hide others.
 */
export async function dueRollouts(db: Reader, now: Date): Promise<{ id: string; flagId: string }[]> {
  return rowsOf(db, { id: is.string, flagId: is.string })`
    SELECT r.id, r.flag_id AS "flagId" FROM rollouts r
    LEFT JOIN rollout_guards g ON g.rollout_id = r.id
    LEFT JOIN rollout_verdicts v ON v.rollout_id = r.id AND v.watch = g.watch AND v.computed_at >= ${new Date(now.getTime() - VERDICT_TTL_MS)}
    WHERE r.status = 'running' AND r.next_step_at <= ${now} AND (
      g.rollout_id IS NULL OR v.verdict = 'holding'
      OR (v.verdict = 'waiting' AND NOT EXISTS (SELECT FROM rollout_steps s WHERE s.rollout_id = r.id AND s.applied_at IS NULL))
      OR EXISTS (SELECT FROM rules WHERE rules.id = r.rule_id AND conditions->'rollout_percentage' = '0'))
    ORDER BY r.next_step_at LIMIT 100`;
}

/** Finds running and paused rollouts whose guard's verdict requires an action. */
export async function judgedRollouts(db: Reader): Promise<{ id: string; flagId: string }[]> {
  return rowsOf(db, { id: is.string, flagId: is.string })`
    SELECT r.id, r.flag_id AS "flagId" FROM rollouts r JOIN rollout_guards g ON g.rollout_id = r.id JOIN rollout_verdicts v ON v.rollout_id = r.id AND v.watch = g.watch
    WHERE (v.verdict = 'crossed' AND r.status IN ('running', 'paused')) OR (v.verdict = 'silent' AND r.status = 'running')
    ORDER BY v.computed_at`;
}

/** Gives the first time after `now` at which a step is due or the watch of a guard ends; null when there is none. */
export async function nextDueAfter(db: Reader, now: Date): Promise<Date | null> {
  const { _min } = await db.rollout.aggregate({
    where: { status: 'running', nextStepAt: { gt: now } },
    _min: { nextStepAt: true },
  });
  return _min.nextStepAt;
}
