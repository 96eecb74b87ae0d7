/**
 * Cursor paging as all connections of the API do it: the `first` items after the item that a cursor names, or the
 * `last` before it. Source: the GraphQL Cursor Connections specification (Relay).
 */
import { badInput } from '../../../core/errors.ts';
import { DEFAULT_PAGE, MAX_PAGE } from '../../../core/wire/pages.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface Page {
  readonly limit: number;
  /** What names the item that the page is after, or before; null for the list's own end. */
  readonly cursor: string | null;
  /** Whether the page is the last items before the cursor, and not the first after it. */
  readonly backwards: boolean;
}

/** Of a connection field, as a client gives them. */
export interface PageArguments {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

export interface Connection<T> {
  readonly edges: readonly { readonly cursor: string; readonly node: T }[];
  readonly nodes: readonly T[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  /** Counting can cost more than the page itself: as a function it is called only when the field is asked for. */
  readonly totalCount: number | (() => Promise<number>);
}

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

const toCursor = (id: string) => Buffer.from(id).toString('base64url');

const isGiven = (value: unknown) => value !== null && value !== undefined;

/**
 * Reads the arguments of a connection field.
 *
 * @param isName whether a text is what this list's cursors name items by
 * @throws BAD_USER_INPUT for a page size outside 1 to 100, a cursor that is none of this list, and arguments of both
 *   ways
 */
export function readPage(args: PageArguments, isName: (text: string) => boolean = isUuid): Page {
  const { first, after, last, before } = args;
  if (isGiven(first) && isGiven(last))
    throw badInput('last', 'A page is the first items or the last, so it takes first or last, not both.');
  const backwards = isGiven(last) || (isGiven(before) && !isGiven(first));
  const [size, cursor, sizeName, cursorName] = backwards
    ? ([last, before, 'last', 'before'] as const)
    : ([first, after, 'first', 'after'] as const);
  if (isGiven(backwards ? after : before))
    throw badInput(backwards ? 'after' : 'before', 'after goes with first, and before with last.');
  const limit = size ?? DEFAULT_PAGE;
  if (limit < 1 || limit > MAX_PAGE) throw badInput(sizeName, `${sizeName} is ${limit}; it takes 1 to ${MAX_PAGE}.`);
  if (cursor === null || cursor === undefined) return { limit, cursor: null, backwards };
  const name = Buffer.from(cursor, 'base64url').toString();
  if (!isName(name)) throw badInput(cursorName, `${cursorName} is not a cursor of this list.`);
  return { limit, cursor: name, backwards };
}

/** The first items of a list. */
export function firstPage(limit: number): Page {
  return { limit, cursor: null, backwards: false };
}

/**
 * A page of rows that were read from its cursor onwards, one more than it holds, in the order of the list; and whether
 * there are more that way.
 */
export function pageOf<T>(rows: readonly T[], { limit, backwards }: Page): { items: T[]; more: boolean } {
  const items = rows.slice(0, limit);
  return { items: backwards ? items.reverse() : items, more: rows.length > limit };
}

/**
 * A page as the API shows it.
 *
 * @param more whether there are items beyond these, the way that the page goes
 * @param totalCount of all pages
 */
export function connectionOf<T extends { id: string }>(
  nodes: readonly T[],
  page: Page,
  more: boolean,
  totalCount: Connection<T>['totalCount'],
): Connection<T> {
  return connectionBy(nodes, ({ id }) => id, page, more, totalCount);
}

/** As connectionOf, of items that have no id but something else that names them and that they are ordered by. */
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
      // The item that a cursor names lies on the page's other side.
      hasNextPage: page.backwards ? page.cursor !== null : more,
      hasPreviousPage: page.backwards ? more : page.cursor !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount,
  };
}
