/**
 * What a flag splits its vehicles by: a read-only view of the flags subgraph's tables. Why a view and not a call:
 * docs/decisions/reading-another-subgraphs-table.md.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import type { JsonValue, RuleType } from '../../../core/model.ts';
import { parsePercentageRollout } from '../../../core/evaluation/rules/percentage-rollout.ts';
import { picksArm, variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

export interface SplittingRule {
  readonly type: RuleType;
  readonly enabled: boolean;
  readonly conditions: JsonValue;
  readonly variant: string | null;
}

export interface FlagSplit {
  readonly key: string;
  readonly archived: boolean;
  readonly enabled: boolean;
  readonly rules: readonly SplittingRule[];
}

/** What the flag is now. For who holds its lock (`lockExperiment`), or it may be something else a moment later. */
export async function readFlagSplit(tx: Transaction, flagId: string): Promise<FlagSplit> {
  const flag = await tx.flag.findUniqueOrThrow({
    where: { id: flagId },
    select: {
      key: true,
      archivedAt: true,
      enabled: true,
      rules: { select: { type: true, enabled: true, conditions: true, variant: true } },
    },
  });
  return {
    key: flag.key,
    archived: flag.archivedAt !== null,
    enabled: flag.enabled,
    rules: flag.rules as unknown as SplittingRule[],
  };
}

const conflict = (message: string) => new FleetFlagError('CONFLICT', message, { field: 'id' });

/**
 * The share of the vehicles that the flag gives to the treatment, above 0 and below 1.
 *
 * @throws CONFLICT at `id` where the flag gives no two arms to compare
 */
export function treatmentShareOf({ key, archived, enabled, rules }: FlagSplit): number {
  if (archived) throw conflict(`${key} is archived.`);
  if (!enabled) throw conflict(`${key} is not enabled; enable it first.`);
  if (isKilled(rules)) throw conflict(`${key} is held by a kill switch; release it first.`);
  const [rollout, another] = rules.filter((rule) => rule.enabled && rule.type === 'percentage_rollout');
  if (rollout === undefined)
    throw conflict(`${key} has no enabled percentage_rollout rule, whose cohort would be the treatment.`);
  // Of two cohorts together nobody could say which share was planned.
  if (another !== undefined)
    throw conflict(
      `${key} has several enabled percentage_rollout rules; an experiment compares the cohort of one with the rest.`,
    );
  if (variantOf(rollout) !== 'treatment')
    throw conflict(
      `The percentage_rollout rule of ${key} serves the variant ${JSON.stringify(variantOf(rollout))}; the arm of an experiment is "treatment".`,
    );
  const picking = rules.find(picksArm);
  if (picking !== undefined) {
    throw conflict(
      `A ${picking.type} rule of ${key} serves the variant ${JSON.stringify(picking.variant)}: vehicles that were picked by hand would count in that arm. Name another variant, or disable the rule.`,
    );
  }
  const { threshold, sticky } = parsePercentageRollout(rollout.conditions, 'conditions');
  if (!sticky) throw conflict(`The percentage_rollout rule of ${key} is not sticky: vehicles would change their arm.`);
  if (threshold <= 0 || threshold >= BUCKETS)
    throw conflict(
      `The percentage_rollout rule of ${key} is at ${threshold === 0 ? 0 : 100} %: there is only one arm.`,
    );
  return threshold / BUCKETS;
}
