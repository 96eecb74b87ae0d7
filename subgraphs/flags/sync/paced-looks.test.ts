import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { PacedLooks } from './paced-looks.ts';

const PACE_MS = 100;

describe('looks that announcements ask for', () => {
  let at: number[];
  let from: number;
  let looks: PacedLooks;

  beforeEach(() => {
    jest.useFakeTimers();
    at = [];
    from = Date.now();
    looks = new PacedLooks(() => at.push(Date.now() - from), PACE_MS, Date.now);
  });
  afterEach(() => void jest.useRealTimers());

  test('are at once after a quiet while, and shared by all of a burst', () => {
    for (let n = 0; n < 50; n++) {
      looks.soon();
      jest.advanceTimersByTime(20);
    }
    jest.advanceTimersByTime(10 * PACE_MS);
    expect(at).toEqual(Array.from({ length: 11 }, (_, n) => n * PACE_MS));
    looks.soon();
    expect(at.at(-1)).toBe(Date.now() - from);
  });

  test('wait for nothing where they are wanted at once, and serve those that wait', () => {
    looks.soon();
    jest.advanceTimersByTime(10);
    looks.soon();
    looks.atOnce();
    looks.atOnce();
    jest.advanceTimersByTime(PACE_MS - 1);
    expect(at).toEqual([0, 10, 10]);
    looks.soon();
    jest.advanceTimersByTime(1);
    expect(at).toEqual([0, 10, 10, 10 + PACE_MS]);
  });

  test('come no more after the end', () => {
    looks.soon();
    looks.soon();
    looks.close();
    jest.advanceTimersByTime(2 * PACE_MS);
    expect(at).toEqual([0]);
  });
});
