/** The computing and keeping of verdicts: over steps and instances, and while the metrics store is down. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../core/testing/eventually.ts';
import type { SettledVehicles } from '../settled/settled-vehicles.ts';
import { MAX_LOOKS } from './guard-history.ts';
import { MINUTE, type GuardRow, guardTestSteps, GuardsUnderTest } from '../testing/guards-under-test.ts';

let guards: GuardsUnderTest;

beforeAll(async () => {
  guards = await GuardsUnderTest.start();
});

afterAll(() => guards.drop());

// Each look covers all that runs, so what earlier tests left would only take time.
beforeEach(() => guards.prisma.rollout.updateMany({ data: { status: 'completed' } }));

const { job, guarded, vehicle, arm, times, bad, good, measured, verdict, stateOf, nextWatch, history } = guardTestSteps(
  () => guards,
);

test('before any vehicle has reported, the verdict is to wait', async () => {
  const rollout = await guarded();
  expect(await job().refresh()).toBe(1);
  expect(await verdict(rollout)).toMatchObject({
    watch: 2,
    verdict: 'waiting',
    figures: { controlVehicles: 0, treatmentVehicles: 0, pValue: null, lastMeasurementAt: null },
  });
});

describe('what a guard has seen', () => {
  test('is kept where it says something new, with the numbers of that time', async () => {
    const rollout = await guarded();
    await job().refresh();
    await measured(rollout, good(rollout));
    await job().refresh();
    // The same again, a moment later.
    await job().refresh();
    await measured(rollout, bad(rollout));
    await job().refresh();
    expect(await history(rollout)).toEqual([
      {
        at: expect.any(String),
        verdict: 'WAITING',
        controlVehicles: 0,
        treatmentVehicles: 0,
        controlMean: null,
        treatmentMean: null,
        worsePercent: null,
        worsePercentAtLeast: null,
      },
      expect.objectContaining({ verdict: 'HOLDING', controlVehicles: 10, treatmentVehicles: 10, treatmentMean: 0 }),
      expect.objectContaining({ verdict: 'CROSSED', controlVehicles: 20, treatmentVehicles: 20, treatmentMean: 0.5 }),
    ]);
    expect(await history(await guarded())).toEqual([]);
  });

  test('is thinned to half where it has become long, and keeps its beginning and its newest look', async () => {
    const rollout = await guarded();
    const { rolloutId } = rollout;
    await guards.prisma.rolloutLook.createMany({
      data: Array.from({ length: MAX_LOOKS }, (_, minute) => ({
        rolloutId,
        at: new Date(Date.now() - (MAX_LOOKS + 1 - minute) * MINUTE),
        watch: 2,
        verdict: 'waiting',
        controlVehicles: minute,
        treatmentVehicles: minute,
      })),
    });
    const [first] = await history(rollout);
    await job().refresh();
    const looks = await history(rollout);
    expect(looks).toHaveLength(MAX_LOOKS / 2 + 1);
    expect(looks[0]).toEqual(first);
    expect(looks.at(-1)).toMatchObject({ verdict: 'WAITING', treatmentMean: null });
    expect(looks.map(({ at }) => at)).toEqual(looks.map(({ at }) => at).sort());
  });
});

describe('over the steps', () => {
  test('only the vehicles moved by a step are compared with those left, and the evidence multiplies', async () => {
    const rollout = await guarded({}, { percentage: 10, minutes: 30 });
    const rows = (from: number, to: number, count: number, value: number, minutesAgo: number): GuardRow[] =>
      times(count, value).map(() => ({ value, vin: vehicle(rollout, from, to), minutesAgo }));
    await measured(rollout, [...rows(0, 10, 1, 1, 25), ...rows(10, 100, 12, 0, 25)]);
    await job().refresh();
    const before = await stateOf(rollout);
    await nextWatch(rollout, 50);
    // The vehicles of the first step fail again and again, and do not count again.
    await measured(rollout, [...rows(0, 10, 30, 1, 0), ...rows(10, 50, 5, 1, 0), ...rows(50, 100, 12, 0, 0)]);
    await job().refresh();
    const after = await stateOf(rollout);
    expect(after.epochs.map(({ from, to }) => [from, to])).toEqual([
      [0, 10_000],
      [10_000, 50_000],
    ]);
    expect(after.epochs[0]).toEqual(before.epochs[0]);
    expect((await verdict(rollout))?.figures).toMatchObject({ controlVehicles: 12, treatmentVehicles: 5 });
    expect(after.most).toBeGreaterThan(before.most);
    expect(await verdict(rollout)).toMatchObject({ verdict: 'crossed' });
  });

  test('a resumption, and a percentage that is lowered and raised again, draws no vehicles once more', async () => {
    const rollout = await guarded();
    await measured(rollout, good(rollout));
    await job().refresh();
    const before = await stateOf(rollout);
    await nextWatch(rollout, 20);
    await job().refresh();
    await nextWatch(rollout, 50);
    await job().refresh();
    expect((await stateOf(rollout)).epochs).toEqual(before.epochs);
    expect(await verdict(rollout)).toMatchObject({ watch: 4, verdict: 'holding', figures: { treatmentVehicles: 10 } });
  });

  test('what has crossed stays crossed, in later watches too', async () => {
    const rollout = await guarded();
    await measured(rollout, bad(rollout));
    await job().refresh();
    const crossed = await verdict(rollout);
    expect(crossed).toMatchObject({ verdict: 'crossed' });
    await measured(rollout, arm(rollout, 'control', times(60, 1)));
    await job().refresh();
    expect(await verdict(rollout)).toEqual(crossed);
    await nextWatch(rollout, 50);
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({ watch: 3, verdict: 'crossed', figures: { controlVehicles: 70 } });
  });
});

test('a metric is silent when no measurement under treatment has arrived for too long, whatever its own time and the control', async () => {
  const rollouts = {
    never: await guarded({}, { minutes: 31 }),
    stopped: await guarded({}, { minutes: 90 }),
    late: await guarded({}, { minutes: 90 }),
    young: await guarded({}, { minutes: 29 }),
    off: await guarded({}, { minutes: 90, percentage: 0 }),
    elsewhere: await guarded({}, { minutes: 90 }),
  };
  const { never, stopped, late, elsewhere } = rollouts;
  await measured(never, arm(never, 'control', [0]));
  await measured(stopped, [...arm(stopped, 'treatment', [0], { minutesAgo: 31 }), ...arm(stopped, 'control', [0])]);
  await measured(late, arm(late, 'treatment', [0], { minutesAgo: 60, arrivedMinutesAgo: 5 }));
  // Its rule is narrowed, and only vehicles without the treatment are heard.
  await measured(elsewhere, arm(elsewhere, 'treatment', [0], { variant: 'control' }));
  await job().refresh();
  const found: Record<string, string | undefined> = {};
  for (const [name, rollout] of Object.entries(rollouts)) found[name] = (await verdict(rollout))?.verdict;
  expect(found).toEqual({
    never: 'silent',
    stopped: 'silent',
    late: 'waiting',
    young: 'waiting',
    off: 'waiting',
    elsewhere: 'silent',
  });
});

test('paused rollouts are still watched; ended ones, and those that have not begun, are not', async () => {
  const paused = await guarded({}, { status: 'paused' });
  const others = [
    await guarded({}, { status: 'completed' }),
    await guarded({}, { status: 'pulled_back' }),
    await guarded({ watch: 0, watchedSince: null }, { status: 'waiting_for_approval' }),
  ];
  for (const rollout of [paused, ...others]) await measured(rollout, bad(rollout));
  await job().refresh();
  expect(await verdict(paused)).toMatchObject({ verdict: 'crossed' });
  for (const rollout of others) expect(await verdict(rollout)).toBeNull();
});

test('a slow computation does not overwrite a newer verdict', async () => {
  const rollout = await guarded();
  let [seen, go] = [() => {}, () => {}];
  const [looked, released] = [
    new Promise<void>((resolve) => (seen = resolve)),
    new Promise<void>((resolve) => (go = resolve)),
  ];
  const slow: SettledVehicles = {
    ...guards.stored,
    async sums(epoch, ...rest) {
      const sums = await guards.stored.sums(epoch, ...rest);
      if (epoch.flagKey === rollout.key) {
        seen();
        await released;
      }
      return sums;
    },
  };
  const looking = job({ settled: slow }).refresh();
  await looked;
  // Another instance leaves the rollout alone meanwhile; a newer verdict is written past the job.
  await job().refresh();
  expect(await verdict(rollout)).toBeNull();
  const newer = new Date(Date.now() + MINUTE);
  await guards.prisma.rolloutVerdict.create({
    data: { rolloutId: rollout.rolloutId, watch: 2, verdict: 'holding', figures: {}, computedAt: newer },
  });
  go();
  await looking;
  expect(await verdict(rollout)).toMatchObject({ verdict: 'holding', computedAt: newer });
});

test('concurrent instances compute each verdict once, and not again within the interval', async () => {
  const rollouts = await Promise.all(Array.from({ length: 6 }, () => guarded()));
  const counts = await Promise.all([0, 1, 2].map(() => job({ interval: MINUTE }).refresh()));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rollouts.length);
  for (const rollout of rollouts) expect(await verdict(rollout)).toMatchObject({ verdict: 'waiting' });
  expect(await job({ interval: MINUTE }).refresh()).toBe(0);
});

test('while the metrics store is down a verdict stays and ages; new ones are computed when it is back', async () => {
  const rollout = await guarded();
  await measured(rollout, good(rollout));
  await job().refresh();
  const before = await verdict(rollout);
  const away: SettledVehicles = { ...guards.stored, sums: () => Promise.reject(new Error('The store is away')) };
  await job({ settled: away }).refresh();
  expect(await verdict(rollout)).toEqual(before);
  await job().refresh();
  const after = await verdict(rollout);
  expect(after?.verdict).toBe('holding');
  expect(after?.computedAt.getTime()).toBeGreaterThan(before?.computedAt.getTime() ?? Infinity);
});

test('a started job polls by itself until it is closed', async () => {
  const rollout = await guarded();
  await measured(rollout, good(rollout));
  const counted = () => {
    const polls = { count: 0 };
    const settled: SettledVehicles = {
      ...guards.stored,
      sums: (...args) => {
        polls.count += 1;
        return guards.stored.sums(...args);
      },
    };
    return { polls, job: job({ interval: 10, settled }) };
  };
  const [closed, open] = [counted(), counted()];
  closed.job.start();
  await eventually(() => closed.polls.count >= 2, 'it has polled twice');
  await closed.job.close();
  const last = closed.polls.count;
  // Another one polls on meanwhile.
  open.job.start();
  await eventually(() => open.polls.count >= 3, 'another has polled three times');
  await open.job.close();
  expect(await verdict(rollout)).not.toBeNull();
  expect(closed.polls.count).toBe(last);
});
