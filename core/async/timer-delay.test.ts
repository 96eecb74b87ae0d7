import { expect, test } from '@jest/globals';
import { timerDelay } from './timer-delay.ts';

test.each([
  [1.5, 1.5],
  [2 ** 31 - 1, 2 ** 31 - 1],
  [2 ** 31, 2 ** 31 - 1],
  [Infinity, 2 ** 31 - 1],
  [0, 0],
  [-1, 0],
  [NaN, 0],
])('a wait of %d ms is %d ms for a timer', (milliseconds, delay) => {
  expect(timerDelay(milliseconds)).toBe(delay);
});
