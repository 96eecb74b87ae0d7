import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { BoundedSemaphore, type SemaphoreLimits } from './bounded-semaphore.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const turnsOf = (limits: Partial<SemaphoreLimits>) =>
  new BoundedSemaphore({ running: 1, waiting: 1, waitMs: 1_000, ...limits }, (why) => new Error(why));
/** Lets what has been settled go on. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

test('up to the limit run, the next wait in the order of arrival, and one more is refused at once', async () => {
  const turns = turnsOf({ running: 2, waiting: 2 });
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const take = (name: number) =>
    turns.acquire().then((end) => {
      begun.push(name);
      ends.push(end);
    });
  const taken = [take(1), take(2), take(3), take(4)];
  await expect(turns.acquire()).rejects.toThrow('full');
  expect(begun).toEqual([1, 2]);
  // Ended twice, it gives its place away once.
  ends[0]?.();
  ends[0]?.();
  await settle();
  expect(begun).toEqual([1, 2, 3]);
  ends[1]?.();
  await settle();
  expect(begun).toEqual([1, 2, 3, 4]);
  expect(turns.idle).toBe(false);
  ends.forEach((end) => end());
  await Promise.all(taken);
  expect(turns.idle).toBe(true);
});

test('a waiter that has waited too long is refused, and takes no place from later ones', async () => {
  const turns = turnsOf({});
  const end = await turns.acquire();
  const late = turns.acquire();
  const refused = expect(late).rejects.toThrow('late');
  jest.advanceTimersByTime(1_000);
  await refused;
  const next = turns.acquire();
  end();
  (await next)();
  expect(turns.idle).toBe(true);
  // Its own time passes while it runs.
  jest.advanceTimersByTime(10_000);
  expect(turns.idle).toBe(true);
});

test('without a limit on waiting, no waiter is refused for its wait', async () => {
  const turns = turnsOf({ waitMs: Infinity });
  const end = await turns.acquire();
  const waiting = turns.acquire();
  jest.advanceTimersByTime(1e9);
  end();
  expect(await waiting).toEqual(expect.any(Function));
});

test('lent places run more than the own ones, and where none is lent, the waiter gets an own one', async () => {
  const asked: { lend: () => void; refuse: () => void }[] = [];
  let lent = 0;
  const lender = {
    borrow: () =>
      new Promise<void>((resolve, reject) => {
        asked.push({ lend: () => (lent++, resolve()), refuse: () => reject(new Error('none')) });
      }),
    giveBack: () => void lent--,
  };
  const limits = { running: 1, waiting: 2, waitMs: Infinity };
  const turns = new BoundedSemaphore(limits, (why) => new Error(why), lender);
  const first = await turns.acquire();
  const [second, third] = [turns.acquire(), turns.acquire()];
  expect(asked).toHaveLength(2);
  asked[0]?.lend();
  const end = await second;
  asked[1]?.refuse();
  await settle();
  first();
  end();
  (await third)();
  // One that comes too late is given back at once.
  asked[2]?.lend();
  await settle();
  expect([turns.idle, lent]).toEqual([true, 0]);
});

test('work that fails releases its place', async () => {
  const turns = turnsOf({});
  await expect(turns.run(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(turns.idle).toBe(true);
  expect(await turns.run(async () => 1)).toBe(1);
});

test('in any order of arrivals and ends, no more run than allowed, and every waiter runs or is refused', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 3 }),
      fc.array(fc.constantFrom('take', 'end', 'time'), { maxLength: 40 }),
      async (running, waiting, steps) => {
        const turns = turnsOf({ running, waiting });
        const ends: (() => void)[] = [];
        let [asked, settled, most] = [0, 0, 0];
        for (const step of steps) {
          if (step === 'take') {
            asked += 1;
            turns.acquire().then(
              (end) => ends.push(end),
              () => (settled += 1),
            );
          } else if (step === 'time') jest.advanceTimersByTime(1_000);
          else if (ends.length > 0) {
            ends.shift()?.();
            settled += 1;
          }
          await settle();
          most = Math.max(most, ends.length);
        }
        while (ends.length > 0) {
          ends.shift()?.();
          settled += 1;
          await settle();
        }
        expect(most).toBeLessThanOrEqual(running);
        expect({ settled, idle: turns.idle }).toEqual({ settled: asked, idle: true });
      },
    ),
  );
});
