/**
 * The orders of a list of flags, and the cursors in them. A cursor holds the value by which the list is ordered: when a
 * flag is renamed or changed meanwhile, it moves in the list, and the pages after the cursor stay where they were.
 */
import { Prisma } from '../../../../prisma/generated/client.ts';
import { isUuid, type Page } from '../../../../core/wire/api/pagination.ts';
import type { FlagOrder } from '../../generated/resolvers.ts';

/** A field by which flags can be ordered. */
export type FlagOrderField = 'created_at' | 'updated_at' | 'key' | 'name';

/** Ascending or descending. */
export type OrderDirection = 'asc' | 'desc';

/** The default order. */
export const NEWEST_FIRST: FlagOrder = { field: 'created_at', direction: 'desc' };

/** A column's value as text in a cursor, and the value of such a text; null for a text that is no such value. */
interface Column {
  readonly text: Prisma.Sql;
  valueOf(text: string): Prisma.Sql | null;
}

const asIs = (column: Prisma.Sql): Column => ({
  text: column,
  valueOf: (text) => (text.includes('\0') ? null : Prisma.sql`${text}`),
});

const COLUMNS: Readonly<Record<Exclude<FlagOrderField, 'created_at'>, Column>> = {
  updated_at: {
    // In microseconds, a precision that Date lacks.
    text: Prisma.sql`(extract(epoch FROM updated_at) * 1000000)::bigint::text`,
    valueOf: (text) =>
      /^\d{1,16}$/.test(text) ? Prisma.sql`timestamptz 'epoch' + ${text}::bigint * interval '1 microsecond'` : null,
  },
  key: asIs(Prisma.sql`key`),
  name: asIs(Prisma.sql`name`),
};

/** The parts of a cursor's text: the field, the flag's id, the value. */
const PLACE = /^(updated_at|key|name):([0-9a-f-]{36}):(.*)$/su;

function readPlace({ field }: FlagOrder, cursor: string): Prisma.Sql | null {
  // A flag's creation time never changes, so its id suffices.
  if (field === 'created_at')
    return isUuid(cursor) ? Prisma.sql`(SELECT created_at, id FROM flags WHERE id = ${cursor}::uuid)` : null;
  const [, of, id = '', text = ''] = PLACE.exec(cursor) ?? [];
  const value = of === field && isUuid(id) ? COLUMNS[field].valueOf(text) : null;
  return value && Prisma.sql`(${value}, ${id}::uuid)`;
}

/** Gives the flag's id and the time, in microseconds since 1970, of a cursor of a list by `updated_at`. */
export function readTimePlace(cursor: string): { readonly id: string; readonly us: number } | null {
  const [, of, id = '', text = ''] = PLACE.exec(cursor) ?? [];
  return of === 'updated_at' ? { id, us: Number(text) } : null;
}

/** Checks whether a text can be a cursor of a list in this order. */
export function isPlace(order: FlagOrder, cursor: string): boolean {
  return readPlace(order, cursor) !== null;
}

/** Gives the name by which cursors refer to a flag, as a column of `flags`. */
export function placeColumn({ field }: FlagOrder): Prisma.Sql {
  return field === 'created_at'
    ? Prisma.sql`id::text`
    : Prisma.sql`${Prisma.raw(`'${field}:'`)} || id || ':' || ${COLUMNS[field].text}`;
}

/** Gives the SQL after a page's conditions: the rows beyond its cursor, in the order in which the page is read. */
export function beyond({ field, direction }: FlagOrder, { cursor, backwards }: Page): Prisma.Sql {
  const rising = (direction === 'asc') !== backwards;
  const column = Prisma.raw(field);
  const place = cursor === null ? null : readPlace({ field, direction }, cursor);
  const condition =
    place === null ? Prisma.empty : Prisma.sql`AND (${column}, id) ${Prisma.raw(rising ? '>' : '<')} ${place}`;
  const way = Prisma.raw(rising ? 'ASC' : 'DESC');
  return Prisma.sql`${condition} ORDER BY ${column} ${way}, id ${way}`;
}
