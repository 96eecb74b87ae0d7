import { afterEach, expect, test } from '@jest/globals';
import { rounds, sampled } from './rounds.ts';

const CASES = Array.from({ length: 7 }, (_, index) => index);
const given = process.env['TEST_ROUNDS'];

afterEach(() => {
  if (given === undefined) delete process.env['TEST_ROUNDS'];
  else process.env['TEST_ROUNDS'] = given;
});

test('npm test runs few rounds, and every nth case of a sweep from the first on', () => {
  delete process.env['TEST_ROUNDS'];
  expect([rounds(3, 50), sampled(CASES, 3)]).toEqual([3, [0, 3, 6]]);
  expect(sampled([], 3)).toEqual([]);
});

test('the gate runs all of both', () => {
  process.env['TEST_ROUNDS'] = 'all';
  expect([rounds(3, 50), sampled(CASES, 3)]).toEqual([50, CASES]);
});

test('a longer run has a multiple of the rounds, and all cases once', () => {
  process.env['TEST_ROUNDS'] = '10';
  expect([rounds(3, 50), sampled(CASES, 3)]).toEqual([500, CASES]);
});

test.each(['0', '-1', 'some', ''])('TEST_ROUNDS of "%s" is refused', (value) => {
  process.env['TEST_ROUNDS'] = value;
  expect(() => rounds(3, 50)).toThrow(RangeError);
});
