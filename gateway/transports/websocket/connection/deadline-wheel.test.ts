import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { eventually } from '../../../../core/testing/eventually.ts';
import { DeadlineWheel, NO_SLOT, type WheelEntry } from './deadline-wheel.ts';

class Entry implements WheelEntry {
  slot = NO_SLOT;
  readonly lookedAt: number[] = [];
}

describe('deadlines', () => {
  let wheel: DeadlineWheel<Entry>;
  let next: (entry: Entry) => number;
  beforeEach(() => {
    next = () => 1_000_000;
    wheel = new DeadlineWheel<Entry>(10, (entry) => {
      entry.lookedAt.push(wheel.nowMs);
      return next(entry);
    });
  });
  afterEach(() => wheel.stop());
  const pass = (ms: number) => {
    for (let at = 0; at < ms; at += 10) wheel.tick();
  };

  test('are checked when they are due, not before and at most a tick later, however they are moved', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_200 }), { minLength: 1, maxLength: 20 }), (waits) => {
        const entry = new Entry();
        const from = wheel.nowMs;
        const last = waits.at(-1)!;
        for (const wait of waits) wheel.schedule(entry, wait);
        expect(wheel.size).toBe(1);
        pass(Math.max(10, last));
        pass(10);
        expect(entry.lookedAt).toHaveLength(1);
        const late = entry.lookedAt[0]! - from - last;
        expect(late).toBeGreaterThanOrEqual(0);
        expect(late).toBeLessThanOrEqual(10);
        expect(wheel.delete(entry)).toBe(true);
      }),
    );
  });

  test('that are far away are checked in between, and then again when they are due', () => {
    const entry = new Entry();
    wheel.schedule(entry, 5_000);
    next = () => 5_000 - wheel.nowMs;
    pass(5_000);
    expect(entry.lookedAt.at(-1)).toBe(5_000);
    expect(entry.lookedAt.length).toBeLessThan(6);
  });

  test('end with their entry, which may be deleted while it is checked', () => {
    const [gone, leaving, staying] = [new Entry(), new Entry(), new Entry()];
    for (const entry of [gone, leaving, staying]) wheel.schedule(entry, 10);
    expect([...wheel]).toHaveLength(3);
    next = (entry) => {
      if (entry === leaving) wheel.delete(entry);
      return 10;
    };
    expect(wheel.delete(gone)).toBe(true);
    expect(wheel.delete(gone)).toBe(false);
    pass(50);
    expect([gone, leaving, staying].map(({ lookedAt }) => lookedAt.length)).toEqual([0, 1, 5]);
    expect([...wheel]).toEqual([staying]);
    expect(wheel.size).toBe(1);
  });
});

test('time in which the process is busy does not pass', async () => {
  const wheel = new DeadlineWheel<Entry>(10, () => 10);
  await eventually(() => wheel.nowMs > 0, 'the first tick');
  const before = wheel.nowMs;
  const until = performance.now() + 200;
  while (performance.now() < until);
  await eventually(() => wheel.nowMs > before, 'time to pass again');
  // The clock moved on by twenty ticks, but the event loop could run only a few of them.
  expect(wheel.nowMs - before).toBeLessThanOrEqual(50);
  wheel.stop();
});
