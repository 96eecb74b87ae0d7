/**
 * Every exported function, class and interface says what it is, as CONTRIBUTING.md and docs/architecture.md promise.
 */
import { describe, expect, test } from '@jest/globals';
import { readSources } from '../testing/sources.ts';

const ROOMS = ['agent', 'commands', 'console', 'core', 'gateway', 'main', 'subgraphs'];
const NOT_PRODUCT = /\.test\.ts$|\.contract\.ts$|\/(?:testing|generated)\//;
const EXPORT = /^export (?:abstract )?(?:async )?(?:class|interface|function\*?) (\w+)/;
/** The rooms whose exported types have a docstring as well. */
const TYPED_ROOMS = ['agent', 'commands', 'core', 'gateway', 'main', 'subgraphs'];
const TYPE_EXPORT = /^export type (\w+)/;

/** Gives the names of what a file exports without a docstring above it. */
function bare(text: string, exported = EXPORT): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const name = exported.exec(line)?.[1];
    const above = lines.slice(0, index).findLast((each) => !each.startsWith('// oxlint-disable')) ?? '';
    return name === undefined || above.endsWith('*/') ? [] : [name];
  });
}

/** The rooms in which each tag of a docstring begins a line. */
const TAGGED = [
  ...['agent', 'benchmarks', 'commands', 'core', 'e2e', 'examples', 'gateway', 'main', 'prisma', 'subgraphs', 'tests'],
];

describe('the docstring', () => {
  test('is missed where a function, class or interface has none', () => {
    expect(
      bare('export async function run() {}\n\n/** Gives 1. */\nexport const one = 1;\nexport interface A {}'),
    ).toEqual(['run', 'A']);
    expect(bare('/** Runs. */\n// oxlint-disable-next-line x -- y\nexport function run() {}')).toEqual([]);
  });

  test('stands above every exported function, class and interface', () => {
    const files = Array.from(readSources(ROOMS)).filter(([file]) => !NOT_PRODUCT.test(file));
    expect(files.length).toBeGreaterThan(600);
    expect(files.flatMap(([file, text]) => bare(text).map((name) => `${file}: ${name}`))).toEqual([]);
  });

  test('stands above every exported type of all rooms but the console', () => {
    const files = Array.from(readSources(TYPED_ROOMS)).filter(([file]) => !NOT_PRODUCT.test(file));
    expect(bare('/** A. */\nexport type A = 1;\nexport type B = 2;', TYPE_EXPORT)).toEqual(['B']);
    expect(files.flatMap(([file, text]) => bare(text, TYPE_EXPORT).map((name) => `${file}: ${name}`))).toEqual([]);
  });
});

/** Matches a tag in the middle of a line of a docstring, where editors take it for text. */
const INLINE_TAG = /^ *(?:\/\*\*|\*) .*\S @(?:param|returns|throws)\b/;

test('a tag of a docstring begins a line', () => {
  expect(['/** Runs. @throws Error */', ' * of it. @returns 1'].every((line) => INLINE_TAG.test(line))).toBe(true);
  expect(['/** @param a first */', ' * @throws Error', '// Runs. @throws'].some((line) => INLINE_TAG.test(line))).toBe(
    false,
  );
  const lines = [...readSources(TAGGED)].flatMap(([file, text]) => text.split('\n').map((line) => ({ file, line })));
  expect(lines.filter(({ line }) => INLINE_TAG.test(line))).toEqual([]);
});
