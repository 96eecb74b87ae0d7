/**
 * The pages' addresses: paths below /console, with filters in their queries, so that every view can be sent to
 * somebody.
 */
import type { ComponentChildren } from 'preact';
import { membersOf } from '../json.ts';
import { createStore, useStore } from '../store.ts';

const BASE = '/console';

/** The place of a page: its path and its query. */
export interface Place {
  /** The path below the base, such as `/flags/eco_mode`. */
  readonly path: string;
  /** The query with its question mark, or nothing. */
  readonly query: string;
}

const here = (): Place => ({
  path: location.pathname.replace(BASE, '').replace(/\/$/, '') || '/',
  query: location.search,
});

const place = createStore<Place>(here());

/** Follows the browser's back and forward buttons, and keeps the scroll of each page. */
export function startRouter(): void {
  // The browser would scroll before the page has its content.
  history.scrollRestoration = 'manual';
  addEventListener('popstate', () => {
    const [before, now] = [place.get(), here()];
    // A link to a part of the same page.
    if (now.path === before.path && now.query === before.query) return;
    place.set(now);
    restoreScroll();
  });
  addEventListener('pagehide', keepScroll);
  restoreScroll();
}

/** Keeps how far the page is scrolled, for the way back to it. */
function keepScroll(): void {
  history.replaceState({ ...membersOf(history.state), scroll: scrollY }, '');
}

/** Milliseconds for which a page may come back before it is left where it is. */
const RESTORE_MS = 5_000;

/** Scrolls to where the page was left, once it is long enough again, unless somebody scrolls it first. */
function restoreScroll(): void {
  const { scroll } = membersOf(history.state);
  scrollTo(0, 0);
  if (typeof scroll !== 'number' || scroll === 0) return;
  const path = location.href;
  const done = new AbortController();
  const grown = new ResizeObserver(() => {
    if (location.href !== path) return done.abort();
    if (document.documentElement.scrollHeight < scroll + innerHeight) return;
    scrollTo(0, scroll);
    done.abort();
  });
  const { signal } = done;
  signal.addEventListener('abort', () => grown.disconnect());
  for (const act of ['wheel', 'touchstart', 'keydown', 'pointerdown'])
    addEventListener(act, () => done.abort(), { signal, passive: true });
  setTimeout(() => done.abort(), RESTORE_MS);
  grown.observe(document.body);
}

/** Gives the present place, and renders again when it changes. */
export const usePlace = (): Place => useStore(place);

/** Goes to a page, as a link does. `replace`: without an entry of its own in the browser's history. */
export function goTo(path: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', BASE + path);
  else {
    keepScroll();
    history.pushState(null, '', BASE + path);
  }
  const pathBefore = place.get().path;
  place.set(here());
  if (!replace && place.get().path !== pathBefore) scrollTo(0, 0);
}

interface LinkProps {
  readonly to: string;
  readonly class?: string;
  readonly 'aria-current'?: 'page' | undefined;
  readonly 'aria-label'?: string | undefined;
  /** Called before the page is opened here, and not in another tab. */
  readonly onOpen?: () => void;
  readonly children: ComponentChildren;
}

/** A link to a page. The browser opens it by itself where somebody wants a new tab. */
export function Link({ to, children, onOpen, ...attributes }: LinkProps) {
  const open = (event: MouseEvent) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    onOpen?.();
    goTo(to);
  };
  return (
    <a href={BASE + to} onClick={open} {...attributes}>
      {children}
    </a>
  );
}
