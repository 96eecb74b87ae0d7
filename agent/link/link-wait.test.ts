import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { LinkWait } from './link-wait.ts';

let end: () => void;
let wait: LinkWait;
beforeEach(() => {
  jest.useFakeTimers();
  wait = new LinkWait(new Promise<void>((resolve) => (end = resolve)));
});
afterEach(() => void jest.useRealTimers());

/** Begins a pause; `over` of the result becomes true when the pause has ended. */
function pausing(milliseconds: number): { over: boolean } {
  const pause = { over: false };
  void wait.pause(milliseconds).then(() => (pause.over = true));
  return pause;
}
const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

test('a pause lasts as long as its argument says', async () => {
  const pause = pausing(100);
  await pass(99);
  expect(pause.over).toBe(false);
  await pass(1);
  expect(pause.over).toBe(true);
});

test('it can be shortened, and not made longer', async () => {
  const pause = pausing(100);
  wait.shorten(500);
  wait.shorten(10);
  wait.shorten(50);
  await pass(9);
  expect(pause.over).toBe(false);
  await pass(1);
  expect(pause.over).toBe(true);
});

test('shortening where there is no pause does nothing to the next', async () => {
  wait.shorten(1);
  const pause = pausing(100);
  await pass(99);
  expect(pause.over).toBe(false);
  wait.shorten(0);
  await pass(0);
  expect(pause.over).toBe(true);
});

test('a link that ends ends the pause and every later one, and leaves no timer', async () => {
  const pause = pausing(100);
  end();
  await pass(0);
  expect([pause.over, wait.ended]).toEqual([true, true]);
  wait.shorten(5);
  const later = pausing(100);
  await pass(0);
  expect(later.over).toBe(true);
  expect(jest.getTimerCount()).toBe(0);
});
