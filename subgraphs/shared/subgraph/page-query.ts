/** What Prisma is asked for a page of rows, one more than it holds, from its cursor onwards. */
import type { Page } from './pagination.ts';

/** The order in which a page of a list that is newest first is read. */
export function newestFirst({ backwards }: Page) {
  const way = backwards ? 'asc' : 'desc';
  return [{ createdAt: way }, { id: way }] as const satisfies object[];
}

export function onwards({ cursor, limit }: Page) {
  return { ...(cursor !== null && { cursor: { id: cursor }, skip: 1 }), take: limit + 1 };
}
