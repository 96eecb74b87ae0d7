import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BUCKETS, bucketing } from '../../../core/evaluation/bucket.ts';
import type { GuardFigures } from '../../../core/rollouts/rollout-guard.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';
import { silent } from '../../shared/testing/asking.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { ExposureRecorder } from '../exposures/exposure-recorder.ts';
import { METRIC_COLUMNS } from '../metrics/metric-batch.ts';
import { MetricTables } from '../metrics/metric-store.ts';
import { storedSettledVehicles, type SettledVehicles } from '../settled/settled-vehicles.ts';
import { ExperimentsUnderTest, type FlagUnderTest } from '../testing/experiments-under-test.ts';
import type { GuardState } from './guard-evidence.ts';
import { MAX_LOOKS } from './guard-history.ts';
import { GuardVerdictJob } from './guard-verdict-job.ts';

/** Metrics that are declared: whether charging failed, how long it took; and one that is not. */
const METRIC = 'charge_failed';
const MINUTES = 'charge_minutes';
const UNDECLARED = 'charge_kwh';
const MINUTE = 60_000;

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;
let prisma: PrismaClient;
let tables: MetricTables;
let stored: SettledVehicles;
let vehicles = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  tables = new MetricTables(own.store.client);
  stored = storedSettledVehicles(own.store, tables, new ExposureRecorder(own.store.client, tables));
  experiments = await ExperimentsUnderTest.start(own.store);
  ({ prisma } = experiments);
  await prisma.metricDefinition.createMany({
    data: [
      { key: METRIC, kind: 'proportion', minimum: 0, maximum: 1 },
      { key: MINUTES, kind: 'mean', minimum: 0, maximum: 60 },
      { key: 'faults', kind: 'count', minimum: 0, maximum: 10, windowMs: 5 * MINUTE },
      { key: 'energy', kind: 'mean', minimum: 0, maximum: 100, windowMs: 5 * MINUTE },
    ],
  });
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

// Each look covers all that runs, so what earlier tests left would only take time.
beforeEach(() => prisma.rollout.updateMany({ data: { status: 'completed' } }));

/** Creates an instance's job: by default one for which every verdict is due. */
const job = ({ interval = 0, settled = stored }: { interval?: number; settled?: SettledVehicles } = {}) =>
  new GuardVerdictJob(prisma, settled, silent, interval);

interface Guarded extends FlagUnderTest {
  readonly rolloutId: string;
  readonly ruleId: string;
}

/** Creates a flag whose rule has a percentage, with a rollout that has been watched for so many minutes. */
async function guarded(
  over: Partial<Prisma.RolloutGuardUncheckedCreateInput> = {},
  { percentage = 50, minutes = 10, status = 'running' } = {},
): Promise<Guarded> {
  const flag = await experiments.newFlag([{ conditions: { rollout_percentage: percentage } }]);
  const { id: ruleId } = await prisma.rule.findFirstOrThrow({ where: { flagId: flag.id } });
  const guard = {
    metric: METRIC,
    worse: 'higher',
    maxWorsePercent: 5,
    confidenceLevel: 0.95,
    minimumVehicles: 4,
    silenceMs: 30 * MINUTE,
    watchForMs: MINUTE,
    initialPercentage: 0,
    watch: 2,
    watchedSince: new Date(Date.now() - minutes * MINUTE),
    ...over,
  };
  const { id } = await prisma.rollout.create({
    data: {
      flagId: flag.id,
      ruleId,
      environment: 'staging',
      status,
      scheduledById: experiments.writer.userId ?? '',
      guard: { create: guard },
      steps: {
        create: [
          { position: 1, percentage: 50, dueAt: new Date() },
          { position: 2, percentage: 100, dueAt: new Date() },
        ],
      },
    },
  });
  return { ...flag, rolloutId: id, ruleId };
}

interface Row {
  readonly value: number;
  readonly vin: string;
  readonly variant?: string;
  readonly minutesAgo?: number;
  readonly arrivedMinutesAgo?: number;
  readonly metric?: string;
}

type Arm = 'control' | 'treatment';

const clickHouseTime = (minutesAgo: number) =>
  new Date(Date.now() - minutesAgo * MINUTE).toISOString().slice(0, 23).replace('T', ' ');

/** Gives a new vehicle whose bucket is between two percentages of the flag. */
function vehicle({ key }: FlagUnderTest, from: number, to: number): string {
  for (;;) {
    const vin = `KMH${String(++vehicles).padStart(14, '0')}`;
    const percent = (100 * bucketing(key)(vin)) / BUCKETS;
    if (percent >= from && percent < to) return vin;
  }
}

/** Gives measurements, each of a new vehicle of an arm of a rule at 50 %. */
const arm = (flag: FlagUnderTest, which: Arm, values: readonly number[], more: Partial<Row> = {}): Row[] =>
  values.map((value) => ({
    value,
    vin: which === 'treatment' ? vehicle(flag, 0, 50) : vehicle(flag, 50, 100),
    variant: which,
    ...more,
  }));

const times = (count: number, value: number) => Array<number>(count).fill(value);
/** Charging fails in no vehicle of control, and in each of the treatment; or in none. */
const bad = (flag: FlagUnderTest) => [...arm(flag, 'control', times(10, 0)), ...arm(flag, 'treatment', times(10, 1))];
const good = (flag: FlagUnderTest) => [...arm(flag, 'control', times(10, 0)), ...arm(flag, 'treatment', times(10, 0))];

/** Stores measurements; twice, as batches may be. */
async function measured({ key }: FlagUnderTest, rows: readonly Row[]): Promise<void> {
  await tables.make();
  const values = rows.map(
    (
      { variant = 'control', value, vin, minutesAgo = 1, arrivedMinutesAgo = minutesAgo, metric = METRIC },
      position,
    ) => [
      key,
      metric,
      clickHouseTime(minutesAgo),
      vin,
      randomUUID(),
      position,
      variant,
      value,
      '',
      clickHouseTime(arrivedMinutesAgo),
    ],
  );
  for (let time = 0; time < 2; time += 1)
    await own.store.client.insert({
      table: 'metric_rows',
      columns: [...METRIC_COLUMNS],
      values,
      format: 'JSONCompactEachRow',
    });
}

async function verdict({
  rolloutId,
}: Guarded): Promise<{ watch: number; verdict: string; figures: GuardFigures; computedAt: Date } | null> {
  const row = await prisma.rolloutVerdict.findUnique({ where: { rolloutId } });
  return row === null ? null : { ...row, figures: row.figures as unknown as GuardFigures };
}

async function stateOf({ rolloutId }: Guarded): Promise<GuardState> {
  const { state } = await prisma.rolloutEvidence.findUniqueOrThrow({ where: { rolloutId } });
  return state as unknown as GuardState;
}

/** Raises the rule's percentage as a step does; or resumes, where it stays. */
async function nextWatch({ ruleId, rolloutId }: Guarded, percentage: number): Promise<void> {
  await prisma.rule.update({ where: { id: ruleId }, data: { conditions: { rollout_percentage: percentage } } });
  const watchedSince = new Date();
  await prisma.rolloutGuard.update({ where: { rolloutId }, data: { watch: { increment: 1 }, watchedSince } });
}

test('before any vehicle has reported, the verdict is to wait', async () => {
  const rollout = await guarded();
  expect(await job().refresh()).toBe(1);
  expect(await verdict(rollout)).toMatchObject({
    watch: 2,
    verdict: 'waiting',
    figures: { controlVehicles: 0, treatmentVehicles: 0, pValue: null, lastMeasurementAt: null },
  });
});

/** Asks for what the guard of a rollout has seen, as a gateway does. */
async function history({
  rolloutId,
}: Guarded): Promise<{ verdict: string; at: string; treatmentMean: number | null }[]> {
  const { data, errors } = await experiments.ask<{ _entities: [{ guardHistory: never[] }] }>(
    experiments.writer,
    `query ($rollout: _Any!) { _entities(representations: [$rollout]) { ... on Rollout {
      guardHistory { at verdict controlVehicles treatmentVehicles controlMean treatmentMean worsePercent worsePercentAtLeast } } } }`,
    { rollout: { __typename: 'Rollout', id: rolloutId } },
  );
  expect(errors).toEqual([]);
  return data._entities[0].guardHistory;
}

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
    await prisma.rolloutLook.createMany({
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
    await guarded({ metric: MINUTES, maxWorsePercent: null, bound: 42 }),
    await guarded({ metric: MINUTES, maxWorsePercent: null, bound: 50 }),
  ];
  await measured(lower, [...arm(lower, 'control', times(12, 1)), ...arm(lower, 'treatment', times(12, 0))]);
  for (const rollout of [bound, kept])
    await measured(rollout, arm(rollout, 'treatment', times(15, 54), { metric: MINUTES }));
  await measured(bound, arm(bound, 'treatment', times(15, 56), { metric: MINUTES }));
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
      await guarded({ ...bounded, metric: MINUTES }),
      await guarded({ ...bounded, metric: 'energy' }, { minutes: 40 }),
    ];
    for (const [rollout, metric] of [
      [first, MINUTES],
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
    const rollout = await guarded({ metric: UNDECLARED, maxWorsePercent: null, bound: 5 });
    const kwh = { metric: UNDECLARED };
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
    const rollout = await guarded({ metric: MINUTES, minimumVehicles: 40 });
    const minutes = { metric: MINUTES };
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
    const rollout = await guarded({ metric: UNDECLARED });
    const kwh = { metric: UNDECLARED };
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
    // What is fixed stays.
    expect((await stateOf(rollout)).calibration).toEqual(calibration);
  });

  test('that nobody declared is cut at the percentiles of the two weeks before, where there are enough vehicles', async () => {
    const rollout = await guarded({ metric: UNDECLARED });
    const before = Array.from({ length: 200 }, (_, index) => ({
      value: index ** 2,
      vin: vehicle(rollout, 0, 100),
      minutesAgo: 60,
      metric: UNDECLARED,
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
    const [outlier, chatty] = [await guarded({ metric: UNDECLARED }), await guarded({ metric: UNDECLARED })];
    const before = (rollout: FlagUnderTest, values: readonly number[]): Row[] =>
      values.map((value) => ({ value, vin: vehicle(rollout, 0, 100), minutesAgo: 60, metric: UNDECLARED }));
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
    const rollout = await guarded({ metric: UNDECLARED });
    await measured(
      rollout,
      bad(rollout).map((row) => ({ ...row, metric: UNDECLARED })),
    );
    await job().refresh();
    expect(await verdict(rollout)).toMatchObject({ verdict: 'crossed' });
  });

  test('that nobody declared takes other numbers as out of range where the first 200 vehicles were 0 or 1', async () => {
    const rollout = await guarded({ metric: UNDECLARED });
    const kwh = (minutesAgo: number) => ({ metric: UNDECLARED, minutesAgo });
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

describe('over the steps', () => {
  test('only the vehicles moved by a step are compared with those left, and the evidence multiplies', async () => {
    const rollout = await guarded({}, { percentage: 10, minutes: 30 });
    const rows = (from: number, to: number, count: number, value: number, minutesAgo: number): Row[] =>
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
    ...stored,
    async sums(epoch, ...rest) {
      const sums = await stored.sums(epoch, ...rest);
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
  await prisma.rolloutVerdict.create({
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
  const away: SettledVehicles = { ...stored, sums: () => Promise.reject(new Error('The store is away')) };
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
      ...stored,
      sums: (...args) => {
        polls.count += 1;
        return stored.sums(...args);
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
