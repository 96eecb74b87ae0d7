import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { REPOSITORY, readSources } from '../testing/sources.ts';

const ROOMS = ['agent', 'benchmarks', 'commands', 'console', 'core', 'e2e', 'gateway', 'main', 'prisma', 'subgraphs'];
const COMMENT = /\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm;
/** A source file of ours that no generator writes, with as many of its folders as the comment gives. */
const NAMED = /(?<![\w/.@-])(?!generated\/)[a-z][\w/-]*(?:\.[\w-]+)*\.tsx?\b/g;
/** A name in backticks that only code has, such as `readSources`; a call may stand behind it. */
const IDENTIFIER = /`([a-z]\w*[A-Z]\w*)(?:\(\))?`/g;

const sources = readSources([...ROOMS, 'tests']);

test('comments name no source file that is not there', () => {
  const paths = Array.from(sources.keys(), (path) => `/${path}`);
  const named = Array.from(sources).flatMap(([source, text]) =>
    (text.match(COMMENT) ?? []).flatMap((comment) =>
      Array.from(comment.matchAll(NAMED), ([file]) => ({ source, file })),
    ),
  );
  expect(named.length).toBeGreaterThan(80);
  expect(named.filter(({ file }) => !paths.some((path) => path.endsWith(`/${file}`)))).toEqual([]);
});

test('comments name no function, field or constant that is not there', () => {
  const code = Array.from(sources.values(), (text) => text.replace(COMMENT, ' '));
  const words = new Set([...code, readFileSync(`${REPOSITORY}schema.graphql`, 'utf8')].join(' ').match(/\w+/g));
  const named = Array.from(sources).flatMap(([source, text]) =>
    (text.match(COMMENT) ?? []).flatMap((comment) =>
      Array.from(comment.matchAll(IDENTIFIER), ([, name = '']) => ({ source, name })),
    ),
  );
  expect(named.length).toBeGreaterThan(200);
  expect(named.filter(({ name }) => !words.has(name))).toEqual([]);
});
