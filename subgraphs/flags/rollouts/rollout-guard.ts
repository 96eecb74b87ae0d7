/**
 * The guards of rollouts and the verdicts on them, which the experiments subgraph computes. Tables: rollout_guards,
 * rollout_verdicts.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/model.ts';
import { ownConditions } from '../../../core/evaluation/segments/segment.ts';
import { parsePercentageRollout } from '../../../core/evaluation/rules/percentage-rollout.ts';
import {
  GUARD_VERDICTS,
  type GuardFigures,
  type GuardVerdict,
  type RolloutGuard,
} from '../../../core/rollouts/rollout-guard.ts';
import { picksArm, variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { toRolloutGuard } from '../../shared/between-subgraphs/rollout-guard-row.ts';
import type { Flag, Rule } from '../flags/flag.ts';
import { oneOf, storedObject } from '../../shared/postgres/column-values.ts';
import { isObject } from '../../../core/json/json-value.ts';

/**
 * Milliseconds for which a verdict permits the next step. A rollout that cannot be watched stops, and this is the
 * longest delay until it does.
 */
export const VERDICT_TTL_MS = 60_000;

/** A rollout's guard and the state of its watch. */
export interface GuardOfRollout extends RolloutGuard {
  /** The percentage to which the rule is pulled back. */
  readonly initialPercentage: number;
  /** The number of starts, steps and resumptions. A verdict with another number concerns another percentage. */
  readonly watch: number;
  /** The time from which the guard watches; null until the rollout starts. */
  readonly watchedSince: Date | null;
}

/** The newest verdict of a guard, with its figures. */
export interface GuardStatus {
  readonly verdict: GuardVerdict;
  readonly figures: GuardFigures;
  readonly watch: number;
  readonly computedAt: Date;
}

/** Maps a stored row to a guard. */
export function toGuard(row: Prisma.RolloutGuardGetPayload<object>): GuardOfRollout {
  return {
    ...toRolloutGuard(row),
    initialPercentage: row.initialPercentage.toNumber(),
    watch: row.watch,
    watchedSince: row.watchedSince,
  };
}

const readVerdict = oneOf('the verdict of a guard', GUARD_VERDICTS);

const isNumberOrNull = (value: unknown) => value === null || typeof value === 'number';

/** Checks whether a value is the figures that the experiments subgraph writes beside a verdict. */
function isFigures(value: unknown): value is GuardFigures {
  if (!isObject(value)) return false;
  const { controlVehicles, treatmentVehicles, vehiclesInBothArms, significance } = value;
  return (
    [controlVehicles, treatmentVehicles, vehiclesInBothArms, significance].every((one) => typeof one === 'number') &&
    ['controlMean', 'treatmentMean', 'worsePercent', 'worsePercentAtLeast', 'detectablePercent', 'pValue'].every(
      (name) => isNumberOrNull(value[name]),
    ) &&
    isObject(value['outOfRange']) &&
    isObject(value['neverReported']) &&
    (value['lastMeasurementAt'] === null || typeof value['lastMeasurementAt'] === 'string')
  );
}

/** The figures that older verdicts do not have, with the values that stand for them. */
const LATER_FIGURES = {
  worsePercentAtLeast: null,
  detectablePercent: null,
  outOfRange: { control: 0, treatment: 0 },
  neverReported: { control: 0, treatment: 0 },
};

/** Maps a stored row to a verdict, of a rollout's guard or a release's. */
export function toGuardStatus({
  verdict,
  figures,
  watch,
  computedAt,
}: Omit<Prisma.RolloutVerdictGetPayload<object>, 'rolloutId'>): GuardStatus {
  const full: unknown = { ...LATER_FIGURES, ...storedObject('the figures of a verdict', figures) };
  if (!isFigures(full)) throw new Error('The stored figures of a verdict cannot be read');
  return { verdict: readVerdict(verdict), figures: full, watch, computedAt };
}

/** Gives the numbers behind a verdict as the audit log has them. */
export function figuresContent({ outOfRange, neverReported, ...numbers }: GuardFigures): JsonObject {
  return { ...numbers, outOfRange: { ...outOfRange }, neverReported: { ...neverReported } };
}

/**
 * Gives the columns of a new guard.
 *
 * @param startsAt null while the rollout waits for approval
 */
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

/** Gives the columns that start a new watch: only measurements from `at` on concern the current percentage. */
export function nextWatch(at: Date): Prisma.RolloutGuardUncheckedUpdateOneWithoutRolloutNestedInput {
  return { update: { watch: { increment: 1 }, watchedSince: at } };
}

/** Gives a guard as the audit log and reviewers see it. */
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
 * Refuses to guard a rule whose two arms cannot be distinguished by the variant that vehicles report with measurements.
 *
 * @throws CONFLICT at `guard`
 */
export function checkGuardable({ key, revision, rules }: Flag, rule: Rule): void {
  const conflict = (message: string) =>
    new FleetFlagError('CONFLICT', message, { field: 'guard', currentRevision: revision });
  if (variantOf(rule) !== 'treatment')
    throw conflict(
      `The rule serves the variant ${JSON.stringify(variantOf(rule))}; a guard requires the variant "treatment".`,
    );
  if (!parsePercentageRollout(ownConditions(rule.conditions), 'conditions').sticky)
    throw conflict('The rule is not sticky, so vehicles would change their arm at each start; make it sticky first.');
  const picking = rules.find(picksArm);
  if (picking !== undefined)
    throw conflict(
      `A ${picking.type} rule of ${key} serves the variant ${JSON.stringify(picking.variant)}, so its vehicles cannot be distinguished from those of an arm; choose another variant, or disable the rule.`,
    );
  const others = rules.filter((other) => other.id !== rule.id && other.enabled && other.type === 'percentage_rollout');
  if (others.length > 0)
    throw conflict(
      `${key} has another enabled percentage_rollout rule, so their vehicles cannot be distinguished; disable one of them.`,
    );
}
