import type { Client } from 'pg';

/** The content of a database's schema `public`, without that of extensions, in the form of prisma/specification. */
export interface Catalogue {
  readonly tables: Record<string, CatalogueTable>;
  /** Signature → result type. */
  readonly functions: Record<string, string>;
  /** Partitions of audit_logs, by name. */
  readonly partitions: string[];
  /** Views, sequences, types and other objects that FleetFlag must not create. */
  readonly others: string[];
}

/** A table as the catalogue describes it. */
export interface CatalogueTable {
  columns: Record<string, string>;
  constraints: Record<string, string>;
  indexes: Record<string, string>;
  commented: string[];
  triggers: string[];
  comment: string | null;
}

const TABLES = `
  SELECT oid, relname AS name, obj_description(oid, 'pg_class') AS comment FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> '_prisma_migrations'`;

const COLUMNS = `
  SELECT attrelid AS oid, attname AS name, col_description(attrelid, attnum) AS comment,
         concat_ws(' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_get_expr(adbin, adrelid)) AS definition
  FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE attnum > 0 AND NOT attisdropped
  ORDER BY attrelid, attnum`;

const CONSTRAINTS = `SELECT conrelid AS oid, conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype <> 't'`;

const INDEXES = `
  SELECT indrelid AS oid, relname AS name, substring(pg_get_indexdef(indexrelid) FROM ' USING (.*)$') AS definition
  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
  WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))`;

const TRIGGERS = `SELECT tgrelid AS oid, tgname AS name FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname`;

/** Excludes rows of `catalogue` that belong to an extension. */
const NO_MEMBER = (catalogue: string) =>
  `NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = '${catalogue}'::regclass AND objid = ${catalogue}.oid AND deptype = 'e')`;

const FUNCTIONS = `
  SELECT proname || '(' || oidvectortypes(proargtypes) || ')' AS signature, pg_get_function_result(oid) AS result
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND ${NO_MEMBER('pg_proc')}`;

const PARTITIONS = `
  SELECT relname AS name FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relispartition AND relkind = 'r' ORDER BY relname`;

const OTHERS = `
  SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('r', 'p', 'i', 'I')
  UNION ALL
  SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0 AND ${NO_MEMBER('pg_type')}`;

/** Reads PostgreSQL's own catalogue. Prisma's table of migrations is left out. */
export async function readCatalogue(client: Client): Promise<Catalogue> {
  type Row = { oid: number; name: string; definition: string; comment: string | null };
  const read = async (sql: string) => (await client.query<Row>(sql)).rows;
  const tables = new Map<number, CatalogueTable>();
  const named: Record<string, CatalogueTable> = {};
  for (const { oid, name, comment } of await read(TABLES)) {
    const table = { columns: {}, constraints: {}, indexes: {}, commented: [], triggers: [], comment };
    tables.set(oid, table);
    named[name] = table;
  }
  for (const { oid, name, definition, comment } of await read(COLUMNS)) {
    const table = tables.get(oid);
    if (!table) continue;
    table.columns[name] = definition;
    if (comment) table.commented.push(name);
  }
  for (const row of await read(CONSTRAINTS)) put(tables.get(row.oid)?.constraints, row);
  for (const row of await read(INDEXES)) put(tables.get(row.oid)?.indexes, row);
  for (const { oid, name } of await read(TRIGGERS)) tables.get(oid)?.triggers.push(name);

  const functions = (await client.query<{ signature: string; result: string }>(FUNCTIONS)).rows;
  return {
    tables: named,
    functions: Object.fromEntries(functions.map(({ signature, result }) => [signature, result])),
    partitions: (await read(PARTITIONS)).map(({ name }) => name),
    others: (await read(OTHERS)).map(({ name }) => name),
  };
}

function put(
  target: Record<string, string> | undefined,
  { name, definition }: { name: string; definition: string },
): void {
  if (target) target[name] = definition;
}
