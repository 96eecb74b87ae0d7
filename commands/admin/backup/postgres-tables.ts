/** The tables of a database, in the order in which a restore must fill them. */
import type { Client } from 'pg';
import { is, readRows } from '../../../core/json/shape.ts';

/** A table whose rows are copied. Partitions are left out, because their rows are read from the partitioned table. */
export interface StoredTable {
  readonly name: string;
  /** The names of its columns, without generated ones, which PostgreSQL computes again. */
  readonly columns: readonly string[];
}

/** Prisma's own table. A restore fills it by applying the same migrations. */
const MIGRATIONS = '_prisma_migrations';

const TABLES = `
  SELECT c.relname AS name,
         ARRAY(SELECT a.attname::text FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
               ORDER BY a.attnum) AS columns
  FROM pg_class c
  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  ORDER BY c.relname`;

const REFERENCES = `
  SELECT source.relname AS "from", target.relname AS "to"
  FROM pg_constraint k
  JOIN pg_class source ON source.oid = k.conrelid
  JOIN pg_class target ON target.oid = k.confrelid
  WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace AND k.conrelid <> k.confrelid`;

/**
 * Gives the tables, each after all that it refers to.
 *
 * @throws Error where tables refer to each other in a circle
 */
export async function tablesInOrder(client: Client): Promise<StoredTable[]> {
  const { rows } = await client.query(TABLES);
  const tables = readRows({ name: is.string, columns: is.listOf(is.string) }, rows, 'A table of the catalogue').filter(
    ({ name }) => name !== MIGRATIONS,
  );
  const references = readRows(
    { from: is.string, to: is.string },
    (await client.query(REFERENCES)).rows,
    'A foreign key of the catalogue',
  );
  return inOrder(tables, references);
}

function inOrder(
  tables: readonly StoredTable[],
  references: readonly { readonly from: string; readonly to: string }[],
): StoredTable[] {
  const ordered: StoredTable[] = [];
  let left = [...tables];
  while (left.length > 0) {
    const waiting = new Set(left.map(({ name }) => name));
    const ready = left.filter(({ name }) => !references.some(({ from, to }) => from === name && waiting.has(to)));
    if (ready.length === 0)
      throw new Error(`These tables refer to each other in a circle: ${[...waiting].join(', ')}.`);
    ordered.push(...ready);
    left = left.filter((table) => !ready.includes(table));
  }
  return ordered;
}

/** Puts a name of the catalogue into a statement. */
export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
