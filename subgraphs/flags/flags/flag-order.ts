/**
 * The orders of a list of flags, and where in one of them a page ends. A cursor holds the value that the list is
 * ordered by: a flag that is renamed or changed meanwhile moves in the list, and the pages after the cursor stay where
 * they were.
 */
import { Prisma } from '../../../prisma/generated/client.ts';
import { isUuid, type Page } from '../../shared/subgraph/pagination.ts';
import type { FlagOrder } from '../generated/resolvers.ts';

export type FlagOrderField = 'created_at' | 'updated_at' | 'key' | 'name';

export type OrderDirection = 'asc' | 'desc';

export const NEWEST_FIRST: FlagOrder = { field: 'created_at', direction: 'desc' };

/** The text of a column's value in a cursor, and the value of a text; what is null is no such text. */
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
    // To the microsecond, which a Date does not have.
    text: Prisma.sql`(extract(epoch FROM updated_at) * 1000000)::bigint::text`,
    valueOf: (text) =>
      /^\d{1,16}$/.test(text) ? Prisma.sql`timestamptz 'epoch' + ${text}::bigint * interval '1 microsecond'` : null,
  },
  key: asIs(Prisma.sql`key`),
  name: asIs(Prisma.sql`name`),
};

/** A cursor's text in its parts: the field, the flag's id, the value. */
const PLACE = /^(updated_at|key|name):([0-9a-f-]{36}):(.*)$/su;

function readPlace({ field }: FlagOrder, cursor: string): Prisma.Sql | null {
  // When a flag was created never changes, so its id says it.
  if (field === 'created_at')
    return isUuid(cursor) ? Prisma.sql`(SELECT created_at, id FROM flags WHERE id = ${cursor}::uuid)` : null;
  const [, of, id = '', text = ''] = PLACE.exec(cursor) ?? [];
  const value = of === field && isUuid(id) ? COLUMNS[field].valueOf(text) : null;
  return value && Prisma.sql`(${value}, ${id}::uuid)`;
}

/** Whether a text is what cursors of a list in this order name flags by. */
export function isPlace(order: FlagOrder, cursor: string): boolean {
  return readPlace(order, cursor) !== null;
}

/** What a cursor names a flag by, as a column of `flags`. */
export function placeColumn({ field }: FlagOrder): Prisma.Sql {
  return field === 'created_at'
    ? Prisma.sql`id::text`
    : Prisma.sql`${Prisma.raw(`'${field}:'`)} || id || ':' || ${COLUMNS[field].text}`;
}

/** What follows a page's conditions: those beyond its cursor, in the order in which the page is read. */
export function beyond({ field, direction }: FlagOrder, { cursor, backwards }: Page): Prisma.Sql {
  const rising = (direction === 'asc') !== backwards;
  const column = Prisma.raw(field);
  const place = cursor === null ? null : readPlace({ field, direction }, cursor);
  const condition =
    place === null ? Prisma.empty : Prisma.sql`AND (${column}, id) ${Prisma.raw(rising ? '>' : '<')} ${place}`;
  const way = Prisma.raw(rising ? 'ASC' : 'DESC');
  return Prisma.sql`${condition} ORDER BY ${column} ${way}, id ${way}`;
}
