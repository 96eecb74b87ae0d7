/** The table metric_definitions. Rows are mapped to domain types here. */
import type { Prisma } from '../../../prisma/generated/client.ts';
import { GUARD_DIRECTIONS } from '../../../core/rollouts/rollout-guard.ts';
import { oneOf, oneOfOrNull } from '../../shared/postgres/column-values.ts';
import type { Reader, Transaction } from '../../shared/postgres/transaction.ts';
import { METRIC_KINDS, type MetricDefinition } from './metric-definition.ts';

const readKind = oneOf('metric_definitions.kind', METRIC_KINDS);
const readBetter = oneOfOrNull('metric_definitions.better', GUARD_DIRECTIONS);

function toDefinition(row: Prisma.MetricDefinitionGetPayload<object>): MetricDefinition {
  const { key, unit, minimum, maximum, cap } = row;
  return {
    key,
    kind: readKind(row.kind),
    unit,
    minimum,
    maximum,
    better: readBetter(row.better),
    cap,
    window: row.windowMs === null ? null : Number(row.windowMs),
  };
}

/** Finds the definition of a metric; null where it is not declared. */
export async function findDefinition(db: Reader, key: string): Promise<MetricDefinition | null> {
  const row = await db.metricDefinition.findUnique({ where: { key } });
  return row === null ? null : toDefinition(row);
}

/** Finds all definitions, by key. */
export async function findDefinitions(db: Reader): Promise<MetricDefinition[]> {
  return (await db.metricDefinition.findMany({ orderBy: { key: 'asc' } })).map(toDefinition);
}

/** Counts the definitions. */
export function countDefinitions(db: Reader): Promise<number> {
  return db.metricDefinition.count();
}

/** Writes a definition in the place of the one with its key, if there is one. */
export async function saveDefinition(
  tx: Transaction,
  { window, ...columns }: MetricDefinition,
): Promise<MetricDefinition> {
  const data = { ...columns, windowMs: window };
  return toDefinition(await tx.metricDefinition.upsert({ where: { key: columns.key }, create: data, update: data }));
}
