/**
 * Statements that PostgreSQL keeps prepared on each connection, so that it parses and plans them once and not each time.
 * Only those that are sent often and whose text never changes are worth it: each takes memory on each connection.
 */
import { Prisma } from '../../../prisma/generated/client.ts';

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
