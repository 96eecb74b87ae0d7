/**
 * Protects a flag's running experiment from changes of the flag. A change that moves vehicles between its arms is
 * refused unless it is forced, and then recorded with the experiment. A change that only stops a feature, or lets it
 * continue, is never refused, only recorded. Reads the experiments subgraph's table
 * (docs/decisions/data/reading-another-subgraphs-table.md). Callers hold the flag's lock, which starting an experiment
 * takes, too.
 */
import { FleetFlagError } from '../../../../core/errors.ts';
import { isKilled } from '../../../../core/evaluation/rules/kill-switch.ts';
import { canonicalJson } from '../../../../core/json/canonical-json.ts';
import { parsePercentageRollout } from '../../../../core/evaluation/rules/percentage-rollout.ts';
import { ownConditions } from '../../../../core/evaluation/segments/segment.ts';
import { picksArm } from '../../../../core/evaluation/rules/rule-variant.ts';
import { Prisma } from '../../../../prisma/generated/client.ts';
import type { AuditAction } from '../../../shared/audit/audit-log.ts';
import { is } from '../../../../core/json/shape.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';
import type { Transaction } from '../../../shared/postgres/transaction.ts';
import { ruleContent, type Flag } from '../../flags/flag.ts';

/** The experiment that a change may disturb. */
export interface RunningExperiment {
  readonly id: string;
  readonly name: string;
}

/**
 * Gives the parts of a flag that decide which vehicles are in an arm, and what the treatment is, as a comparable text.
 */
function split({ environment, archivedAt, rules, scope, requires, excludes }: Flag): string {
  const rollouts = rules.filter(({ type, enabled }) => type === 'percentage_rollout' && enabled).map(ruleContent);
  const picking = rules.filter(picksArm).map(ruleContent);
  // Compared as text: conditions from a client's document are objects without a prototype, which must not count as a
  // difference.
  const relations = {
    scope: scope && [...scope],
    requires: requires.map((one) => ({ ...one })),
    excludes: [...excludes],
  };
  return canonicalJson({ environment, archived: archivedAt !== null, rollouts, picking, ...relations });
}

/** Checks whether the rules have no effect at all. */
function stopped({ enabled, rules }: Flag) {
  return !enabled || isKilled(rules);
}

/** Finds the running experiments of flags, by the flags' ids. */
async function findRunningExperiments(
  tx: Transaction,
  flagIds: readonly string[],
): Promise<Map<string, RunningExperiment>> {
  const rows = await rowsOf(tx, { flagId: is.string, id: is.string, name: is.string })`
    SELECT flag_id AS "flagId", id, name FROM experiments WHERE flag_id = ANY(${[...flagIds]}::uuid[]) AND status = 'running'`;
  return new Map(rows.map(({ flagId, ...experiment }) => [flagId, experiment]));
}

/** Finds the flag's running experiment, or null. */
export async function findRunningExperiment(tx: Transaction, flagId: string): Promise<RunningExperiment | null> {
  return (await findRunningExperiments(tx, [flagId])).get(flagId) ?? null;
}

const runs = ({ name }: RunningExperiment) => `experiment ${JSON.stringify(name)} is running`;

/** Gives the reason with which a rollout pauses itself. */
export const pausedBy = (experiment: RunningExperiment) => runs(experiment);

/**
 * Refuses to schedule changes of the flag's percentage while an experiment runs.
 *
 * @throws CONFLICT
 */
export async function checkNoRunningExperiment(tx: Transaction, flag: Flag): Promise<void> {
  const experiment = await findRunningExperiment(tx, flag.id);
  if (experiment === null) return;
  throw new FleetFlagError('CONFLICT', `The ${runs(experiment)} on ${flag.key}; complete or cancel it first.`, {
    currentRevision: flag.revision,
  });
}

/** A flag before and after an edit, and who decides about its experiment. */
export interface DisturbingEdit {
  readonly before: Flag;
  readonly edited: Flag;
  /** Whether the caller accepts a disturbance. */
  readonly force: boolean;
  /** Whether the edit has waited for approval, which is too late to force it. */
  readonly waited?: boolean;
}

/**
 * Gives the running experiments that edits disturb, by the flags' ids; one statement, where an edit can disturb any.
 *
 * @throws CONFLICT at `force`, or at `id` of the request that has waited, for an unforced change of the split
 */
export async function disturbedExperiments(
  tx: Transaction,
  edits: readonly DisturbingEdit[],
): Promise<Map<string, RunningExperiment>> {
  const found = edits.flatMap((edit) => {
    const { before, edited } = edit;
    const moves = split(before) !== split(edited);
    return moves || stopped(before) !== stopped(edited) ? [{ ...edit, moves }] : [];
  });
  if (found.length === 0) return new Map();
  const experiments = await findRunningExperiments(
    tx,
    found.map(({ before }) => before.id),
  );
  for (const { before, moves, force, waited = false } of found) {
    const experiment = experiments.get(before.id);
    if (experiment === undefined || !moves || force) continue;
    const otherwise = waited
      ? 'or request the change again with force: true'
      : 'or send force: true, which the results then note';
    throw new FleetFlagError(
      'CONFLICT',
      `The ${runs(experiment)} on ${before.key}, and this would move vehicles between its arms. Complete or cancel it first, ${otherwise}.`,
      {
        field: waited ? 'id' : 'force',
        currentRevision: before.revision,
      },
    );
  }
  return experiments;
}

/**
 * Refuses a change that a release would bring to the arms of a running experiment stage by stage, forced or not: some
 * vehicles would be drawn by the old split and some by the new one, and no disturbance could say which.
 *
 * @param releasing the edits with which a release begins
 * @param experiments the running experiments that they disturb, by the flags' ids
 * @throws CONFLICT at `force`, or at `id` of the request that has waited
 */
export function refuseStagedSplit(
  releasing: readonly Omit<DisturbingEdit, 'force'>[],
  experiments: ReadonlyMap<string, RunningExperiment>,
): void {
  for (const { before, edited, waited = false } of releasing) {
    const experiment = experiments.get(before.id);
    if (experiment === undefined || split(before) === split(edited)) continue;
    throw new FleetFlagError(
      'CONFLICT',
      `The ${runs(experiment)} on ${before.key}, and under the release policy of ${edited.environment} this would move vehicles between its arms stage by stage. Complete or cancel it first.`,
      { field: waited ? 'id' : 'force', currentRevision: before.revision },
    );
  }
}

/** A flag before and after a write, with what the audit log calls it. */
export interface ServedChange {
  readonly before: Flag;
  readonly after: Flag;
  readonly action: AuditAction;
}

/** Gives the parts of a flag that decide which variant it serves to which vehicle, as a comparable text. */
function served(flag: Flag): string {
  const { enabled, rules, release } = flag;
  const serving = rules
    .filter((rule) => rule.enabled && rule.type !== 'kill_switch')
    .map(({ id, type, priority, conditions, variant = null }) => ({ id, type, priority, conditions, variant }));
  const ring = release && { id: release.id, percentage: release.percentage };
  return canonicalJson({ split: split({ ...flag, rules: [] }), on: enabled && !isKilled(rules), serving, ring });
}

/** SQL for the keys of the flags that a row `f` of flags names, in the content of its release, too. */
const NAMED = Prisma.sql`SELECT requirement->>'flag' AS key FROM jsonb_array_elements(f.requires || COALESCE(f.release->'stable'->'requires', '[]')) AS requirement
      UNION ALL SELECT unnest(f.excludes || ARRAY(SELECT jsonb_array_elements_text(f.release->'stable'->'excludes')))`;

/**
 * Records changes of flags with the running experiments whose own flags require or exclude them, directly or through
 * others: they may move vehicles between the arms. Such a change is not refused, because an experiment must not hold up
 * the flags that others answer for. One statement where a flag serves other variants than before.
 *
 * @param by the user in whose name; null for an API key or the control plane
 */
export async function noteForDependents(
  tx: Transaction,
  changes: readonly ServedChange[],
  by: string | null,
): Promise<void> {
  const serving = changes.filter(({ before, after }) => served(before) !== served(after));
  if (serving.length === 0) return;
  const rows = await rowsOf(tx, { id: is.string, key: is.string })`
    WITH RECURSIVE needed (id, environment, key) AS (
      SELECT e.id, f.environment, named.key FROM experiments e JOIN flags f ON f.id = e.flag_id, LATERAL (${NAMED}) named
      WHERE e.status = 'running'
      UNION
      SELECT needed.id, f.environment, named.key FROM needed JOIN flags f ON f.key = needed.key AND f.environment = needed.environment, LATERAL (${NAMED}) named
    )
    SELECT DISTINCT id, key FROM needed WHERE key = ANY(${serving.map(({ after }) => after.key)}::text[])`;
  for (const { id, key } of rows)
    for (const { after, action } of serving)
      if (after.key === key)
        await tx.experimentDisturbance.create({ data: { experimentId: id, action, userId: by, flagId: after.id } });
}

/** Gives the draw of the flag's one percentage_rollout rule, as far as there is one. */
function drawOf({ key, rules }: Flag): { salt: string; threshold: number } | null {
  const [rollout, another] = rules.filter(({ type, enabled }) => type === 'percentage_rollout' && enabled);
  if (rollout === undefined || another !== undefined) return null;
  const { salt = key, threshold } = parsePercentageRollout(ownConditions(rollout.conditions), 'conditions');
  return { salt, threshold };
}

/** Records a change with the experiment that it disturbs, and the draw of vehicles from then on. */
export async function noteDisturbance(
  tx: Transaction,
  experiment: RunningExperiment,
  action: AuditAction,
  userId: string | null,
  edited: Flag,
): Promise<void> {
  const draw = drawOf(edited);
  await tx.experimentDisturbance.create({ data: { experimentId: experiment.id, action, userId, ...draw } });
}
