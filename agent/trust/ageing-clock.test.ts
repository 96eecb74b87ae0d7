import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { AgeingClock } from './ageing-clock.ts';

const DAY_MS = 86_400_000;
const NOWHERE = { url: 'ws://127.0.0.1:1/graphql' };

test('time never goes back, whatever the clock does, and passes at least as fast as the process runs', () => {
  const step = fc.record({
    clock: fc.integer({ min: -30 * DAY_MS, max: 30 * DAY_MS }),
    running: fc.integer({ min: 0, max: DAY_MS }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1 }), (steps) => {
      let [clock, running] = [1e12, 0];
      const ageing = new AgeingClock(
        () => clock,
        () => running,
      );
      let before = ageing.seconds();
      for (const each of steps) {
        clock += each.clock;
        running += each.running;
        const now = ageing.seconds();
        expect(now).toBeGreaterThanOrEqual(before + Math.floor(each.running / 1000));
        expect(now).toBeGreaterThanOrEqual(Math.floor(clock / 1000));
        before = now;
      }
      ageing.answered(1_000);
      expect(ageing.seconds()).toBe(1_000);
    }),
  );
});

test('a clock that stands in 1970 ages all the same, over starts', () => {
  let running = 0;
  const first = new AgeingClock(
    () => 0,
    () => running,
  );
  first.resumeAt(1_000_000);
  running += 5 * DAY_MS;
  const second = new AgeingClock(
    () => 0,
    () => running,
  );
  second.resumeAt(first.seconds());
  running += 3 * DAY_MS;
  expect(second.seconds()).toBe(1_000_000 + (8 * DAY_MS) / 1000);
});

describe('a clock that a contact has found wrong', () => {
  const YEAR = 365 * DAY_MS;
  const TRUTH = Date.UTC(2026, 5, 15);
  let [truth, error] = [TRUTH, 0];
  const clock = () =>
    new AgeingClock(
      () => truth + error,
      () => truth,
    );
  const passed = (ageing: AgeingClock) => ageing.seconds() - TRUTH / 1000;
  beforeEach(() => void ([truth, error] = [TRUTH, 0]));

  /** A clock at a new start, `offMs` after the last. */
  function restarted(ageing: AgeingClock, offMs: number): AgeingClock {
    const kept = ageing.keep();
    truth += offMs;
    const next = clock();
    next.resume(kept);
    return next;
  }

  test.each([-50 * YEAR, -2 * DAY_MS, 8 * DAY_MS, 10 * YEAR])(
    'by %i ms ages as the truth does, running and switched off',
    (wrong) => {
      error = wrong;
      let ageing = clock();
      ageing.answered(TRUTH / 1000);
      truth += DAY_MS;
      expect(passed(ageing)).toBe(86_400);
      ageing = restarted(ageing, 6 * DAY_MS - 3_600_000);
      expect(passed(ageing)).toBe(7 * 86_400 - 3_600);
      ageing = restarted(ageing, 2 * 3_600_000);
      expect(passed(ageing)).toBe(7 * 86_400 + 3_600);
    },
  );

  test.each([-50 * YEAR, 10 * YEAR, 8 * DAY_MS])(
    'by %i ms and is then set right makes nothing older than it is',
    (wrong) => {
      error = wrong;
      const ageing = clock();
      ageing.answered(TRUTH / 1000);
      truth += 3_600_000;
      error = 0;
      expect(passed(ageing)).toBe(3_600);
      expect(passed(restarted(ageing, 8 * DAY_MS))).toBe(8 * 86_400 + 3_600);
    },
  );

  test('and that begins at the same time at each start counts what has passed while it ran', () => {
    error = -50 * YEAR;
    let ageing = clock();
    ageing.answered(TRUTH / 1000);
    for (let start = 0; start < 15; start++) {
      truth += DAY_MS / 2;
      ageing.seconds();
      error -= DAY_MS / 2;
      ageing = restarted(ageing, 0);
    }
    expect(passed(ageing)).toBe(7.5 * 86_400);
  });

  test.each([8 * DAY_MS, YEAR / 2])(
    'by %i ms after it was ahead is not believed with any proof, be it of now or a recording, over starts too',
    (ahead) => {
      let ageing = clock();
      ageing.contact(TRUTH / 1000);
      error = ahead;
      expect(passed(ageing)).toBe(ahead / 1000);
      ageing = restarted(ageing, 0);
      error = 0;
      ageing = restarted(ageing, 60_000);
      for (const issuedAt of [truth, TRUTH + 24_000]) expect(ageing.isNear(issuedAt / 1000)).toBe(false);
      ageing.answered(truth / 1000);
      expect(passed(ageing)).toBe(60);
    },
  );

  test('takes no proof that would make it go back by more than a day, whatever the clock did before', () => {
    const step = fc.record({
      clock: fc.integer({ min: -400 * DAY_MS, max: 400 * DAY_MS }),
      passedMs: fc.integer({ min: 0, max: 10 * DAY_MS }),
      start: fc.boolean(),
      ageMs: fc.integer({ min: 0, max: 400 * DAY_MS }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        [truth, error] = [TRUTH, 0];
        let ageing = clock();
        ageing.contact(TRUTH / 1000);
        for (const each of steps) {
          truth += each.passedMs;
          error = each.clock;
          if (each.start) ageing = restarted(ageing, 0);
          const before = ageing.seconds();
          const issuedAt = (truth + error - each.ageMs) / 1000;
          if (!ageing.isNear(issuedAt)) continue;
          expect(issuedAt).toBeGreaterThanOrEqual(before - 86_400);
          ageing.contact(issuedAt);
          expect(ageing.seconds()).toBeGreaterThanOrEqual(before);
        }
      }),
    );
  });
});

describe('a vehicle whose clock is moved by days', () => {
  let plane: TestControlPlane;
  let vehicle: TestVehicle;
  /** The true time stands still; the vehicle's clock does not. */
  const truth = Date.UTC(2026, 5, 15);
  let clock: number;

  beforeEach(async () => {
    clock = truth;
    plane = await TestControlPlane.start();
    plane.now = () => truth;
    vehicle = await TestVehicle.create(plane);
    await plane.put('eco', {
      type: 'string',
      defaultValue: 'safe',
      rules: [
        {
          id: 'on',
          type: 'percentage_rollout',
          priority: 1,
          enabled: true,
          conditions: { rollout_percentage: 100 },
          value: 'new',
        },
      ],
    });
    const agent = await start({ url: plane.url });
    await agent.ready();
    await agent.close();
  });

  afterEach(async () => {
    await vehicle.dispose();
    await plane.stop();
  });

  const start = (options: { url: string } = NOWHERE): Promise<FleetFlagAgent> =>
    vehicle.start({ now: () => clock, timings: { metricsWriteMs: 1 }, ...options });
  // The clock is read once in each run of the program, so who moves it waits for the next.
  const state = (agent: FleetFlagAgent) => [
    agent.stringDetails('eco', '').value,
    agent.stringDetails('eco', '').reason,
    agent.status().staleFlags,
  ];
  const FRESH = ['new', 'SPLIT', 0];
  const STALE = ['safe', 'STALE', 1];

  test('has its flags for seven days, and once they are stale no earlier time makes them young', async () => {
    const agent = await start();
    for (const days of [0, -20, 6, -3, 6.99]) {
      clock = truth + days * DAY_MS;
      await turn();
      expect(state(agent)).toEqual(FRESH);
    }
    for (const days of [7.01, 6, 0, -400]) {
      clock = truth + days * DAY_MS;
      await turn();
      expect(state(agent)).toEqual(STALE);
    }
  });

  test('does not get them back by a start, once something was written', async () => {
    const agent = await start();
    clock = truth + 8 * DAY_MS;
    agent.track('minutes', 1, { flagKey: 'eco' });
    await agent.close();
    clock = truth - DAY_MS;
    expect(state(await start())).toEqual(STALE);
  });

  test('has them again after a contact, when the clock is right', async () => {
    const agent = await start();
    clock = truth + 9 * DAY_MS;
    expect(state(agent)).toEqual(STALE);
    await agent.close();
    plane.now = () => truth + 60_000;
    clock = truth + 60_000;
    const again = await start({ url: plane.url });
    await eventually(() => again.status().staleFlags === 0, 'the contact counts');
    expect(state(again)).toEqual(FRESH);
  });

  test('measures at no time before the newest contact, though the clock starts in 1970', async () => {
    clock = 0;
    const agent = await start();
    agent.track('minutes', 1, { flagKey: 'eco' });
    agent.evaluate('eco');
    clock = truth + 2 * DAY_MS;
    agent.track('minutes', 2, { flagKey: 'eco' });
    clock = truth - 5 * DAY_MS;
    agent.track('minutes', 3, { flagKey: 'eco' });
    await agent.close();
    const online = await start({ url: plane.url });
    await online.ready();
    await online.close();
    const sender = await vehicle.start({ now: () => truth, timings: { metricsIntervalMs: 5 } });
    await eventually(() => sender.status().connected && sender.status().metrics.queued === 0, 'all is sent');
    const times = plane.batches.flatMap(({ items }) =>
      items
        .filter(({ metricName }) => metricName === 'minutes')
        .map(({ value, timestamp }) => [value, Date.parse(timestamp)]),
    );
    expect(times).toEqual([
      [1, truth],
      [2, truth + 2 * DAY_MS],
      [3, truth],
    ]);
  });
});
