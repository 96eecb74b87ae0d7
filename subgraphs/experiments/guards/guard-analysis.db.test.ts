/** The analysis of a guard: which measurements count, and how they are compared (windows, ranges, outliers). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import type { FlagUnderTest } from '../testing/experiments-under-test.ts';
import {
  MINUTES_METRIC,
  UNDECLARED_METRIC,
  MINUTE,
  type GuardRow,
  guardTestSteps,
  GuardsUnderTest,
} from '../testing/guards-under-test.ts';

let guards: GuardsUnderTest;

beforeAll(async () => {
  guards = await GuardsUnderTest.start();
});

afterAll(() => guards.drop());

// Each look covers all that runs, so what earlier tests left would only take time.
beforeEach(() => guards.prisma.rollout.updateMany({ data: { status: 'completed' } }));

const { job, guarded, vehicle, arm, times, bad, good, measured, verdict, stateOf } = guardTestSteps(() => guards);

test('the verdict and its figures cover the vehicles that measured this metric since the step, each counted once', async () => {
  const [worse, same] = [await guarded(), await guarded()];
  await measured(worse, bad(worse));
  const both = vehicle(same, 0, 50);
  await measured(same, [
    ...good(same),
    ...arm(same, 'treatment', [1], { variant: 'other' }),
    // From before the step, and of another metric.
    ...arm(same, 'treatment', [1], { minutesAgo: 11 }),
    ...arm(same, 'treatment', [500], { metric: 'corrections' }),
    // The first to arrive counts; the variant is only counted.
    { vin: both, value: 0, minutesAgo: 3, variant: 'treatment' },
    { vin: both, value: 1, minutesAgo: 4, arrivedMinutesAgo: 2, variant: 'control' },
  ]);
  await job().refresh();
  expect(await verdict(worse)).toMatchObject({
    watch: 2,
    verdict: 'crossed',
    figures: {
      controlVehicles: 10,
      treatmentVehicles: 10,
      vehiclesInBothArms: 0,
      controlMean: 0,
      treatmentMean: 1,
      significance: expect.closeTo(0.05, 12),
      lastMeasurementAt: expect.any(String),
    },
  });
  expect(await verdict(same)).toMatchObject({
    verdict: 'holding',
    figures: { controlVehicles: 10, treatmentVehicles: 11, vehiclesInBothArms: 1, controlMean: 0, treatmentMean: 0 },
  });
  const { computedAt, figures } = (await verdict(worse))!;
  expect(figures.pValue).toBeLessThan(figures.significance);
  expect(figures.worsePercentAtLeast).toBeGreaterThanOrEqual(5);
  expect(Math.abs(computedAt.getTime() - Date.now())).toBeLessThan(MINUTE);
});

test('the arm is the one of the bucket, whatever the vehicle reports', async () => {
  const rollout = await guarded();
  await measured(rollout, [
    ...arm(rollout, 'control', times(10, 0), { variant: 'treatment' }),
    ...arm(rollout, 'treatment', times(10, 1), { variant: 'control' }),
  ]);
  await job().refresh();
  expect(await verdict(rollout)).toMatchObject({
    verdict: 'crossed',
    figures: { vehiclesInBothArms: 20, treatmentMean: 1 },
  });
});

test('a decrease can count as harm, and the limit can be an absolute bound', async () => {
  const [lower, bound, kept] = [
    await guarded({ worse: 'lower' }),
    await guarded({ metric: MINUTES_METRIC, maxWorsePercent: null, bound: 42 }),
    await guarded({ metric: MINUTES_METRIC, maxWorsePercent: null, bound: 50 }),
  ];
  await measured(lower, [...arm(lower, 'control', times(12, 1)), ...arm(lower, 'treatment', times(12, 0))]);
  for (const rollout of [bound, kept])
    await measured(rollout, arm(rollout, 'treatment', times(15, 54), { metric: MINUTES_METRIC }));
  await measured(bound, arm(bound, 'treatment', times(15, 56), { metric: MINUTES_METRIC }));
  await job().refresh();
  expect([await verdict(lower), await verdict(bound), await verdict(kept)]).toMatchObject([
    { verdict: 'crossed', figures: { worsePercent: 100 } },
    { verdict: 'crossed', figures: { controlMean: null, treatmentMean: 55, worsePercent: null } },
    { verdict: 'holding' },
  ]);
});

describe('a bound', () => {
  test('counts what vehicles measure under treatment only: others may have its buckets', async () => {
    // The rule is narrowed to a model, say, and all others are beyond the bound.
    const bounded = { maxWorsePercent: null, bound: 42 };
    const [first, windowed] = [
      await guarded({ ...bounded, metric: MINUTES_METRIC }),
      await guarded({ ...bounded, metric: 'energy' }, { minutes: 40 }),
    ];
    for (const [rollout, metric] of [
      [first, MINUTES_METRIC],
      [windowed, 'energy'],
    ] as const) {
      await measured(rollout, [
        ...arm(rollout, 'treatment', times(10, 30), { metric, minutesAgo: 9 }),
        ...arm(rollout, 'treatment', times(40, 60), { metric, minutesAgo: 9, variant: 'control' }),
      ]);
    }
    await job().refresh();
    for (const rollout of [first, windowed])
      expect(await verdict(rollout)).toMatchObject({
        verdict: 'holding',
        figures: { treatmentVehicles: 10, treatmentMean: 30, vehiclesInBothArms: 40, pValue: 1 },
      });
  });

  test('of a metric that nobody declared waits where numbers are below 0, its supposed minimum', async () => {
    const rollout = await guarded({ metric: UNDECLARED_METRIC, maxWorsePercent: null, bound: 5 });
    const kwh = { metric: UNDECLARED_METRIC };
    await measured(rollout, arm(rollout, 'treatment', [...times(20, 20), ...times(20, -20)], kwh));
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({
      verdict: 'waiting',
      figures: { treatmentVehicles: 0, outOfRange: { control: 0, treatment: 20 }, pValue: null },
    });
  });
});

describe('a mean', () => {
  test('is compared within its declared range, and what lies outside is counted by arm and not analysed', async () => {
    const rollout = await guarded({ metric: MINUTES_METRIC, minimumVehicles: 40 });
    const minutes = { metric: MINUTES_METRIC };
    await measured(rollout, [
      ...arm(rollout, 'control', times(40, 20), minutes),
      ...arm(rollout, 'treatment', times(40, 40), minutes),
      // One outlier must not make the guard blind.
      ...arm(rollout, 'control', [1e6, 1e308, 1e308], minutes),
    ]);
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({
      verdict: 'crossed',
      figures: {
        controlVehicles: 40,
        controlMean: 20,
        worsePercent: 100,
        outOfRange: { control: 3, treatment: 0 },
      },
    });
  });

  test('that nobody declared is cut at the percentiles of the first 200 vehicles, which do not count', async () => {
    const rollout = await guarded({ metric: UNDECLARED_METRIC });
    const kwh = { metric: UNDECLARED_METRIC };
    const some = (count: number, at: number) => Array.from({ length: count }, (_, index) => at + (index % 20) / 10);
    const first = [
      ...arm(rollout, 'control', some(100, 20), { ...kwh, minutesAgo: 5 }),
      ...arm(rollout, 'treatment', some(99, 20), { ...kwh, minutesAgo: 5 }),
    ];
    await measured(rollout, first);
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({ verdict: 'waiting', figures: { controlVehicles: 0, pValue: null } });
    await measured(rollout, arm(rollout, 'control', [20], { ...kwh, minutesAgo: 4 }));
    await job().refresh();
    const { calibration } = await stateOf(rollout);
    expect(calibration).toMatchObject({
      kind: 'mean',
      declared: false,
      source: 'first-vehicles',
      range: { low: expect.closeTo(10.47, 2), high: expect.closeTo(41.88, 2) },
    });
    expect(calibration?.spent).toHaveLength(200);
    expect(await verdict(rollout)).toMatchObject({ verdict: 'waiting', figures: { controlVehicles: 0 } });
    await measured(rollout, [
      ...arm(rollout, 'control', [...some(60, 20), 1e6], kwh),
      ...arm(rollout, 'treatment', times(60, 40), kwh),
    ]);
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({ verdict: 'crossed', figures: { treatmentVehicles: 60 } });
    // A cut that is fixed stays.
    expect((await stateOf(rollout)).calibration).toEqual(calibration);
  });

  test('that nobody declared is cut at the percentiles of the two weeks before, where there are enough vehicles', async () => {
    const rollout = await guarded({ metric: UNDECLARED_METRIC });
    const before = Array.from({ length: 200 }, (_, index) => ({
      value: index ** 2,
      vin: vehicle(rollout, 0, 100),
      minutesAgo: 60,
      metric: UNDECLARED_METRIC,
    }));
    await measured(rollout, before);
    await job().refresh();
    expect((await stateOf(rollout)).calibration).toMatchObject({
      source: 'history',
      spent: [],
      range: { low: 4, high: 198 ** 2 },
    });
  });

  test('is cut where the vehicles before are, whatever one of them measured, and however often', async () => {
    const [outlier, chatty] = [
      await guarded({ metric: UNDECLARED_METRIC }),
      await guarded({ metric: UNDECLARED_METRIC }),
    ];
    const before = (rollout: FlagUnderTest, values: readonly number[]): GuardRow[] =>
      values.map((value) => ({ value, vin: vehicle(rollout, 0, 100), minutesAgo: 60, metric: UNDECLARED_METRIC }));
    const some = Array.from({ length: 199 }, (_, index) => 20 + (index % 20) / 10);
    await measured(outlier, before(outlier, [...some, 1e15]));
    const [loud] = before(chatty, [30]);
    await measured(chatty, [
      ...before(chatty, some),
      ...Array.from({ length: 40 }, (_, index) => ({
        ...loud!,
        value: index === 0 ? 20 : 1e6,
        minutesAgo: 60 - index,
      })),
    ]);
    await job().refresh();
    for (const rollout of [outlier, chatty])
      expect((await stateOf(rollout)).calibration).toMatchObject({
        source: 'history',
        range: { low: expect.closeTo(10.47, 1), high: expect.closeTo(41.88, 1), centres: [expect.closeTo(20.94, 1)] },
      });
  });

  test('that nobody declared and that is 0 or 1 is compared as what it is', async () => {
    const rollout = await guarded({ metric: UNDECLARED_METRIC });
    await measured(
      rollout,
      bad(rollout).map((row) => ({ ...row, metric: UNDECLARED_METRIC })),
    );
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({ verdict: 'crossed' });
  });

  test('that nobody declared takes other numbers as out of range where the first 200 vehicles were 0 or 1', async () => {
    const rollout = await guarded({ metric: UNDECLARED_METRIC });
    const kwh = (minutesAgo: number) => ({ metric: UNDECLARED_METRIC, minutesAgo });
    await measured(rollout, [
      ...arm(rollout, 'control', times(100, 0), kwh(5)),
      ...arm(rollout, 'treatment', [...times(98, 0), 1, 1], kwh(5)),
    ]);
    await job().refresh();
    const first = await stateOf(rollout);
    expect([first.calibration, first.provisional?.length]).toEqual([null, 6]);
    // The comparison begins again with half of the capital, and what the first half has come to stays.
    await measured(rollout, [
      ...arm(rollout, 'control', times(10, 0), kwh(4)),
      ...arm(rollout, 'treatment', [...times(9, 0), 7], kwh(4)),
    ]);
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({
      verdict: 'holding',
      figures: { controlVehicles: 10, treatmentVehicles: 9, outOfRange: { control: 0, treatment: 1 } },
    });
    const second = await stateOf(rollout);
    expect(second.calibration).toMatchObject({ kind: 'proportion', source: 'first-vehicles' });
    expect(second.provisional).toEqual(first.provisional);
    await measured(rollout, arm(rollout, 'treatment', times(20, 7), kwh(3)));
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({ verdict: 'crossed', figures: { outOfRange: { treatment: 21 } } });
  });
});

test('a proportion that is neither 0 nor 1 is out of range', async () => {
  const rollout = await guarded();
  await measured(rollout, [...good(rollout), ...arm(rollout, 'control', [0.5])]);
  await job().refresh();
  expect(await verdict(rollout)).toMatchObject({
    figures: { controlVehicles: 10, outOfRange: { control: 1, treatment: 0 } },
  });
});

test('what arrived before the step does not count, though the clock of the vehicle was ahead', async () => {
  const rollout = await guarded();
  await measured(rollout, arm(rollout, 'treatment', [0, 1], { minutesAgo: 8, arrivedMinutesAgo: 12 }));
  await job().refresh();
  expect((await verdict(rollout))?.figures).toMatchObject({ treatmentVehicles: 0 });
});

describe('a window', () => {
  test('closes: what is measured or arrives later changes nothing', async () => {
    const rollout = await guarded({ metric: 'energy', minimumVehicles: 2 }, { minutes: 40 });
    const [first, open, late] = [vehicle(rollout, 0, 50), vehicle(rollout, 0, 50), vehicle(rollout, 50, 100)];
    const energy = { metric: 'energy', variant: 'treatment' };
    await measured(rollout, [
      { ...energy, vin: first, value: 10, minutesAgo: 30 },
      { ...energy, vin: first, value: 20, minutesAgo: 26 },
      { ...energy, vin: first, value: 99, minutesAgo: 20 },
      { ...energy, vin: open, value: 50, minutesAgo: 3 },
      // It was offline, and sends all at once.
      { ...energy, vin: late, value: 30, minutesAgo: 35, arrivedMinutesAgo: 9, variant: 'control' },
      { ...energy, vin: late, value: 32, minutesAgo: 34, arrivedMinutesAgo: 9, variant: 'control' },
      { ...energy, vin: late, value: 90, minutesAgo: 33, arrivedMinutesAgo: 1, variant: 'control' },
    ]);
    await job().refresh();
    expect((await verdict(rollout))?.figures).toMatchObject({
      controlVehicles: 1,
      treatmentVehicles: 1,
      controlMean: 31,
      treatmentMean: 15,
    });
  });

  test('without any measurement counts as 0 for a count; for a mean the vehicle never reported, which can be harm', async () => {
    const [count, mean] = [await guarded({ metric: 'faults' }), await guarded({ metric: 'energy' })];
    const evaluated = { metric: EVALUATIONS_METRIC, minutesAgo: 9 };
    for (const rollout of [count, mean]) {
      const quiet = arm(rollout, 'treatment', times(12, 3), evaluated);
      const heard = arm(rollout, 'control', times(12, 3), evaluated);
      const metric = rollout === count ? 'faults' : 'energy';
      await measured(rollout, [...quiet, ...heard, ...heard.map((row) => ({ ...row, metric, minutesAgo: 8 }))]);
    }
    await job().refresh();
    expect(await verdict(count)).toMatchObject({
      verdict: 'holding',
      figures: { treatmentVehicles: 12, treatmentMean: 0, controlMean: 3, neverReported: { treatment: 0 } },
    });
    expect(await verdict(mean)).toMatchObject({
      verdict: 'crossed',
      figures: { treatmentVehicles: 0, neverReported: { control: 0, treatment: 12 } },
    });
  });
});
