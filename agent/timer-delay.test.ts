import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Alarm } from './link/alarm.ts';
import { LinkWait } from './link/link-wait.ts';
import { timerDelay } from './timer-delay.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test.each([2 ** 31, 3e9, 1e300, Infinity])(
  'no wait of %d ms is over at once, as Node.js would have it',
  async (milliseconds) => {
    let [rung, over] = [false, false];
    const alarm = new Alarm(() => (rung = true));
    alarm.set(milliseconds);
    void new LinkWait(new Promise(() => undefined)).pause(milliseconds).then(() => (over = true));
    await jest.advanceTimersByTimeAsync(3_600_000);
    expect([rung, over]).toEqual([false, false]);
    alarm.cancel();
    expect(timerDelay(milliseconds)).toBe(2 ** 31 - 1);
  },
);

test.each([0, -1, -Infinity, Number.NaN])('a wait of %d ms is none', (milliseconds) => {
  expect(timerDelay(milliseconds)).toBe(0);
});
