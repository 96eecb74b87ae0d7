/**
 * The rules by which a flag splits its vehicles: a read-only view of the flags subgraph's tables.
 * docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import { RULE_TYPES, type JsonValue, type RuleType } from '../../../core/model.ts';
import { parsePercentageRollout } from '../../../core/evaluation/rules/percentage-rollout.ts';
import { picksArm, variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { oneOf, storedJson } from '../../shared/postgres/column-values.ts';

const readType = oneOf('rules.type', RULE_TYPES);

/** A rule that takes part in the split. */
export interface SplittingRule {
  readonly type: RuleType;
  readonly enabled: boolean;
  readonly conditions: JsonValue;
  readonly variant: string | null;
}

/** The parts of a flag that decide its split. */
export interface FlagSplit {
  readonly key: string;
  readonly archived: boolean;
  readonly enabled: boolean;
  readonly rules: readonly SplittingRule[];
}

/**
 * Reads the flag's current split. The caller holds its lock (`lockExperiment`), or the split may change a moment later.
 */
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
    rules: flag.rules.map((rule) => ({
      ...rule,
      type: readType(rule.type),
      conditions: storedJson(rule.conditions),
    })),
  };
}

const conflict = (message: string) => new FleetFlagError('CONFLICT', message, { field: 'id' });

/**
 * Gives the share of vehicles that receive the treatment, above 0 and below 1.
 *
 * @throws CONFLICT at `id` when the flag has no two arms to compare
 */
export function treatmentShareOf({ key, archived, enabled, rules }: FlagSplit): number {
  if (archived) throw conflict(`${key} is archived.`);
  if (!enabled) throw conflict(`${key} is not enabled; enable it first.`);
  if (isKilled(rules)) throw conflict(`The kill switch of ${key} is pulled; release it first.`);
  const [rollout, another] = rules.filter((rule) => rule.enabled && rule.type === 'percentage_rollout');
  if (rollout === undefined)
    throw conflict(`${key} has no enabled percentage_rollout rule; the treatment arm of an experiment requires one.`);
  // With two cohorts together the planned share would be unknown.
  if (another !== undefined)
    throw conflict(
      `${key} has several enabled percentage_rollout rules; an experiment compares the cohort of one with the rest.`,
    );
  if (variantOf(rollout) !== 'treatment')
    throw conflict(
      `The percentage_rollout rule of ${key} serves the variant ${JSON.stringify(variantOf(rollout))}; an experiment requires the variant "treatment".`,
    );
  const picking = rules.find(picksArm);
  if (picking !== undefined) {
    throw conflict(
      `A ${picking.type} rule of ${key} serves the variant ${JSON.stringify(picking.variant)}: vehicles that are listed by hand would count in that arm. Choose another variant, or disable the rule.`,
    );
  }
  const { threshold, sticky } = parsePercentageRollout(rollout.conditions, 'conditions');
  if (!sticky)
    throw conflict(
      `The percentage_rollout rule of ${key} is not sticky, so vehicles would change their arm; make it sticky first.`,
    );
  if (threshold <= 0 || threshold >= BUCKETS)
    throw conflict(
      `The percentage_rollout rule of ${key} is at ${threshold === 0 ? 0 : 100} %: there is only one arm.`,
    );
  return threshold / BUCKETS;
}
