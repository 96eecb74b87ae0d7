import { expect, test } from '@jest/globals';
import { spreadInterval } from './spread.ts';

test('an interval gets up to a tenth longer, and never shorter', () => {
  expect(spreadInterval(1_000, () => 0)).toBe(1_000);
  expect(spreadInterval(1_000, () => 0.5)).toBe(1_050);
  expect(spreadInterval(1_000, () => 1 - Number.EPSILON)).toBeLessThanOrEqual(1_100);
});
