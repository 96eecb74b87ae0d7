import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Repetition } from './repetition.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

test('waits after each time as long as that time has said', async () => {
  const waits = [100, 5_000];
  let turns = 0;
  const repetition = new Repetition(async () => waits[turns++] ?? 1_000_000);
  await repetition.start();
  expect(turns).toBe(1);
  await pass(99);
  expect(turns).toBe(1);
  await pass(1);
  expect(turns).toBe(2);
  await pass(4_999);
  expect(turns).toBe(2);
  await pass(1);
  expect(turns).toBe(3);
  await repetition.close();
});

test('may begin later', async () => {
  let turns = 0;
  const repetition = new Repetition(async () => (turns += 1) * 1_000);
  await repetition.start(50);
  expect(turns).toBe(0);
  await pass(50);
  expect(turns).toBe(1);
  await repetition.close();
});

test('is closed when the time under way is over, which can see that, and no other follows', async () => {
  let turns = 0;
  let finish: () => void = () => undefined;
  const repetition = new Repetition(async () => {
    turns += 1;
    await new Promise<void>((resolve) => (finish = resolve));
    return 1;
  });
  void repetition.start();
  let closed = false;
  const closing = repetition.close().then(() => (closed = true));
  await pass(1_000);
  expect([closed, repetition.closed]).toEqual([false, true]);
  finish();
  await closing;
  await pass(1_000);
  expect(turns).toBe(1);
});
