import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import {
  RUN_LANGUAGES,
  SHOWN_LANGUAGES,
  blocksOf,
  documentationBlocks,
  isRun,
} from '../testing/documentation-blocks.ts';
import { STAGES } from '../../e2e/documentation/stages.ts';

const BLOCKS = documentationBlocks();
const placeOf = ({ page, line }: { readonly page: string; readonly line: number }) => `${page}:${line}`;

describe('Each block of the pages', () => {
  test('is found, as often as a fence opens', () => {
    expect(BLOCKS.length).toBeGreaterThan(90);
    for (const page of new Set(BLOCKS.map((block) => block.page))) {
      const fences = readFileSync(new URL(`../../${page}`, import.meta.url), 'utf8').match(/^ *```/gm) ?? [];
      expect([page, BLOCKS.filter((block) => block.page === page).length * 2]).toEqual([page, fences.length]);
    }
  });

  test('says its language, which is one that is run, or that is data or output', () => {
    const known = [...RUN_LANGUAGES, ...SHOWN_LANGUAGES];
    expect(BLOCKS.filter(({ language }) => !known.includes(language)).map(placeOf)).toEqual([]);
  });

  test('is run, or says why not', () => {
    const silent = BLOCKS.filter(({ mark }) => mark?.kind === 'not run' && !/^.{15,}\.$/.test(mark.text));
    expect(silent.map(placeOf)).toEqual([]);
    const withoutStage = BLOCKS.filter((block) => isRun(block) && !(block.page in STAGES)).map(placeOf);
    expect(withoutStage).toEqual([]);
    expect(BLOCKS.filter(isRun).length).toBeGreaterThan(60);
  });

  test('that is a part of a file stands there, word for word', () => {
    const parts = BLOCKS.filter(({ mark }) => mark?.kind === 'from');
    const wrong = parts.filter(
      ({ mark, text }) => !readFileSync(new URL(`../../${mark?.text}`, import.meta.url), 'utf8').includes(text),
    );
    expect(wrong.map(placeOf)).toEqual([]);
  });
});

describe('A page with blocks to run', () => {
  test('has one stage, and no stage is without a page', () => {
    const run = new Set(BLOCKS.filter(isRun).map(({ page }) => page));
    expect(Object.keys(STAGES).filter((page) => !run.has(page))).toEqual([]);
  });
});

test('A mark belongs to the block below it, and blocks of lists lose their indentation', () => {
  const page =
    'x\n\n<!-- not run: It needs Docker, which tests do not. -->\n```sh\na\n```\n\n1. y\n\n   ```json\n   {}\n   ```\n';
  expect(blocksOf('p.md', page)).toEqual([
    {
      page: 'p.md',
      line: 4,
      language: 'sh',
      text: 'a\n',
      mark: { kind: 'not run', text: 'It needs Docker, which tests do not.' },
    },
    { page: 'p.md', line: 10, language: 'json', text: '{}\n', mark: null },
  ]);
});
