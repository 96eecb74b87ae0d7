import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { DistinctOperation } from './distinct-operation.ts';
import { FanOutTurns } from './fan-out-turns.ts';

test('a pass lets other work run when its turn is over, and shares turns with other passes', async () => {
  let now = 0;
  const turns = new FanOutTurns({ turnMs: 4, socketsBetweenLooks: 1, apartMs: 0 }, () => now);
  const socketsInTurn = () => {
    const pass = turns.begin();
    let sockets = 0;
    do {
      sockets += 1;
      now += 1;
    } while (!pass.isOver());
    return { pass, sockets };
  };
  const alone = socketsInTurn();
  expect(alone.sockets).toBe(4);
  const second = socketsInTurn();
  expect(second.sockets).toBe(2);
  let isNext = false;
  setImmediate(() => (isNext = true));
  await alone.pass.next();
  expect(isNext).toBe(true);
  now += 1;
  expect(alone.pass.isOver()).toBe(false);
  now += 1;
  expect(alone.pass.isOver()).toBe(true);
  second.pass.end();
  expect(alone.pass.isOver()).toBe(false);
});

test('the next pass of an operation may begin when four times what the last one worked has passed, or a bound', () => {
  let now = 0;
  const turns = new FanOutTurns({ turnMs: 4, socketsBetweenLooks: 1, apartMs: 250 }, () => now);
  for (const [workedMs, restMs] of [
    [0, 0],
    [10, 40],
    [62, 248],
    [63, 250],
    [1_000, 250],
  ] as const) {
    const beganAt = now;
    const pass = turns.begin();
    now += workedMs;
    expect(pass.end() - beganAt).toBe(restMs);
  }
});

describe('changes', () => {
  beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] }));
  afterEach(() => void jest.useRealTimers());

  test('after a quiet while are sent at once, and those of a burst together, in their order', async () => {
    const sent: { at: number; count: number }[] = [];
    const from = Date.now();
    const operation = new DistinctOperation({
      execute: async ({ data }) => Buffer.from(JSON.stringify(data)),
      overflow: () => undefined,
      isSkippable: false,
      turns: new FanOutTurns({ turnMs: 4, socketsBetweenLooks: 16, apartMs: 250 }, Date.now),
      limits: { flushWindow: 4, batchBytes: 100_000, maxQueuedEvents: 1_000 },
    });
    operation.join({
      joinedAt: 0,
      deliver({ count }) {
        sent.push({ at: Date.now() - from, count });
        // What a large fleet costs.
        jest.setSystemTime(Date.now() + 100);
      },
      refuse: () => undefined,
      complete: () => undefined,
    });
    for (let n = 1; n <= 50; n++) {
      operation.push({ data: { n } });
      await jest.advanceTimersByTimeAsync(20);
    }
    await jest.advanceTimersByTimeAsync(1_000);
    expect(sent.reduce((sum, { count }) => sum + count, 0)).toBe(50);
    expect(sent[0]).toEqual({ at: 4, count: 1 });
    // A second of changes, at four passes a second.
    expect(sent.length).toBeLessThanOrEqual(9);
    sent.slice(1).forEach(({ at }, index) => expect(at - sent[index]!.at).toBeGreaterThanOrEqual(250));

    const quietUntil = Date.now() - from;
    operation.push({ data: { n: 51 } });
    await jest.advanceTimersByTimeAsync(10);
    expect(sent.at(-1)).toEqual({ at: quietUntil + 4, count: 1 });
    operation.dissolve();
  });
});
