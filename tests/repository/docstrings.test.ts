/** Every exported function, class and interface says what it is, as CONTRIBUTING.md and docs/architecture.md promise. */
import { describe, expect, test } from '@jest/globals';
import { readSources } from '../testing/sources.ts';

const ROOMS = ['agent', 'commands', 'console', 'core', 'gateway', 'main', 'subgraphs'];
const NOT_PRODUCT = /\.test\.ts$|\.contract\.ts$|\/(?:testing|generated)\//;
const EXPORT = /^export (?:abstract )?(?:async )?(?:class|interface|function\*?) (\w+)/;

/** Gives the names of what a file exports without a docstring above it. */
function bare(text: string): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const name = EXPORT.exec(line)?.[1];
    const above = lines.slice(0, index).findLast((each) => !each.startsWith('// oxlint-disable')) ?? '';
    return name === undefined || above.endsWith('*/') ? [] : [name];
  });
}

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
});
