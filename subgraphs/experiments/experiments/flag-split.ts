/**
 * The rules by which a flag splits its vehicles, read from the flags subgraph's tables.
 * docs/decisions/data/reading-another-subgraphs-table.md says why this is a statement and not a call.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import { RULE_TYPES, type JsonValue, type RuleType } from '../../../core/model.ts';
import { parsePercentageRollout } from '../../../core/evaluation/rules/percentage-rollout.ts';
import { ownConditions } from '../../../core/evaluation/segments/segment.ts';
import { picksArm, variantOf } from '../../../core/evaluation/rules/rule-variant.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';
import { is } from '../../../core/json/shape.ts';
import type { VehicleDraw } from './looks/experiment-state.ts';
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
  /** Whether a release is under way, so that vehicles have two contents. */
  readonly isReleasing: boolean;
  readonly rules: readonly SplittingRule[];
  /** The flags that it requires. */
  readonly requires: readonly string[];
}

/**
 * Reads the flag's current split. The caller holds its lock (`lockExperiment`), or the split may change a moment later.
 */
export async function readFlagSplit(tx: Transaction, flagId: string): Promise<FlagSplit> {
  return splitOf(await tx.flag.findUniqueOrThrow({ where: { id: flagId }, select: SPLIT }));
}

/** The columns of a split. */
const SPLIT = {
  ...{ key: true, archivedAt: true, enabled: true, release: true, requires: true },
  rules: { select: { type: true, enabled: true, conditions: true, variant: true } },
} as const;

/** A row with the columns of a split. */
interface SplitRow {
  readonly key: string;
  readonly archivedAt: Date | null;
  readonly enabled: boolean;
  readonly release: unknown;
  readonly requires: unknown;
  readonly rules: readonly {
    readonly type: string;
    readonly enabled: boolean;
    readonly conditions: Prisma.JsonValue;
    readonly variant: string | null;
  }[];
}

const areNames = is.listOf(is.shape({ flag: is.string }));

function splitOf({ key, archivedAt, enabled, release, requires, rules }: SplitRow): FlagSplit {
  if (!areNames(requires)) throw new Error(`The requirements of ${key} cannot be read`);
  return {
    ...{ key, archived: archivedAt !== null, enabled, isReleasing: release !== null },
    requires: requires.map(({ flag }) => flag),
    rules: rules.map((rule) => ({ ...rule, type: readType(rule.type), conditions: storedJson(rule.conditions) })),
  };
}

/** Gives why a required flag serves nothing to any vehicle; null where it may serve. */
function whyOff({ archived, enabled, rules }: FlagSplit): string | null {
  if (archived) return 'is archived';
  if (!enabled) return 'is not enabled';
  if (isKilled(rules)) return 'is held by its kill switch';
  return rules.some((rule) => rule.enabled && rule.type !== 'kill_switch') ? null : 'has no enabled rule';
}

/**
 * Checks what a flag requires, directly or through others: where one of these serves nothing, all vehicles serve the
 * flag's default, and there is only one arm.
 *
 * @throws CONFLICT at `id` that names the flag that is off
 */
export async function checkPrerequisites(tx: Transaction, { key, requires }: FlagSplit): Promise<void> {
  const seen = new Set<string>();
  for (let names = requires; names.length > 0;) {
    for (const name of names) seen.add(name);
    const rows = await tx.flag.findMany({ where: { key: { in: [...names] } }, select: SPLIT, orderBy: { key: 'asc' } });
    const required = rows.map(splitOf);
    for (const flag of required) {
      const why = whyOff(flag);
      if (why !== null)
        throw conflict(`${key} requires ${flag.key}, which ${why}: no vehicle would be in the arm of the treatment.`);
    }
    names = [...new Set(required.flatMap((flag) => flag.requires))].filter((name) => !seen.has(name));
  }
}

const conflict = (message: string) => new FleetFlagError('CONFLICT', message, { field: 'id' });

/**
 * Gives the draw by which vehicles receive the treatment: some, and not all.
 *
 * @throws CONFLICT at `id` when the flag has no two arms to compare
 */
export function drawOf({ key, archived, enabled, isReleasing, rules }: FlagSplit): VehicleDraw {
  if (archived) throw conflict(`${key} is archived.`);
  if (!enabled) throw conflict(`${key} is not enabled; enable it first.`);
  if (isKilled(rules)) throw conflict(`The kill switch of ${key} is pulled; release it first.`);
  if (isReleasing) throw conflict(`A release of ${key} is under way; wait for its end, or halt it.`);
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
  const { threshold, sticky, salt = key } = parsePercentageRollout(ownConditions(rollout.conditions), 'conditions');
  if (!sticky)
    throw conflict(
      `The percentage_rollout rule of ${key} is not sticky, so vehicles would change their arm; make it sticky first.`,
    );
  if (threshold <= 0 || threshold >= BUCKETS)
    throw conflict(
      `The percentage_rollout rule of ${key} is at ${threshold === 0 ? 0 : 100} %: there is only one arm.`,
    );
  return { salt, threshold };
}
