import { expect, test } from '@jest/globals';
import { checks } from '../benchmarks/statistics/statistics-checks.ts';
import { lowerBound, benchmarkRows, simulate, simulateCheck } from '../benchmarks/statistics/statistics.ts';
import { rounds } from '../core/testing/rounds.ts';

const RUNS = rounds(60, 400);
const SEED = 7;
const rows = new Map(benchmarkRows().map((row) => [`${row.name}, ${row.kind}`, row]));

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
  ['1 % events, 50:50, bound HIGHER', 0.05],
  ['normal, 50:50, bound LOWER', 0.9],
])('%s: no more false alarms than promised, and what is there is found', (name, power) => {
  const found = simulate(rows.get(name)!, RUNS, SEED);
  expect(found.fails).toBe(false);
  expect(found.power).toBeGreaterThanOrEqual(power);
});

const others = new Map(checks().map((check) => [`${check.name}, ${check.decision}`, check]));

test.each([
  ['exposures, 50:50, sample ratio, α = 0.1 %', 0.3],
  ['10 metrics of 5 % events, 50:50, secondary metrics, Holm', 0.5],
  ['5 % events, 50:50, sequential at each look, Welch at the end, α = 10 %', 0.8],
  ['5 % events, 50:50, detectablePercent', 0.65],
  ['5 % events, then sizes, undeclared, 50:50, guard HIGHER', 0.3],
])('%s: no more false alarms than promised, and what is there is found', (decision, power) => {
  const found = simulateCheck(others.get(decision)!, RUNS, SEED);
  expect(found.fails).toBe(false);
  expect(found.power).toBeGreaterThanOrEqual(power);
});

test('an ordinary test that is read 20 times is wrong far more often', () => {
  const check = others.get('5 % events, 50:50, Welch at each of 20 looks, no promise')!;
  expect(simulateCheck(check, RUNS, SEED).falseAlarms).toBeGreaterThan(0.1);
});

test('a row fails when significantly more than the promised share of its runs are alarms', () => {
  expect(lowerBound(0.05, 2_000)).toBeLessThan(0.05);
  expect(lowerBound(0.065, 2_000)).toBeGreaterThan(0.05);
});
