import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Poller } from './poller.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

test('a poller waits after each poll for as long as the poll has returned', async () => {
  const waits = [100, 5_000];
  let turns = 0;
  const poller = new Poller(async () => waits[turns++] ?? 1_000_000);
  await poller.start();
  expect(turns).toBe(1);
  await pass(99);
  expect(turns).toBe(1);
  await pass(1);
  expect(turns).toBe(2);
  await pass(4_999);
  expect(turns).toBe(2);
  await pass(1);
  expect(turns).toBe(3);
  await poller.close();
});

test('a poller may begin after a wait', async () => {
  let turns = 0;
  const poller = new Poller(async () => (turns += 1) * 1_000);
  await poller.start(50);
  expect(turns).toBe(0);
  await pass(50);
  expect(turns).toBe(1);
  await poller.close();
});

test('a poller is closed when the running poll, which can see that, has ended, and no other follows', async () => {
  let turns = 0;
  let finish: () => void = () => undefined;
  const poller = new Poller(async () => {
    turns += 1;
    await new Promise<void>((resolve) => (finish = resolve));
    return 1;
  });
  void poller.start();
  let closed = false;
  const closing = poller.close().then(() => (closed = true));
  await pass(1_000);
  expect([closed, poller.closed]).toEqual([false, true]);
  finish();
  await closing;
  await pass(1_000);
  expect(turns).toBe(1);
});

test('a poller stops by itself when a run finds nothing left to do', async () => {
  let turns = 0;
  const poller = new Poller(async () => (++turns < 2 ? 10 : null));
  await poller.start();
  await pass(1_000_000);
  expect(turns).toBe(2);
  await poller.close();
});

test('on an interval counts from the start of a run, and lets no two overlap', async () => {
  const startedAt: number[] = [];
  const begin = performance.now();
  const durations = [30, 250, 0];
  const poller = Poller.every(100, async () => {
    startedAt.push(Math.round(performance.now() - begin));
    const duration = durations.shift() ?? 0;
    // oxlint-disable-next-line fleetflag/no-fixed-wait -- on fake timers
    if (duration > 0) await new Promise((resolve) => setTimeout(resolve, duration));
  });
  void poller.start();
  await pass(460);
  expect(startedAt).toEqual([0, 100, 351, 451]);
  await poller.close();
});

test('a poller waits as long as the poll says, however long, where a timer of Node.js would not', async () => {
  let turns = 0;
  const poller = new Poller(async () => ((turns += 1), 2 ** 40));
  await poller.start();
  await pass(60_000);
  expect(turns).toBe(1);
  await poller.close();
});
