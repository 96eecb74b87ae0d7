import { expect, test } from '@jest/globals';
import { TimeoutError, withTimeout } from './timeout.ts';

test('resolves or rejects with the result of the work', async () => {
  expect(await withTimeout(60_000, 'late', async () => 7)).toBe(7);
  await expect(withTimeout(60_000, 'late', async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
});

test('rejects when the time is over, and aborts the signal of the work', async () => {
  let told: AbortSignal | undefined;
  const answer = withTimeout(5, 'the insert has taken too long', (late) => {
    told = late;
    return new Promise<never>(() => undefined);
  });
  await expect(answer).rejects.toThrow(new TimeoutError('the insert has taken too long'));
  expect(told?.aborted).toBe(true);
});

test('does not time out work that ended while the process was busy', async () => {
  const answer = withTimeout(5, 'late', () => new Promise<string>((resolve) => setTimeout(resolve, 1, 'done')));
  const busyUntil = performance.now() + 30;
  while (performance.now() < busyUntil);
  expect(await answer).toBe('done');
});
