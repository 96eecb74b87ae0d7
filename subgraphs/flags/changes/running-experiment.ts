/**
 * Protects a flag's running experiment from changes of the flag. A change that moves vehicles between its arms is
 * refused unless it is forced, and then recorded with the experiment. A change that only stops a feature, or lets it
 * continue, is never refused, only recorded. Reads the experiments subgraph's table
 * (docs/decisions/reading-another-subgraphs-table.md). Callers hold the flag's lock, which starting an experiment
 * takes, too.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { isKilled } from '../../../core/evaluation/evaluate.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { picksArm } from '../../../core/evaluation/rules/rule-variant.ts';
import type { AuditAction } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { ruleContent, type Flag } from '../flags/flag.ts';

/** The experiment that a change may disturb. */
export interface RunningExperiment {
  readonly id: string;
  readonly name: string;
}

/**
 * Gives the parts of a flag that decide which vehicles are in an arm, and what the treatment is, as a comparable text.
 */
function split({ environment, archivedAt, rules }: Flag): string {
  const rollouts = rules.filter(({ type, enabled }) => type === 'percentage_rollout' && enabled).map(ruleContent);
  const picking = rules.filter(picksArm).map(ruleContent);
  // Compared as text: conditions from a client's document are objects without a prototype, which must not count as a
  // difference.
  return canonicalJson({ environment, archived: archivedAt !== null, rollouts, picking });
}

/** Checks whether the rules have no effect at all. */
function stopped({ enabled, rules }: Flag) {
  return !enabled || isKilled(rules);
}

/** Finds the flag's running experiment, or null. */
export async function findRunningExperiment(tx: Transaction, flagId: string): Promise<RunningExperiment | null> {
  return tx.experiment.findFirst({ where: { flagId, status: 'running' }, select: { id: true, name: true } });
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

/**
 * Gives the running experiment that changing `before` to `edited` disturbs, or null.
 *
 * @param force whether the caller accepts the disturbance
 * @param waited whether the change has waited for approval, which is too late to force it
 * @throws CONFLICT at `force`, or at `id` of the request that has waited, for an unforced change of the split
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

/** Records a change with the experiment that it disturbs. */
export async function noteDisturbance(
  tx: Transaction,
  experiment: RunningExperiment,
  action: AuditAction,
  userId: string | null,
): Promise<void> {
  await tx.experimentDisturbance.create({ data: { experimentId: experiment.id, action, userId } });
}
