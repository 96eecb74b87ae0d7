import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CLOCK_WATCH_LIMITS, ClockWatch } from './clock-watch.ts';

const DAY = 86_400;

let logged: [string, unknown][];
let running: number;
let watch: ClockWatch;

beforeEach(() => {
  logged = [];
  running = 0;
  const note = (level: string) => (details: unknown) => void logged.push([level, details]);
  watch = new ClockWatch({ warn: note('warn'), info: note('info') } as never, CLOCK_WATCH_LIMITS, () => running);
});

/** Makes each vehicle report one offset, all within a minute; the last report draws the conclusion. */
function report(offsets: readonly (number | null)[]): void {
  for (const [n, clockOffsetSeconds] of offsets.entries()) watch.note({ vin: `v${n}`, clockOffsetSeconds });
  running += CLOCK_WATCH_LIMITS.intervalMs;
  const last = offsets.length - 1;
  watch.note({ vin: `v${last}`, clockOffsetSeconds: offsets[last] ?? null });
}

describe('the clock of a control plane', () => {
  test('is suspected when most vehicles differ from it by the same, logged once an hour, and again when it is right', () => {
    const behind = Array.from({ length: 100 }, (_, n) => (n % 10 === 0 ? -50 * 365 * DAY : -2 * DAY + (n % 7) - 3));
    for (let minute = 0; minute < 70; minute++) report(behind);
    const suspicion = ['warn', { seconds: expect.closeTo(-2 * DAY, -1), vehicles: 90, of: 100 }];
    expect(logged).toEqual([suspicion, suspicion]);
    report(behind.map(() => 1));
    expect(logged.slice(2)).toEqual([['info', expect.any(String)]]);
    report(behind);
    expect(logged.slice(3)).toEqual([suspicion]);
  });

  test('is not suspected because of few vehicles, or of old reports', () => {
    report(Array.from({ length: CLOCK_WATCH_LIMITS.vehicles - 1 }, () => 2 * DAY));
    running += CLOCK_WATCH_LIMITS.windowMs + 1;
    report([...Array.from({ length: CLOCK_WATCH_LIMITS.vehicles - 1 }, () => null), 2 * DAY]);
    expect(logged).toEqual([]);
  });

  test('is never suspected when two of three vehicles agree with it, whatever the others report', () => {
    const right = fc.double({
      min: -CLOCK_WATCH_LIMITS.toleranceSeconds,
      max: CLOCK_WATCH_LIMITS.toleranceSeconds,
      noNaN: true,
    });
    const wrong = fc.double({ min: -1e10, max: 1e10, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(right, right, wrong, fc.boolean()), { minLength: 20, maxLength: 60 }),
        (vehicles) => {
          report(vehicles.flatMap(([one, another, off, first]) => (first ? [one, off, another] : [off, one, another])));
          expect(logged).toEqual([]);
          running += CLOCK_WATCH_LIMITS.windowMs + 1;
        },
      ),
    );
  });

  test("is not suspected when vehicles' clocks are all wrong in different ways", () => {
    report(Array.from({ length: 200 }, (_, n) => (n - 50) * DAY));
    expect(logged).toEqual([]);
  });
});
