import { beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Backoff } from '../../core/async/backoff.ts';
import { AssignmentPace } from './assignment-pace.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

let now: number;
let drawn: number;
let pace: AssignmentPace;

beforeEach(() => begin());

function begin(): void {
  [now, drawn] = [0, 0];
  const random = () => drawn;
  pace = new AssignmentPace({
    runningMs: () => now,
    random,
    backoff: new Backoff({ baseMs: MINUTE, capMs: HOUR, random }),
    spreadMs: 5 * SECOND,
  });
}

/** Sends a nonce where one is due, and takes the answer that it is the same partition still. */
function askIfDue(changed = false): boolean {
  if (pace.waitMs !== 0) return false;
  pace.asked();
  pace.proven(changed);
  return true;
}

test('nothing is asked before there is a reason', () => {
  expect(pace.waitMs).toBe(Infinity);
  now = 100 * HOUR;
  expect(pace.waitMs).toBe(Infinity);
});

test('a vehicle without a partition asks at once on each new connection, and then after growing waits', () => {
  pace.unassigned();
  expect(pace.waitMs).toBe(0);
  pace.asked();
  expect(pace.waitMs).toBe(MINUTE);
  now += MINUTE;
  pace.asked();
  expect(pace.waitMs).toBe(2 * MINUTE);
  pace.unassigned();
  expect(pace.waitMs).toBe(0);
});

test('the vehicles of a model that gets another partition ask within five seconds', () => {
  drawn = 0.8;
  pace.want();
  expect(pace.waitMs).toBe(4 * SECOND);
});

test('an ended subscription counts once an hour, and another partition by it makes the next count at once', () => {
  pace.hint();
  expect(askIfDue()).toBe(true);
  now += 59 * MINUTE;
  pace.hint();
  expect(pace.waitMs).toBe(Infinity);
  now += 2 * MINUTE;
  pace.hint();
  expect(askIfDue(true)).toBe(true);
  pace.hint();
  expect(pace.waitMs).toBe(0);
});

test('the time that a refusal names is kept, for ten minutes at most and over connections, and none is no reason to wait', () => {
  pace.unassigned();
  pace.asked();
  pace.refused(30);
  expect(pace.waitMs).toBe(30 * SECOND);
  pace.unassigned();
  expect(pace.waitMs).toBe(30 * SECOND);
  pace.refused(undefined);
  expect(pace.waitMs).toBe(30 * SECOND);
  pace.refused(3_600);
  expect(pace.waitMs).toBe(10 * MINUTE);
});

test('whatever a relay without a key does, it gains one nonce an hour, and some at first', () => {
  const step = fc.record({
    passMs: fc.integer({ min: 0, max: 20 * MINUTE }),
    does: fc.constantFrom('end', 'inject'),
    draw: fc.double({ min: 0, max: 0.99, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 400 }), (steps) => {
      begin();
      let asked = 0;
      for (const { passMs, does, draw } of steps) {
        now += passMs;
        drawn = draw;
        if (does === 'end') pace.hint();
        else pace.want();
        if (askIfDue()) asked += 1;
      }
      // After a handful the waits are an hour; after four quiet hours there is a handful again.
      expect(asked).toBeLessThanOrEqual(8 + (1.5 * now) / HOUR);
    }),
  );
});

test('a vehicle that is registered again and again is never made to wait by its own past', () => {
  for (let move = 0; move < 20; move++) {
    pace.want();
    expect(askIfDue(true)).toBe(true);
    now += SECOND;
  }
});
