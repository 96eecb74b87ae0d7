import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../core/testing/rounds.ts';
import { DistinctOperation } from './distinct-operation.ts';
import { FanOutTurns } from './fan-out-turns.ts';

test('a pass lets other work run when its turn is over, and shares turns with other passes', async () => {
  let now = 0;
  const turns = new FanOutTurns({ turnMs: 4, socketsBetweenLooks: 1, restMs: 0, quietRestMs: 0 }, () => now);
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
  second.pass.end(false);
  expect(alone.pass.isOver()).toBe(false);
});

test('an operation rests after a pass for three times what the pass worked, or a bound; longer when more is waiting', () => {
  let now = 0;
  const turns = new FanOutTurns({ turnMs: 4, socketsBetweenLooks: 1, restMs: 500, quietRestMs: 100 }, () => now);
  for (const [workedMs, isFollowed, restMs] of [
    [0, true, 0],
    [10, true, 30],
    [166, true, 498],
    [167, true, 500],
    [1_000, true, 500],
    [10, false, 30],
    [34, false, 100],
    [1_000, false, 100],
  ] as const) {
    const pass = turns.begin();
    now += workedMs;
    expect(pass.end(isFollowed) - now).toBe(restMs);
  }
});

describe('changes', () => {
  const REST_MS = 500;
  const QUIET_REST_MS = 100;
  const FLUSH_MS = 4;
  beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] }));
  afterEach(() => void jest.useRealTimers());

  interface Change {
    readonly n: number;
    readonly at: number;
    readonly isKill?: boolean;
  }

  /** An operation of one member, to whom a delivery takes `passMs` milliseconds, and a record of what was sent when. */
  function fleet(passMs: number) {
    const sent: { at: number; last: number; count: number }[] = [];
    const from = Date.now();
    const now = () => Date.now() - from;
    let executed = 0;
    let due: Change[] = [];
    const operation = new DistinctOperation({
      execute: async ({ data }) => {
        executed = Number(data?.['n']);
        return Buffer.from(JSON.stringify(data));
      },
      overflow: () => undefined,
      isSkippable: false,
      turns: new FanOutTurns(
        { turnMs: 4, socketsBetweenLooks: 16, restMs: REST_MS, quietRestMs: QUIET_REST_MS },
        Date.now,
      ),
      limits: { flushWindowMs: FLUSH_MS, batchBytes: 100_000, maxQueuedEvents: 1_000 },
    });
    const change = ({ n, isKill = false }: Pick<Change, 'n' | 'isKill'>) =>
      operation.push({ data: { n }, ...(isKill && { extensions: { urgent: true } }) });
    const changeWhatIsDue = () => {
      const arrived = due.filter(({ at }) => at <= now());
      due = due.filter(({ at }) => at > now());
      for (const one of arrived) change(one);
    };
    operation.join({
      joinedAt: 0,
      deliver({ count }) {
        sent.push({ at: now(), last: executed, count });
        jest.setSystemTime(Date.now() + passMs);
        // These come while the pass is under way.
        changeWhatIsDue();
      },
      refuse: () => undefined,
      complete: () => undefined,
    });
    /** Makes the changes when they are due by the clock, which deliveries advance, and lets all of them be sent. */
    const changeAll = async (changes: readonly Change[]) => {
      due = [...changes];
      for (let next = due[0]; next !== undefined; next = due[0]) {
        // A delivery advances the clock, and so shortens the wait.
        while (now() < next.at) await jest.advanceTimersByTimeAsync(jest.getTimerCount() === 0 ? next.at - now() : 1);
        changeWhatIsDue();
        await new Promise(setImmediate);
      }
      await jest.advanceTimersByTimeAsync(2 * (passMs + REST_MS));
    };
    return { operation, sent, change, changeAll, now };
  }

  test('of a burst go together in few passes, and the first of them at once', async () => {
    const { operation, sent, changeAll } = fleet(200);
    await changeAll(Array.from({ length: 50 }, (_, n) => ({ n: n + 1, at: 20 * n })));
    expect(sent.reduce((sum, { count }) => sum + count, 0)).toBe(50);
    expect(sent[0]).toMatchObject({ at: FLUSH_MS, count: 1 });
    // The first pass, one for the changes that have come meanwhile, and one for the rest.
    expect(sent.length).toBeLessThanOrEqual(3);
    operation.dissolve();
  });

  test('that come one by one wait for no rest, though a pass takes longer than the time between two', async () => {
    const { operation, sent, changeAll } = fleet(250);
    const changes = Array.from({ length: 10 }, (_, n) => ({ n: n + 1, at: 450 * n }));
    await changeAll(changes);
    expect(sent).toEqual(changes.map(({ n, at }) => ({ at: at + FLUSH_MS, last: n, count: 1 })));
    operation.dissolve();
  });

  test('cost a number of passes that depends on the time in which they come, and no kill switch waits for one to be due', async () => {
    const gaps = fc.array(fc.record({ afterMs: fc.nat(60), isKill: fc.nat(9).map((n) => n === 0) }), {
      minLength: 1,
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), gaps, async (passMs, all) => {
        const { operation, sent, changeAll } = fleet(passMs);
        let at = 0;
        const changes = all.map(({ afterMs, isKill }, index) => ({ n: index + 1, at: (at += afterMs), isKill }));
        await changeAll(changes);
        expect(sent.reduce((sum, { count }) => sum + count, 0)).toBe(all.length);
        const kills = changes.filter(({ isKill }) => isKill);
        const apartMs = passMs + Math.min(QUIET_REST_MS, 3 * passMs);
        expect(sent.length).toBeLessThanOrEqual(2 + Math.ceil(at / apartMs) + kills.length);
        for (const { n, at: pulledAt } of kills) {
          const first = sent.find((pass) => pass.last >= n);
          // A pass that is under way ends first. Timers of 0 ms take one.
          expect((first?.at ?? Infinity) - pulledAt).toBeLessThanOrEqual(passMs + 1);
        }
        operation.dissolve();
      }),
      { numRuns: rounds(60, 2_000) },
    );
  });

  test('that pull a kill switch take those with them that wait', async () => {
    const { operation, sent, change } = fleet(200);
    change({ n: 1 });
    await jest.advanceTimersByTimeAsync(FLUSH_MS);
    change({ n: 2 });
    await jest.advanceTimersByTimeAsync(20);
    expect(sent).toHaveLength(1);
    change({ n: 3, isKill: true });
    await jest.advanceTimersByTimeAsync(1);
    expect(sent.at(-1)).toMatchObject({ last: 3, count: 2 });
    operation.dissolve();
  });
});
