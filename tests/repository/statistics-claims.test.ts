/** Each sentence of the statistics page that claims how often something is wrong or found names a row that shows it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { checks } from '../../benchmarks/statistics/statistics-checks.ts';
import { benchmarkRows } from '../../benchmarks/statistics/statistics.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/reference/statistics.md'), 'utf8');
const SHOWN = '## Shown by simulation';
const REFERENCE = /\[row: ([^\]]+)\]\(#shown-by-simulation\)/g;
/** Words by which a sentence claims a rate. */
const CLAIM =
  /false alarm|are wrong|by chance|one in (?:\d|four|twenty)|one interval in|at most one of|probability α|(?:below|twice) α|than α|80 of 100|80 % of|the promise|is valid for all/;

/** Gives the sentences of Markdown; those of tables and code are none. */
function sentencesOf(markdown: string): string[] {
  const text = markdown
    .replace(/```[\s\S]*?```/g, '')
    .split('\n')
    .filter((line) => !/^(?:\||#)/.test(line))
    .join('\n');
  return text.split(/\n\s*\n|\n- |(?<=[.!?]\)?)\s+(?=[A-Z`*φαθ])/).filter((sentence) => sentence.trim() !== '');
}

const referencesOf = (sentence: string) => Array.from(sentence.matchAll(REFERENCE), ([, row = '']) => row);

/** Gives the sentences that claim a rate and name no row. */
const withoutRow = (markdown: string) =>
  sentencesOf(markdown).filter((sentence) => CLAIM.test(sentence) && referencesOf(sentence).length === 0);

test('each sentence that claims a rate of errors names its row of the table', () => {
  const [claims = ''] = PAGE.split(SHOWN);
  expect(withoutRow(claims)).toEqual([]);
  expect(sentencesOf(claims).filter((sentence) => CLAIM.test(sentence)).length).toBeGreaterThan(9);
});

test('each row that is named is in the table, and the table has the rows that the benchmark simulates', () => {
  const [, table = ''] = PAGE.split(SHOWN);
  const rows = Array.from(
    table.matchAll(/^\| (.+?)(?: ¹)? \| (.+?) \| .* \|$/gm),
    ([, name, decision]) => `${name}, ${decision}`,
  );
  for (const reference of referencesOf(PAGE)) expect(rows.filter((row) => row.includes(reference))).not.toEqual([]);
  const simulated = [
    ...checks().map(({ name, decision }) => `${name}, ${decision}`),
    ...benchmarkRows().map(({ name, kind }) => `${name}, ${kind}`),
  ];
  expect(rows.slice(1)).toEqual(simulated);
});

test('a claim without a row is found', () => {
  const claim = 'The test is fine. With twenty checks it is about one in four. It needs vehicles.';
  expect(withoutRow(claim)).toEqual(['With twenty checks it is about one in four.']);
  expect(withoutRow(`The three keep the promise ([row: guard](#shown-by-simulation)).`)).toEqual([]);
});
