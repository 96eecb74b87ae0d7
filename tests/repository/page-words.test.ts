/** Words that docs/reference/words.md replaces, in the pages; `fleetflag/plain-words` holds the code to the same. */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { REPOSITORY } from '../testing/sources.ts';

/** The list itself names what it replaces. */
const WORD_LIST = 'docs/reference/words.md';
const REPLACED = [
  /\b(?:is|are|was|were) (?:told|away)\b/,
  /\btells\b/,
  /\blook(?:s|ed)? at\b/,
  /\bany more\b/,
  /\btried again\b/,
];

/** Gives the replaced words in a page, each with the number of its line. */
function replacedWords(page: string): string[] {
  return page.split('\n').flatMap((line, index) =>
    REPLACED.flatMap((words) => {
      const found = words.exec(line)?.[0];
      return found === undefined ? [] : [`${index + 1}: ${found}`];
    }),
  );
}

describe('a page', () => {
  test('with a replaced word is found, by its line', () => {
    expect(replacedWords('A vehicle is notified.\nThe client is told, and looks at it.')).toEqual([
      '2: is told',
      '2: looks at',
    ]);
    expect(replacedWords('A gateway looks a flag up. The database is down.')).toEqual([]);
  });

  test('says things in the words of the list', () => {
    const below = readdirSync(`${REPOSITORY}docs`, { recursive: true, encoding: 'utf8' });
    const pages = ['README.md', 'CONTRIBUTING.md', ...below.map((name) => `docs/${name}`)].filter(
      (path) => path.endsWith('.md') && path !== WORD_LIST,
    );
    expect(pages.length).toBeGreaterThan(100);
    expect(
      pages.flatMap((path) =>
        replacedWords(readFileSync(`${REPOSITORY}${path}`, 'utf8')).map((found) => `${path}:${found}`),
      ),
    ).toEqual([]);
  });
});
