/**
 * What is declared of a guard's metric: a read-only view of the experiments subgraph's table.
 * docs/decisions/reading-another-subgraphs-table.md says why this is a view and not a call.
 */
import { badInput } from '../../../core/errors.ts';
import type { RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { Flag } from '../flags/flag.ts';

/**
 * Refuses a guard whose limit no test could find crossed, and one of an ASIL flag whose metric nobody has declared: its
 * range would be guessed from the data.
 *
 * @throws BAD_USER_INPUT at `guard.metric` or `guard.bound`
 */
export async function checkDeclared(tx: Transaction, { key, safetyLevel }: Flag, guard: RolloutGuard): Promise<void> {
  const { metric, worse, bound } = guard;
  const declared = await tx.metricDefinition.findUnique({
    where: { key: metric },
    select: { minimum: true, maximum: true },
  });
  if (declared === null && safetyLevel.startsWith('ASIL'))
    throw badInput(
      'guard.metric',
      `${metric} is not declared, and ${key} is ${safetyLevel}: declare the metric with defineMetric first.`,
    );
  if (bound === null) return;
  if (worse === 'lower' && (declared?.maximum ?? null) === null)
    throw badInput(
      'guard.bound',
      `A lower bound needs a metric with a maximum: declare the maximum of ${metric} with defineMetric first.`,
    );
  // Of a metric that nobody declared the minimum is taken to be 0.
  if (worse === 'higher' && declared !== null && declared.minimum === null)
    throw badInput(
      'guard.bound',
      `An upper bound needs a metric with a minimum: declare the minimum of ${metric} with defineMetric first.`,
    );
}
