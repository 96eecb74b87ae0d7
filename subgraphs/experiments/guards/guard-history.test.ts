import { expect, test } from '@jest/globals';
import { isWorthKeeping } from './guard-history.ts';

const START = Date.parse('2027-01-04T00:00:00Z');
const after = (seconds: number) => new Date(START + seconds * 1_000);
const kept = (last: number, over: object = {}) => ({
  first: after(0),
  last: after(last),
  watch: 1,
  verdict: 'holding',
  ...over,
});
const look = (seconds: number, over: object = {}) => ({ at: after(seconds), watch: 1, verdict: 'holding', ...over });

test('a look is kept where it is the first, or differs by its verdict or its step', () => {
  expect(isWorthKeeping(look(0), null)).toBe(true);
  expect(isWorthKeeping(look(5), kept(0))).toBe(false);
  expect(isWorthKeeping(look(5, { verdict: 'silent' }), kept(0))).toBe(true);
  expect(isWorthKeeping(look(5, { watch: 2 }), kept(0))).toBe(true);
});

test('looks that find the same are a minute apart, and further once the rollout is long', () => {
  expect(isWorthKeeping(look(59), kept(0))).toBe(false);
  expect(isWorthKeeping(look(60), kept(0))).toBe(true);
  const day = 86_400;
  // 500 looks of 30 days are 86 minutes apart.
  expect(isWorthKeeping(look(30 * day + 5_000), kept(30 * day))).toBe(false);
  expect(isWorthKeeping(look(30 * day + 5_200), kept(30 * day))).toBe(true);
});
