/**
 * Cursor paging for all connections of the API: the `first` items after the item that a cursor names, or the `last`
 * before it. Source: the GraphQL Cursor Connections specification (Relay).
 */
import { badInput } from '../../errors.ts';
import { DEFAULT_PAGE, MAX_PAGE } from './pages.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A page of a list, as the arguments describe it. */
export interface Page {
  readonly limit: number;
  /** The name of the item that the page follows or precedes; null for the start or end of the list. */
  readonly cursor: string | null;
  /** Whether the page holds the last items before the cursor instead of the first after it. */
  readonly backwards: boolean;
}

/** The arguments of a connection field, as clients give them. */
export interface PageArguments {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

/** A page in the API's form. */
export interface Connection<T> {
  readonly edges: readonly { readonly cursor: string; readonly node: T }[];
  readonly nodes: readonly T[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  /**
   * The number of items in all pages. Counting can cost more than the page itself, so a function is called only when a
   * client selects the field.
   */
  readonly totalCount: number | (() => Promise<number>);
}

/** Checks whether a text is a UUID. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

const toCursor = (id: string) => Buffer.from(id).toString('base64url');

const isGiven = (value: unknown) => value !== null && value !== undefined;

/**
 * Reads the arguments of a connection field.
 *
 * @param isName checks whether a text can name an item in this list's cursors
 * @throws BAD_USER_INPUT for a page size outside 1 to 100, a cursor of another list, or arguments of both directions
 */
export function readPage(args: PageArguments, isName: (text: string) => boolean = isUuid): Page {
  const { first, after, last, before } = args;
  if (isGiven(first) && isGiven(last)) throw badInput('last', 'A page must have either first or last, not both.');
  const backwards = isGiven(last) || (isGiven(before) && !isGiven(first));
  const [size, cursor, sizeName, cursorName] = backwards
    ? ([last, before, 'last', 'before'] as const)
    : ([first, after, 'first', 'after'] as const);
  if (isGiven(backwards ? after : before))
    throw badInput(backwards ? 'after' : 'before', 'Use after only with first, and before only with last.');
  const limit = pageSize(size, sizeName);
  if (cursor === null || cursor === undefined) return { limit, cursor: null, backwards };
  const name = Buffer.from(cursor, 'base64url').toString();
  if (!isName(name)) throw badInput(cursorName, `${cursorName} is not a cursor of this list.`);
  return { limit, cursor: name, backwards };
}

/**
 * Gives the size of a page.
 *
 * @throws BAD_USER_INPUT at `name` for one outside 1 to 100
 */
function pageSize(size: number | null | undefined, name: string): number {
  const limit = size ?? DEFAULT_PAGE;
  if (limit < 1 || limit > MAX_PAGE) throw badInput(name, `${name} is ${limit}; it must be from 1 to ${MAX_PAGE}.`);
  return limit;
}

/**
 * Reads the arguments of a plain list with pages, in which the key of an item is its place; any text may be given.
 *
 * @throws BAD_USER_INPUT at `first` for a page size outside 1 to 100
 */
export function readKeyPage({ first, after }: Pick<PageArguments, 'first' | 'after'>): {
  readonly limit: number;
  readonly after: string | null;
} {
  return { limit: pageSize(first, 'first'), after: after ?? null };
}

/** Gives a page of a plain list: what follows the item with the key `after`, nothing where there is no such item. */
export function pageAfter<T>(
  items: readonly T[],
  page: Pick<PageArguments, 'first' | 'after'>,
  keyOf: (item: T) => string,
): T[] {
  const { limit, after } = readKeyPage(page);
  const place = after === null ? -1 : items.findIndex((item) => keyOf(item) === after);
  return after !== null && place === -1 ? [] : items.slice(place + 1, place + 1 + limit);
}

/** Gives the first page of a list, with `limit` items. */
export function firstPage(limit: number): Page {
  return { limit, cursor: null, backwards: false };
}

/**
 * Cuts a page from the rows read for it (one more than it holds, starting at its cursor). Gives the items in the order
 * of the list, and whether there are more in the direction of the page.
 */
export function pageOf<T>(rows: readonly T[], { limit, backwards }: Page): { items: T[]; more: boolean } {
  const items = rows.slice(0, limit);
  return { items: backwards ? items.reverse() : items, more: rows.length > limit };
}

/**
 * Gives a page in the API's form, with items that their ids name.
 *
 * @param more whether there are more items in the direction of the page
 * @param totalCount the number of items in all pages
 */
export function connectionOf<T extends { id: string }>(
  nodes: readonly T[],
  page: Page,
  more: boolean,
  totalCount: Connection<T>['totalCount'],
): Connection<T> {
  return connectionBy(nodes, ({ id }) => id, page, more, totalCount);
}

/**
 * Gives a page as `connectionOf` does, for items without an id. `nameOf` gives each item's name, by which the list is
 * ordered.
 */
export function connectionBy<T>(
  nodes: readonly T[],
  nameOf: (node: T) => string,
  page: Page,
  more: boolean,
  totalCount: Connection<T>['totalCount'],
): Connection<T> {
  const edges = nodes.map((node) => ({ cursor: toCursor(nameOf(node)), node }));
  return {
    edges,
    nodes,
    pageInfo: {
      // The item that the cursor names lies on the page's other side.
      hasNextPage: page.backwards ? page.cursor !== null : more,
      hasPreviousPage: page.backwards ? more : page.cursor !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount,
  };
}
