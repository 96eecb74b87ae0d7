import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { TimeoutError, withTimeout } from './timeout.ts';

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate'] }));
afterEach(() => void jest.useRealTimers());

test('a timeout resolves or rejects with the result of the work, and leaves no timer', async () => {
  expect(await withTimeout(60_000, 'late', async () => 7)).toBe(7);
  await expect(withTimeout(60_000, 'late', async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(jest.getTimerCount()).toBe(0);
});

test('a timeout rejects when the time is over and not before, and aborts the signal of the work', async () => {
  let late: AbortSignal | undefined;
  const rejected = jest.fn();
  const answer = withTimeout(5_000, 'the insert has taken too long', (signal) => {
    late = signal;
    return new Promise<never>(() => undefined);
  });
  const handled = answer.catch(rejected);
  await jest.advanceTimersByTimeAsync(4_999);
  expect([rejected.mock.calls.length, late?.aborted]).toEqual([0, false]);
  await jest.advanceTimersByTimeAsync(1);
  await handled;
  expect(rejected).toHaveBeenCalledWith(new TimeoutError('the insert has taken too long'));
  expect(late?.aborted).toBe(true);
});

test('work does not time out that ended in the turn in which the time was over', async () => {
  const answer = withTimeout(
    5,
    'late',
    () => new Promise<string>((resolve) => setTimeout(() => setImmediate(resolve, 'done'), 1)),
  );
  // A process that was busy for 30 ms finds both timers due in one turn, and the end of the work after them.
  jest.advanceTimersByTime(30);
  expect(await answer).toBe('done');
});
