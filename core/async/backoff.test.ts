import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Backoff, backoffMs } from './backoff.ts';

const BOUNDS = { baseMs: 1_000, capMs: 30_000 };

test('the wait after the first failure is the base, and each further failure doubles it up to the cap', () => {
  expect([1, 2, 3, 4, 5, 6, 7].map((failures) => backoffMs(failures, BOUNDS))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
  ]);
});

test('without a failure the wait is what the first one would cost', () => {
  expect(backoffMs(0, BOUNDS)).toBe(1_000);
});

test('no number of failures makes a wait longer than the cap, or shorter than the one before', () => {
  fc.assert(
    fc.property(
      fc.nat(5_000),
      fc.integer({ min: 1, max: 1e6 }),
      fc.integer({ min: 1, max: 1e9 }),
      (failures, baseMs, capMs) => {
        const [wait, next] = [backoffMs(failures, { baseMs, capMs }), backoffMs(failures + 1, { baseMs, capMs })];
        expect(wait).toBeLessThanOrEqual(next);
        expect(next).toBeLessThanOrEqual(capMs);
      },
    ),
  );
});

test('jitter takes the whole range from 0 to the bound, which starts again after a success', () => {
  let share = 0.5;
  const backoff = new Backoff({ ...BOUNDS, random: () => share });
  expect([backoff.next(), backoff.next(), backoff.failures]).toEqual([500, 1_000, 2]);
  share = 0;
  expect(backoff.next()).toBe(0);
  share = 0.25;
  expect(backoff.next()).toBe(2_000);
  backoff.reset();
  expect([backoff.failures, backoff.next()]).toEqual([0, 250]);
});

test('a whole wait is never shorter than its bound, and at most a quarter longer', () => {
  let share = 0;
  const backoff = new Backoff({ ...BOUNDS, random: () => share });
  expect(backoff.nextWhole()).toBe(1_000);
  share = 1;
  expect(backoff.nextWhole()).toBe(2_500);
});

test('a slow wait is in the upper half of the longest, and counts no failure', () => {
  let share = 0;
  const backoff = new Backoff({ ...BOUNDS, random: () => share });
  expect([backoff.nextSlow(), backoff.failures]).toEqual([15_000, 0]);
  share = 1;
  expect(backoff.nextSlow()).toBe(30_000);
});
