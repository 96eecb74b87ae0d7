import { describe, expect, test } from '@jest/globals';
import { readSources } from '../testing/sources.ts';

const ROOMS = ['agent', 'commands', 'core', 'gateway', 'main', 'prisma', 'subgraphs'];
const NO_PRODUCT = /\.test\.ts$|\.contract\.ts$|\/testing\//;
const MOST = 60;

const sources = Array.from(readSources(ROOMS)).filter(([file]) => !NO_PRODUCT.test(file));
/** The comments that let a type assertion stand (oxlint.config.js refuses those without one). */
const permits = sources.flatMap(([file, text]) =>
  text
    .split('\n')
    .filter((line) => /lint-disable.*consistent-type-assertions/.test(line))
    .map((line) => ({ file, line: line.trim() })),
);

describe('type assertions in the product', () => {
  test(`are fewer than ${MOST}`, () => {
    expect(sources.length).toBeGreaterThan(300);
    expect(permits.length).toBeGreaterThan(0);
    expect(permits.length).toBeLessThan(MOST);
  });

  test('are permitted one by one, each with its reason', () => {
    const form = /oxlint-disable-(?:next-)?line typescript\/consistent-type-assertions -- .{10,}/;
    expect(permits.filter(({ line }) => !form.test(line))).toEqual([]);
  });
});
