/** Prisma arguments for one page of rows: one row more than the page holds, starting at its cursor. */
import type { Page } from '../../../core/wire/api/pagination.ts';

/** Gives the order in which to read a page of a list that shows its newest items first. */
export function newestFirst({ backwards }: Page) {
  const direction = backwards ? 'asc' : 'desc';
  return [{ createdAt: direction }, { id: direction }] as const satisfies object[];
}

/** Gives the `take`, `cursor` and `skip` of a page. */
export function onwards({ cursor, limit }: Page) {
  return { ...(cursor !== null && { cursor: { id: cursor }, skip: 1 }), take: limit + 1 };
}
