import { expect, test } from '@jest/globals';
import { lowerBound, rowsOf, simulate } from '../benchmarks/statistics.ts';
import { rounds } from '../core/testing/rounds.ts';

const RUNS = rounds(60, 400);
const rows = new Map(rowsOf().map((row) => [`${row.name}, ${row.kind}`, row]));

test('every metric is decided on at every split, by experiments, guards and bounds', () => {
  expect(rows.size).toBe(7 * 3 * 5 + 2 * 7);
});

// The whole table takes minutes: npm run bench -- statistics.
test.each([
  ['3 % events, 10/50/90, limit 0, guard HIGHER', 0.65],
  ['3 % events, 46/48/…/56, the same vehicles, guard HIGHER', 0.2],
  ['log-normal, 90:10, guard HIGHER', 0.8],
  ['log-normal, 99:1, experiment', 0.05],
  ['zero-inflated, 50:50, guard LOWER', 0.2],
  ['1 % events, 50:50, bound HIGHER', 0],
  ['normal, 50:50, bound LOWER', 0.9],
])('%s: no more false alarms than promised, and what is there is found', (name, power) => {
  const found = simulate(rows.get(name)!, RUNS, 7);
  expect(found.fails).toBe(false);
  expect(found.power).toBeGreaterThanOrEqual(power);
});

test('a row of which more than the promised share are alarms fails', () => {
  expect(lowerBound(0.05, 2_000)).toBeLessThan(0.05);
  expect(lowerBound(0.065, 2_000)).toBeGreaterThan(0.05);
});
