/**
 * The fenced code blocks of the documentation, and the marks before them. A mark is a comment of HTML on a line of its
 * own, which readers do not see:
 *
 * - `<!-- not run: REASON -->`: the tests cannot run the block, and why.
 * - `<!-- file: NAME -->`: the block is a file of that name, which later blocks of the page use.
 * - `<!-- from: PATH -->`: the block is a part of that file of the repository, which has tests of its own.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The languages whose blocks e2e/documentation/ runs; blocks of others are data, or what a program prints. */
export const RUN_LANGUAGES: readonly string[] = ['sh', 'bash', 'graphql', 'js', 'ts', 'tsx', 'python', 'cpp', 'sql'];
/** Languages of data and of output. */
export const SHOWN_LANGUAGES: readonly string[] = ['json', 'yaml', 'text'];

/** The kinds of marks. */
export type MarkKind = 'not run' | 'file' | 'from';

/** A fenced block. */
export interface DocumentationBlock {
  /** The page's path from the root of the repository. */
  readonly page: string;
  /** The line of its opening fence, from 1. */
  readonly line: number;
  /** The word after the fence; empty without one. */
  readonly language: string;
  /** Its lines without their common indentation. */
  readonly text: string;
  readonly mark: { readonly kind: MarkKind; readonly text: string } | null;
}

/** Gives the blocks of a page's text, in order. */
export function blocksOf(page: string, text: string): DocumentationBlock[] {
  return Array.from(
    text.matchAll(/(?:^ *<!-- (not run|file|from): ([^\n]*?) -->\n\n?)?^( *)```(\w*)[^\n]*\n(.*?)^ *```$/gms),
    ({ index, 0: whole, 1: kind, 2: words = '', 3: indentation = '', 4: language = '', 5: content = '' }) => ({
      page,
      line: text.slice(0, index + whole.indexOf('```')).split('\n').length,
      language,
      text: content.replaceAll(new RegExp(`^${indentation}`, 'gm'), ''),
      // The pattern has no other kinds.
      mark: kind === 'not run' || kind === 'file' || kind === 'from' ? { kind, text: words } : null,
    }),
  );
}

/** The pages for people: those at the root, of the agent's package and of docs/, as paths from the root. */
export function documentationPages(): string[] {
  const own = readdirSync(ROOT).filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md');
  const docs = readdirSync(`${ROOT}docs`, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`);
  return [...own, 'agent/README.md', ...docs].sort();
}

/** The blocks of all pages. */
export function documentationBlocks(): DocumentationBlock[] {
  return documentationPages().flatMap((page) => blocksOf(page, readFileSync(`${ROOT}${page}`, 'utf8')));
}

/** Whether the tests run a block: it is of a language that is run, and has no mark that says otherwise. */
export function isRun({ language, mark }: DocumentationBlock): boolean {
  return RUN_LANGUAGES.includes(language) && mark === null;
}
