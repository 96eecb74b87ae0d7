/** Pages by the patterns of their addresses. */
import type { JSX } from 'preact';
import { matchPath } from './paths.ts';

/** Patterns such as `/flags/:key`, each with what shows its page from the parts of the address. */
export type Pages = readonly (readonly [
  pattern: string,
  show: (parts: Readonly<Record<string, string>>) => JSX.Element,
])[];

/** Gives the page at a path, by the first pattern that fits; null where none does. */
export function pageAt(pages: Pages, path: string): JSX.Element | null {
  for (const [pattern, show] of pages) {
    const parts = matchPath(pattern, path);
    if (parts !== null) return show(parts);
  }
  return null;
}
