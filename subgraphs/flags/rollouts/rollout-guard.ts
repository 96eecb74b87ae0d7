/**
 * The guards of rollouts, and the verdicts on them, which the experiments subgraph computes: rollout_guards,
 * rollout_verdicts.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import { parsePercentageRollout } from '../../../core/evaluation/rules/percentage-rollout.ts';
import type { GuardFigures, GuardVerdict, RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import { picksArm, variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { toRolloutGuard } from '../../shared/between-subgraphs/rollout-guard-row.ts';
import type { Flag, Rule } from '../flags/flag.ts';

/**
 * Milliseconds for which a verdict allows a step. What cannot be watched does not go on, and this is how soon that is
 * noticed.
 */
export const FRESH = 60_000;

/** A rollout's guard, and where its watching stands. */
export interface GuardOfRollout extends RolloutGuard {
  /** What the rule is pulled back to. */
  readonly initialPercentage: number;
  /** Counts starts, steps and resumptions: a verdict of another watch is about another percentage. */
  readonly watch: number;
  /** Null until the rollout starts. */
  readonly watchedSince: Date | null;
}

export interface GuardStatus {
  readonly verdict: GuardVerdict;
  readonly figures: GuardFigures;
  readonly watch: number;
  readonly computedAt: Date;
}

export function toGuard(row: Prisma.RolloutGuardGetPayload<object>): GuardOfRollout {
  return {
    ...toRolloutGuard(row),
    initialPercentage: row.initialPercentage.toNumber(),
    watch: row.watch,
    watchedSince: row.watchedSince,
  };
}

export function toGuardStatus({
  verdict,
  figures,
  watch,
  computedAt,
}: Prisma.RolloutVerdictGetPayload<object>): GuardStatus {
  return { verdict: verdict as GuardVerdict, figures: figures as unknown as GuardFigures, watch, computedAt };
}

/** The columns of a new guard. @param startsAt null while the rollout waits for approval */
export function guardColumns(
  guard: RolloutGuard,
  initialPercentage: number,
  startsAt: Date | null,
): Prisma.RolloutGuardUncheckedCreateWithoutRolloutInput {
  const { silence: silenceMs, watchFor: watchForMs, ...columns } = guard;
  return {
    ...columns,
    silenceMs,
    watchForMs,
    initialPercentage,
    watch: startsAt === null ? 0 : 1,
    watchedSince: startsAt,
  };
}

/** What begins anew with each step: only measurements from `at` on are of the percentage that is now. */
export function nextWatch(at: Date): Prisma.RolloutGuardUncheckedUpdateOneWithoutRolloutNestedInput {
  return { update: { watch: { increment: 1 }, watchedSince: at } };
}

/** What the trail and a reviewer are shown of a guard. */
export function guardContent({
  metric,
  worse,
  maxWorsePercent,
  bound,
  confidenceLevel,
  minimumVehicles,
  silence,
  watchFor,
}: RolloutGuard): JsonObject {
  const limit: JsonObject = bound === null ? { maxWorsePercent } : { bound };
  return {
    metric,
    worse,
    ...limit,
    confidenceLevel,
    minimumVehicles,
    silenceSeconds: silence / 1000,
    watchForSeconds: watchFor / 1000,
  };
}

/**
 * Refuses to guard what gives no two arms to tell apart by the variant with which vehicles measure.
 *
 * @throws CONFLICT at `guard`
 */
export function checkGuardable({ key, revision, rules }: Flag, rule: Rule): void {
  const conflict = (message: string) =>
    new FleetFlagError('CONFLICT', message, { field: 'guard', currentRevision: revision });
  if (variantOf(rule) !== 'treatment')
    throw conflict(
      `The rule serves the variant ${JSON.stringify(variantOf(rule))}; a guard watches the variant "treatment".`,
    );
  if (!parsePercentageRollout(rule.conditions, 'conditions').sticky)
    throw conflict('The rule is not sticky: vehicles would change their arm at each start.');
  const picking = rules.find(picksArm);
  if (picking !== undefined)
    throw conflict(
      `A ${picking.type} rule of ${key} serves the variant ${JSON.stringify(picking.variant)}, whose vehicles could not be told from those of an arm.`,
    );
  const others = rules.filter((other) => other.id !== rule.id && other.enabled && other.type === 'percentage_rollout');
  if (others.length > 0)
    throw conflict(
      `${key} has another enabled percentage_rollout rule, whose vehicles could not be told from this one's.`,
    );
}
