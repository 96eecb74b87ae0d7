/**
 * The one way to read the rows of a statement in SQL. Neither TypeScript nor Prisma knows what such a statement gives,
 * so each reader says which columns it expects, and a row that differs (a renamed column, a BIGINT that became an
 * INTEGER) is an error here, not a wrong value further on.
 */
import { readRows, type Shape, type Shaped } from '../../../core/json/shape.ts';
import type { Prisma } from '../../../prisma/generated/client.ts';

/** A client or a transaction. */
interface RawReader {
  $queryRaw(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): PromiseLike<unknown>;
}

/** A statement, as a template literal or as `Prisma.sql` makes it. */
type Statement<Row> = (query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) => Promise<Row[]>;

/**
 * Makes the tag of a template literal that runs it as a statement and gives its rows.
 *
 * @param columns a guard for each column that is read; BIGINT is `is.bigint`, INTEGER and FLOAT8 are `is.number`
 * @throws Error where a row does not fit
 */
export function rowsOf<const S extends Shape>(db: RawReader, columns: S): Statement<Shaped<S>> {
  return async (query, ...values) => {
    // oxlint-disable-next-line fleetflag/guarded-rows -- the one place that runs such a statement, and reads its rows
    const rows = await db.$queryRaw(query, ...values);
    return readRows(columns, rows, 'A row of a statement');
  };
}

/** Makes the tag of a statement that locks rows or checks that they are there; gives how many it has found. */
export function rowCount(
  db: RawReader,
): (query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) => Promise<number> {
  const read = rowsOf(db, {});
  return async (query, ...values) => (await read(query, ...values)).length;
}
