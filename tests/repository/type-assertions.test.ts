import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const ROOMS = ['agent', 'commands', 'core', 'gateway', 'main', 'prisma', 'subgraphs'];
const NO_PRODUCT = /\.test\.ts$|\.contract\.ts$|\/(?:testing|generated|node_modules|dist)\//;
const MOST = 60;

const sources = ROOMS.flatMap((room) => {
  const folder = fileURLToPath(new URL(`../../${room}/`, import.meta.url));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}${name}`);
  return files.filter((file) => file.endsWith('.ts') && !NO_PRODUCT.test(file));
});
/** The comments that let a type assertion stand (eslint.config.js refuses those without one). */
const permits = sources.flatMap((file) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => /eslint-disable.*consistent-type-assertions/.test(line))
    .map((line) => ({ file, line: line.trim() })),
);

describe('type assertions in the product', () => {
  test(`are fewer than ${MOST}`, () => {
    expect(sources.length).toBeGreaterThan(300);
    expect(permits.length).toBeGreaterThan(0);
    expect(permits.length).toBeLessThan(MOST);
  });

  test('are permitted one by one, each with its reason', () => {
    const form = /eslint-disable-(?:next-)?line @typescript-eslint\/consistent-type-assertions -- .{10,}/;
    expect(permits.filter(({ line }) => !form.test(line))).toEqual([]);
  });
});
