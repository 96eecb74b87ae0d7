/** The Korean pages say what the English ones say: the same structure, the same commands, the same places. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { blocksOf, documentationPages } from '../testing/documentation-blocks.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (page: string) => readFileSync(new URL(page, ROOT), 'utf8');

const KOREAN = documentationPages().filter((page) => page.endsWith('.ko.md'));
const englishOf = (page: string) => page.replace(/\.ko\.md$/, '.md');

const withoutBlocks = (page: string) => read(page).replaceAll(/^ *```.*?^ *```$/gms, '');

/** The outline of a page: its headings' levels, its lists' and tables' rows and its blocks, in order. */
function outline(page: string): string[] {
  const lines = read(page)
    .replaceAll(/^ *```(\w*)\n.*?^ *```$/gms, '[block $1]')
    .split('\n');
  return lines.flatMap((line) => {
    const heading = /^(#+) /.exec(line);
    if (heading !== null) return [`heading ${heading[1]!.length}`];
    if (line.startsWith('|')) return [`row of ${line.split(/(?<!\\)\|/).length - 2}`];
    if (/^(?:- |\d+\. )/.test(line)) return ['item'];
    return /^\[block \w*\]$/.test(line) ? [line] : [];
  });
}

/** Gives the targets of the links and pictures of a page, sorted, without the language of the page there. */
const targets = (page: string) =>
  Array.from(withoutBlocks(page).matchAll(/\]\(([^()\s]*)\)/g), ([, target = '']) =>
    target.replace(/\.(?:ko|en)(\.\w+)/, '$1').replace('README.md', 'README'),
  ).sort();

/** Gives the texts between backticks: names of fields, files, codes and commands. */
const code = (page: string) =>
  [...new Set(Array.from(withoutBlocks(page).matchAll(/`([^`\n]+)`/g), ([, text]) => text!))].sort();

describe.each(KOREAN)('%s', (page) => {
  const english = englishOf(page);

  test('has the headings, rows, items and blocks of the English page, in its order', () => {
    expect(outline(page)).toEqual(outline(english));
    expect(outline(page).length).toBeGreaterThan(10);
  });

  test('has the same commands and operations', () => {
    const texts = (name: string) =>
      blocksOf(name, read(name)).map(({ language, text, mark }) => ({ language, text, mark }));
    expect(texts(page)).toEqual(texts(english));
  });

  test('leads to the same places, and to their Korean pages where there are some', () => {
    const [links, others] = [targets(page), targets(english)];
    const added = links.filter((target) => !others.includes(target));
    // The Korean README also names the Korean glossary.
    expect(added.filter((target) => target !== 'docs/glossary.md')).toEqual([]);
    expect(others.filter((target) => !links.includes(target))).toEqual([]);
    const folder = new URL('./', new URL(page, ROOT));
    const inEnglish = Array.from(withoutBlocks(page).matchAll(/\]\(([^()\s:#]+)\.md\b/g), ([, path = '']) => path)
      .filter((path) => !path.endsWith('.ko') && !(page === 'README.ko.md' && path === 'README'))
      .filter((path) => existsSync(new URL(`${path}.ko.md`, folder)));
    expect(inEnglish).toEqual([]);
  });

  test('names the same fields, codes and files', () => {
    expect(code(page)).toEqual(code(english));
  });

  test('is in Korean: each paragraph, item and row has words in it', () => {
    const untranslated = withoutBlocks(page)
      .replace(/^# .*/, '')
      .split(/\n(?=\n|[|-] |#+ )/)
      .filter(
        (part) => /[A-Za-z]{4}/.test(part.replaceAll(/`[^`]*`|\(.*?\)|<!--.*?-->/g, '')) && !/[가-힣]/.test(part),
      );
    expect(untranslated).toEqual([]);
  });
});

test('README, operators’ guide, runbook and glossary are there in Korean', () => {
  expect(KOREAN).toEqual([
    'README.ko.md',
    'docs/glossary.ko.md',
    'docs/guides/operators.ko.md',
    'docs/operations/runbook.ko.md',
  ]);
});
