/**
 * Cursor paging as all connections of the API do it: `first` items after the item that the cursor names.
 * Source: the GraphQL Cursor Connections specification (Relay).
 */
import { badInput } from '../../core/errors.ts';

const MAX_PAGE = 100;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface Page {
  readonly first: number;
  /** What names the item that the page begins after. */
  readonly after: string | null;
}

export interface Connection<T> {
  readonly edges: readonly { readonly cursor: string; readonly node: T }[];
  readonly nodes: readonly T[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly hasPreviousPage: boolean; readonly startCursor: string | null; readonly endCursor: string | null };
  /** Counting can cost more than the page itself: as a function it is called only when the field is asked for. */
  readonly totalCount: number | (() => Promise<number>);
}

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

const toCursor = (id: string) => Buffer.from(id).toString('base64url');

/**
 * Reads the arguments of a connection field.
 *
 * @param isName whether a text is what this list's cursors name items by
 * @throws BAD_USER_INPUT for a page size outside 1 to 100 or a cursor that is none of this list
 */
export function readPage(args: { first?: number | null; after?: string | null }, isName: (text: string) => boolean = isUuid): Page {
  const first = args.first ?? 20;
  if (first < 1 || first > MAX_PAGE) throw badInput('first', `first is ${first}; it takes 1 to ${MAX_PAGE}.`);
  if (args.after === null || args.after === undefined) return { first, after: null };
  const after = Buffer.from(args.after, 'base64url').toString();
  if (!isName(after)) throw badInput('after', 'after is not a cursor of this list.');
  return { first, after };
}

/**
 * A page as the API shows it.
 *
 * @param more whether there are items after these
 * @param totalCount of all pages
 */
export function connectionOf<T extends { id: string }>(nodes: readonly T[], page: Page, more: boolean, totalCount: Connection<T>['totalCount']): Connection<T> {
  return connectionBy(nodes, ({ id }) => id, page, more, totalCount);
}

/** As connectionOf, of items that have no id but something else that names them and that they are ordered by. */
export function connectionBy<T>(nodes: readonly T[], nameOf: (node: T) => string, page: Page, more: boolean, totalCount: Connection<T>['totalCount']): Connection<T> {
  const edges = nodes.map((node) => ({ cursor: toCursor(nameOf(node)), node }));
  return {
    edges,
    nodes,
    pageInfo: {
      hasNextPage: more,
      hasPreviousPage: page.after !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount,
  };
}
