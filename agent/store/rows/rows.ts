import type { Database, SqlValue } from 'sql.js';

/** A row, by the names of its columns. */
export type StoredRow = Readonly<Record<string, SqlValue | undefined>>;

/** Gives all rows of a query. */
export function rows(database: Database, sql: string): StoredRow[] {
  const statement = database.prepare(sql);
  try {
    const found: StoredRow[] = [];
    while (statement.step()) found.push(statement.getAsObject());
    return found;
  } finally {
    statement.free();
  }
}
