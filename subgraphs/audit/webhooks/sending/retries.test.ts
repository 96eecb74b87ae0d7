import { expect, test } from '@jest/globals';
import { RETRY_DELAYS_MS, retryDelayMs } from './retries.ts';

test('the schedule is that of Standard Webhooks: ten attempts, over three days', () => {
  const starts = [0];
  for (const delay of RETRY_DELAYS_MS) starts.push((starts.at(-1) ?? 0) + delay / 1_000);
  expect(starts).toEqual([0, 5, 305, 2_105, 9_305, 27_305, 63_305, 113_705, 185_705, 272_105]);
});

test('each wait has up to a quarter of jitter, and after the last attempt there is none', () => {
  for (const [index, delay] of RETRY_DELAYS_MS.entries()) {
    expect(retryDelayMs(index + 1, null, () => 0)).toBe(delay);
    expect(retryDelayMs(index + 1, null, () => 0.999)).toBeLessThan(delay * 1.25);
  }
  expect(retryDelayMs(RETRY_DELAYS_MS.length + 1, 1_000, () => 0)).toBeNull();
});

test('a receiver can ask for a longer wait, for a day at most, and for no shorter one', () => {
  expect(retryDelayMs(1, 60_000, () => 0)).toBe(60_000);
  expect(retryDelayMs(1, 1, () => 0)).toBe(5_000);
  expect(retryDelayMs(1, 1e12, () => 0)).toBe(24 * 3_600_000);
});
