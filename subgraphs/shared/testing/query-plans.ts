/** PostgreSQL's plans for the statements of tests. */
import type { Client } from 'pg';
import type { WatchedDatabase } from './watched-database.ts';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
}

/** The part of a plan that tests check. */
export interface QueryPlan {
  /** The indexes used, by their names in the schema. */
  readonly indexes: string[];
  readonly scansAll: boolean;
}

const nodesOf = (plan: PlanNode): PlanNode[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

/**
 * Gives the plan of each statement on `table` that `run` sends through `watched`, exactly as it was sent; `client`
 * explains it.
 */
export async function plansOf(
  watched: WatchedDatabase,
  client: Client,
  table: string,
  run: () => Promise<unknown>,
): Promise<QueryPlan[]> {
  const from = watched.statements.length;
  await run();
  // A partition's index has a name of its own.
  const partitions = await client.query<{ child: string; parent: string }>(
    'SELECT inhrelid::regclass::text AS child, inhparent::regclass::text AS parent FROM pg_inherits',
  );
  const parents = new Map(partitions.rows.map(({ child, parent }) => [child, parent]));
  const plans = [];
  for (const { query, params } of watched.statements.slice(from)) {
    if (!new RegExp(`FROM ("public"\\.)?"?${table}\\b`).test(query)) continue;
    const explained = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      `EXPLAIN (FORMAT JSON) ${query}`,
      params,
    );
    const nodes = nodesOf(explained.rows[0]!['QUERY PLAN'][0].Plan);
    plans.push({
      indexes: [
        ...new Set(
          nodes.flatMap((node) =>
            node['Index Name'] === undefined ? [] : [parents.get(node['Index Name']) ?? node['Index Name']],
          ),
        ),
      ],
      scansAll: nodes.some(
        (node) =>
          node['Node Type'] === 'Seq Scan' &&
          (parents.get(node['Relation Name'] ?? '') ?? node['Relation Name']) === table,
      ),
    });
  }
  return plans;
}

/**
 * Runs a statement and takes back what it has written. Gives the number of rows that the nodes of its plan have read,
 * over all their loops: unlike its time it does not depend on the machine.
 */
export async function rowsRead(
  client: Client,
  { query, params }: { readonly query: string; readonly params: unknown[] },
): Promise<number> {
  await client.query('BEGIN');
  try {
    const explained = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${query}`,
      params,
    );
    return nodesOf(explained.rows[0]!['QUERY PLAN'][0].Plan).reduce(
      (sum, node) =>
        sum +
        (node['Actual Loops'] ?? 0) *
          ((node['Actual Rows'] ?? 0) +
            (node['Rows Removed by Filter'] ?? 0) +
            (node['Rows Removed by Join Filter'] ?? 0)),
      0,
    );
  } finally {
    await client.query('ROLLBACK');
  }
}
