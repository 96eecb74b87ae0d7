/** Pages of a list: forward and back by cursors, with the place within the whole. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { isMembers, membersOf } from '../json.ts';
import { useWords } from '../words/language.ts';

/** The arguments of a connection that name one page. */
export interface PageArguments {
  readonly first?: number;
  readonly after?: string | null;
  readonly last?: number;
  readonly before?: string | null;
}

interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor?: string | null | undefined;
  readonly endCursor?: string | null | undefined;
}

/** The page of a list that is shown, and the function that turns to another. */
export interface Paging {
  readonly page: PageArguments;
  /** The number of items before the page, as far as the pages that were turned say. */
  readonly at: number;
  readonly goTo: (page: PageArguments, at: number) => void;
  readonly size: number;
}

type Turned = Pick<Paging, 'page' | 'at'>;

/** Gives the page of a list that this entry of the browser's history has shown; null for none. */
function turnedIn(state: unknown, list: string): Turned | null {
  const { page, at } = membersOf(membersOf(membersOf(state)['pages'])[list]);
  if (!isMembers(page) || typeof at !== 'number') return null;
  const { first, after, last, before } = page;
  const cursor = (value: unknown) => (typeof value === 'string' ? value : null);
  if (typeof first === 'number') return { page: { first, after: cursor(after) }, at };
  return typeof last === 'number' ? { page: { last, before: cursor(before) }, at } : null;
}

/** Keeps the page in the browser's history, so that the way back from one of its items leads to the same page. */
function keepTurned(list: string, turned: Turned): void {
  const state = membersOf(history.state);
  history.replaceState({ ...state, pages: { ...membersOf(state['pages']), [list]: turned } }, '');
}

/** Keeps which page is shown; the first again whenever `list` (what is listed) changes. */
export function usePaging(size: number, list: string): Paging {
  const [shown, setShown] = useState<{ list: string; turned: Turned | null }>(() => ({
    list,
    turned: turnedIn(history.state, list),
  }));
  const { page, at } = (shown.list === list ? shown.turned : null) ?? { page: { first: size }, at: 0 };
  useEffect(() => {
    if (shown.list !== list) setShown({ list, turned: turnedIn(history.state, list) });
  }, [shown.list, list]);
  return {
    page,
    at,
    size,
    goTo: (next, place) => {
      const turned = { page: next, at: place };
      keepTurned(list, turned);
      setShown({ list, turned });
    },
  };
}

interface PagerProps {
  readonly paging: Paging;
  readonly pageInfo: PageInfo;
  readonly label: string;
  /** The number of all items, where the control plane gives it. */
  readonly total?: number;
  /** The number of items on the page. */
  readonly count?: number;
}

/** Shows the buttons and the place in the list; nothing where all items are on one page. */
export function Pager({ paging, pageInfo, label, total, count = 0 }: PagerProps) {
  const { words, formats } = useWords();
  const nav = useRef<HTMLElement>(null);
  const { goTo, size } = paging;
  const { hasNextPage, hasPreviousPage, startCursor, endCursor } = pageInfo;
  // The page that was turned to is not shown before its items are there.
  const ofShown = useRef({ startCursor, at: paging.at });
  if (ofShown.current.startCursor !== startCursor) ofShown.current = { startCursor, at: paging.at };
  if (!hasNextPage && !hasPreviousPage) return null;
  // Items that were added meanwhile have moved the others, and the ends of the list are known.
  const at = !hasPreviousPage ? 0 : !hasNextPage && total !== undefined ? total - count : ofShown.current.at;
  const turn = (isPossible: boolean, page: PageArguments, place: number) => {
    if (!isPossible) return;
    goTo(page, Math.max(0, place));
    nav.current?.previousElementSibling?.scrollIntoView({ block: 'start' });
  };
  return (
    <nav ref={nav} class="pager" aria-label={label}>
      {/* Not `disabled`: at the last page the keyboard's focus would be lost. */}
      <button
        type="button"
        class="button"
        aria-disabled={!hasPreviousPage}
        onClick={() => turn(hasPreviousPage, { last: size, before: startCursor ?? null }, at - size)}
      >
        {words.pageBack}
      </button>
      {total !== undefined && (
        <span class="quiet" role="status">
          {words.pagePlace(formats.number(at + 1), formats.number(at + count), formats.number(total))}
        </span>
      )}
      <button
        type="button"
        class="button"
        aria-disabled={!hasNextPage}
        onClick={() => turn(hasNextPage, { first: size, after: endCursor ?? null }, at + size)}
      >
        {words.pageOn}
      </button>
    </nav>
  );
}
