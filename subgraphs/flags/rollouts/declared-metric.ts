/**
 * The declaration of a guard's metric, read from the experiments subgraph's table.
 * docs/decisions/data/reading-another-subgraphs-table.md says why this is a statement and not a call.
 */
import { badInput } from '../../../core/errors.ts';
import type { MetricGuard, RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';
import type { Obstacle } from './rollout-obstacle.ts';
import type { Rollout } from './rollout.ts';

const isAsil = ({ safetyLevel }: Pick<Flag, 'safetyLevel'>) => safetyLevel.startsWith('ASIL');

/**
 * Gives the reason why a guarded rollout cannot continue with its flag in this state: nobody has declared the metric,
 * and the flag has become ASIL since it was scheduled. Null: it can continue.
 */
export async function guardObstacle(tx: Transaction, flag: Flag, { guard }: Rollout): Promise<Obstacle | null> {
  if (guard === null || !isAsil(flag)) return null;
  if ((await tx.metricDefinition.count({ where: { key: guard.metric } })) > 0) return null;
  const reason = `flag raised to ${flag.safetyLevel}: the guard's metric ${guard.metric} must be declared first`;
  return { status: 'paused', reason };
}

/** The range that is declared of a metric. */
interface DeclaredRange {
  readonly minimum: number | null;
  readonly maximum: number | null;
}

/** Gives the declared range of a metric; null where nobody has declared the metric. */
export function findDeclared(tx: Transaction, metric: string): Promise<DeclaredRange | null> {
  return tx.metricDefinition.findUnique({ where: { key: metric }, select: { minimum: true, maximum: true } });
}

/** Gives the reason why no test could find a guard's bound crossed; null where one could. */
export function boundFault(declared: DeclaredRange | null, { metric, worse, bound }: MetricGuard): string | null {
  if (bound === null) return null;
  if (worse === 'lower' && (declared?.maximum ?? null) === null)
    return `A lower bound needs a metric with a maximum: declare the maximum of ${metric} with defineMetric first.`;
  // A metric that nobody declared is taken to have the minimum 0.
  if (worse === 'higher' && declared !== null && declared.minimum === null)
    return `An upper bound needs a metric with a minimum: declare the minimum of ${metric} with defineMetric first.`;
  return null;
}

/**
 * Refuses a guard whose limit no test could find crossed, and one of an ASIL flag whose metric nobody has declared: its
 * range would be guessed from the data.
 *
 * @throws BAD_USER_INPUT at `guard.metric` or `guard.bound`
 */
export async function checkDeclared(tx: Transaction, flag: Flag, guard: RolloutGuard): Promise<void> {
  const { metric } = guard;
  const declared = await findDeclared(tx, metric);
  if (declared === null && isAsil(flag))
    throw badInput(
      'guard.metric',
      `${metric} is not declared, and ${flag.key} is ${flag.safetyLevel}: declare the metric with defineMetric first.`,
    );
  const fault = boundFault(declared, guard);
  if (fault !== null) throw badInput('guard.bound', fault);
}
