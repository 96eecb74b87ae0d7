import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Alarm } from './alarm.ts';
import { LinkWait } from './link-wait.ts';
import { timerDelay } from '../../core/async/timer-delay.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test.each([2 ** 31, 3e9, 1e300, Infinity])(
  'a delay of %d ms does not end at once, although a timer of Node.js would',
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

test.each([0, -1, -Infinity, Number.NaN])('a delay of %d ms becomes 0', (milliseconds) => {
  expect(timerDelay(milliseconds)).toBe(0);
});
