/**
 * What a change of a flag does to the flag's running experiment: one that moves vehicles between its arms is refused
 * unless it is forced, and then noted with the experiment. What stops a feature, or lets it go on, is never refused,
 * only noted. Reads the experiments subgraph's table: docs/decisions/reading-another-subgraphs-table.md. Called by who
 * holds the flag's lock, which starting an experiment takes, too.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { picksArm } from '../../../core/evaluation/rules/rule-variant.ts';
import type { AuditAction } from '../../shared/audit/audit-trail.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { ruleContent, type Flag } from '../flags/flag.ts';

export interface RunningExperiment {
  readonly id: string;
  readonly name: string;
}

/** What decides which vehicles are in an arm, and what the treatment is. */
function split({ environment, archivedAt, rules }: Flag): string {
  const rollouts = rules.filter(({ type, enabled }) => type === 'percentage_rollout' && enabled).map(ruleContent);
  const picking = rules.filter(picksArm).map(ruleContent);
  // As text: conditions written into a document are objects without a prototype, and no different for that.
  return canonicalJson({ environment, archived: archivedAt !== null, rollouts, picking });
}

/** Whether the rules decide at all. */
function stopped({ enabled, rules }: Flag) {
  return !enabled || isKilled(rules);
}

/** The flag's experiment that runs, if any. */
export async function findRunningExperiment(tx: Transaction, flagId: string): Promise<RunningExperiment | null> {
  return tx.experiment.findFirst({ where: { flagId, status: 'running' }, select: { id: true, name: true } });
}

const runs = ({ name }: RunningExperiment) => `experiment ${JSON.stringify(name)} is running`;

/** Why a rollout pauses itself. */
export const pausedBy = (experiment: RunningExperiment) => runs(experiment);

/**
 * Refuses to plan changes of the flag's percentage while an experiment runs.
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

/**
 * The running experiment that changing `before` to `edited` disturbs, or null.
 *
 * @param force whether who makes the change accepts that
 * @param waited whether the change has waited for approval: then it is too late to force it
 * @throws CONFLICT at `force`, or `id` of the request that has waited, for a change of the split that is not forced
 */
export async function disturbedExperiment(
  tx: Transaction,
  before: Flag,
  edited: Flag,
  force: boolean,
  waited = false,
): Promise<RunningExperiment | null> {
  const moves = split(before) !== split(edited);
  if (!moves && stopped(before) === stopped(edited)) return null;
  const experiment = await findRunningExperiment(tx, before.id);
  if (experiment === null || !moves || force) return experiment;
  const otherwise = waited
    ? 'or ask for the change anew with force: true'
    : 'or send force: true to have it noted in the results';
  throw new FleetFlagError(
    'CONFLICT',
    `The ${runs(experiment)} on ${before.key}, and this would move vehicles between its arms. Complete or cancel it first, ${otherwise}.`,
    {
      field: waited ? 'id' : 'force',
      currentRevision: before.revision,
    },
  );
}

/** Notes a change with the experiment that it disturbs. */
export async function noteDisturbance(
  tx: Transaction,
  experiment: RunningExperiment,
  action: AuditAction,
  userId: string | null,
): Promise<void> {
  await tx.experimentDisturbance.create({ data: { experimentId: experiment.id, action, userId } });
}
