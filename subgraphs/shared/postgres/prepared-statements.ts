/**
 * Statements that PostgreSQL keeps prepared on each connection, so that it parses and plans them once and not each
 * time. Only those that are sent often and whose text never changes are worth it: each takes memory on each connection.
 */
import type { Pool } from 'pg';
import { readRows, type Shape, type Shaped } from '../../../core/json/shape.ts';
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import type { ObserveStatement } from './serial-transactions.ts';
import type { Reader } from './transaction.ts';

const MARK = /^\/\* prepared as (\w+) \*\//;

/**
 * Gives the mark with which a statement begins that is to be prepared. `name` belongs to one text alone; the driver
 * refuses a second one.
 */
export function prepared(name: string): Prisma.Sql {
  return Prisma.raw(`/* prepared as ${name} */`);
}

/** Gives the name under which the driver prepares a statement; empty for one without a mark. */
export function statementName({ sql }: { readonly sql: string }): string {
  return MARK.exec(sql)?.[1] ?? '';
}

/** The pools behind clients, once those are connected. */
const pools = new WeakMap<Reader, { readonly pool: () => Pool | null; readonly observe: ObserveStatement }>();

/** Lets `readPrepared` use the connections of a client. */
export function servePrepared(client: PrismaClient, pool: () => Pool | null, observe: ObserveStatement): void {
  pools.set(client, { pool, observe });
}

/**
 * Reads rows by a prepared statement on one of the client's connections, past Prisma, which takes as long for a small
 * statement as the driver and the server together. In a transaction, and before the client is connected, it goes
 * through Prisma.
 *
 * @param columns a guard for each column, as for `rowsOf` (rows.ts)
 * @param name belongs to this text alone
 * @param text with `$1` for the first of `values`; its columns are of types that both ways give as the same: text,
 *   boolean, integer and double precision
 */
export async function readPrepared<const S extends Shape>(
  db: Reader,
  columns: S,
  name: string,
  text: string,
  values: readonly unknown[],
): Promise<Shaped<S>[]> {
  const marked = `/* prepared as ${name} */ ${text}`;
  const served = pools.get(db);
  const pool = served?.pool();
  const rows =
    served === undefined || pool == null
      ? // oxlint-disable-next-line fleetflag/guarded-rows -- the rows are read below
        await db.$queryRawUnsafe(marked, ...values)
      : (await served.observe(marked, () => pool.query({ name, text: marked, values: [...values] }))).rows;
  return readRows(columns, rows, `A row of ${name}`);
}
