/**
 * Reports on PostgreSQL's health for operators (database.md, section 5): four queries of its catalogue and statistics.
 */
import { errorMessage } from '../../../core/caught-error.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

/** An index with its scans and size. */
export interface IndexUsage {
  readonly table: string;
  readonly index: string;
  readonly scans: number;
  readonly sizeBytes: number;
}

/** Indexes of which one suffices. */
export interface DuplicateIndexes {
  readonly table: string;
  readonly indexes: readonly string[];
  readonly sizeBytes: number;
}

/** A statement with its times. */
export interface SlowQuery {
  readonly query: string;
  readonly calls: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly totalMs: number;
}

/** The size of a table. */
export interface TableSize {
  readonly table: string;
  readonly totalBytes: number;
  readonly tableBytes: number;
  readonly indexBytes: number;
}

/** The whole report. */
export interface DatabaseHealth {
  readonly unusedIndexes: readonly IndexUsage[];
  readonly duplicateIndexes: readonly DuplicateIndexes[];
  readonly slowQueries: readonly SlowQuery[];
  readonly tableSizes: readonly TableSize[];
  /** Reports that are missing, and why. */
  readonly notes: readonly string[];
}

type Db = Pick<PrismaClient, '$queryRaw'>;

const SLOW_QUERIES = 20;

/**
 * The most characters of a statement that are shown: one with a thousand parameters says no more than its beginning.
 */
const MAX_QUERY = 1_000;

/**
 * Finds indexes that no scan has used; the scans of a partitioned table's index include those of its partitions.
 * Indexes of primary keys and unique constraints are left out, because they also work without scans.
 */
function unusedIndexes(db: Db): Promise<IndexUsage[]> {
  return rowsOf(db, { table: is.string, index: is.string, scans: is.number, sizeBytes: is.number })`
    SELECT top_table.relname AS table, top.relname AS index, sum(COALESCE(usage.idx_scan, 0))::float8 AS scans, sum(pg_relation_size(part.indexrelid))::float8 AS "sizeBytes"
    FROM pg_index part
    JOIN pg_class top ON top.oid = COALESCE(pg_partition_root(part.indexrelid), part.indexrelid)
    JOIN pg_index top_index ON top_index.indexrelid = top.oid
    JOIN pg_class top_table ON top_table.oid = top_index.indrelid
    LEFT JOIN pg_stat_user_indexes usage ON usage.indexrelid = part.indexrelid
    WHERE top.relnamespace = current_schema()::regnamespace AND NOT top_index.indisunique
    GROUP BY top_table.relname, top.relname
    HAVING sum(COALESCE(usage.idx_scan, 0)) = 0
    ORDER BY "sizeBytes" DESC, index`;
}

/**
 * Finds indexes with the same table, method, columns, operator classes, collations, order, expressions and predicate.
 * Whether they are unique makes no difference: beside a unique index, a plain one is waste. A partition is reported
 * only for indexes that its parent does not have.
 */
function duplicateIndexes(db: Db): Promise<DuplicateIndexes[]> {
  return rowsOf(db, { table: is.string, indexes: is.listOf(is.string), sizeBytes: is.number })`
    SELECT relation.relname AS table, array_agg(class.relname::text ORDER BY class.relname) AS indexes,
           sum(COALESCE((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(index.indexrelid)), pg_relation_size(index.indexrelid)))::float8 AS "sizeBytes"
    FROM pg_index index
    JOIN pg_class class ON class.oid = index.indexrelid
    JOIN pg_class relation ON relation.oid = index.indrelid
    WHERE relation.relnamespace = current_schema()::regnamespace
    GROUP BY relation.oid, relation.relname, class.relam, index.indnkeyatts, index.indkey::text, index.indclass::text, index.indcollation::text, index.indoption::text,
             COALESCE(pg_get_expr(index.indexprs, index.indrelid), ''), COALESCE(pg_get_expr(index.indpred, index.indrelid), '')
    HAVING count(*) > 1 AND NOT bool_and(class.relispartition)
    ORDER BY "sizeBytes" DESC, relation.relname, indexes`;
}

/** Gives the sizes of tables with their indexes and TOAST. Partitions are summed under their table. */
function tableSizes(db: Db): Promise<TableSize[]> {
  return rowsOf(db, { table: is.string, totalBytes: is.number, tableBytes: is.number, indexBytes: is.number })`
    SELECT top.relname AS table, sum(pg_total_relation_size(part.oid))::float8 AS "totalBytes",
           sum(pg_table_size(part.oid))::float8 AS "tableBytes", sum(pg_indexes_size(part.oid))::float8 AS "indexBytes"
    FROM pg_class part JOIN pg_class top ON top.oid = COALESCE(pg_partition_root(part.oid), part.oid)
    WHERE part.relkind IN ('r', 'p') AND top.relnamespace = current_schema()::regnamespace
    GROUP BY top.oid, top.relname
    ORDER BY "totalBytes" DESC, top.relname`;
}

/**
 * Finds the statements of this database with the longest mean time. Their texts contain no parameter values. Commands
 * other than queries are left out, because their texts are stored as written, passwords included.
 */
async function slowQueries(db: Db): Promise<SlowQuery[]> {
  return rowsOf(db, { query: is.string, calls: is.number, meanMs: is.number, maxMs: is.number, totalMs: is.number })`
    SELECT left(query, ${MAX_QUERY}::int) AS query, calls::float8 AS calls, mean_exec_time AS "meanMs", max_exec_time AS "maxMs", total_exec_time AS "totalMs"
    FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND query ~* '^\\s*(/\\*.*?\\*/\\s*)*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\\M'
    ORDER BY mean_exec_time DESC, query
    LIMIT ${SLOW_QUERIES}`;
}

/** Gives the slow queries, or a note on why they cannot be read. */
async function slowQueriesOrWhy(db: Db): Promise<{ slowQueries: SlowQuery[]; notes: string[] }> {
  const [found] = await rowsOf(db, { installed: is.boolean, readable: is.boolean, all: is.boolean })`
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS installed,
           COALESCE(has_table_privilege(to_regclass('pg_stat_statements'), 'SELECT'), false) AS readable,
           pg_has_role('pg_read_all_stats', 'USAGE') AS all`;
  const unknown = (why: string) => ({ slowQueries: [], notes: [`Slow queries cannot be read: ${why}.`] });
  if (found?.installed !== true)
    return unknown('the extension pg_stat_statements is not installed in this database (docs/operations/audit.md)');
  if (!found.readable) return unknown('the database account of FleetFlag may not read pg_stat_statements');
  try {
    const notes = found.all
      ? []
      : ["Slow queries of other database accounts cannot be read: grant pg_read_all_stats to FleetFlag's account."];
    return { slowQueries: await slowQueries(db), notes };
  } catch (error) {
    if (!/shared_preload_libraries/.test(errorMessage(error))) throw error;
    return unknown('the server was started without pg_stat_statements in shared_preload_libraries');
  }
}

/**
 * Reads all four reports. A report that the server does not permit is left out with a note; only an unreachable server
 * is an error.
 */
export async function readDatabaseHealth(db: Db): Promise<DatabaseHealth> {
  return {
    unusedIndexes: await unusedIndexes(db),
    duplicateIndexes: await duplicateIndexes(db),
    tableSizes: await tableSizes(db),
    ...(await slowQueriesOrWhy(db)),
  };
}
