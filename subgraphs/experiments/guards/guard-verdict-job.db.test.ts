import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { GuardFigures } from '../../../core/rollouts/rollout-guard.ts';
import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';
import { silent } from '../../shared/testing/asking.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { storedMeasurements } from '../experiments/arm-sums.ts';
import { GuardVerdictJob } from './guard-verdict-job.ts';
import { METRIC_COLUMNS } from '../metrics/metric-batch.ts';
import { MetricTables } from '../metrics/metric-store.ts';
import type { Measurements } from '../experiments/results.ts';
import { ExperimentsUnderTest, type FlagUnderTest } from '../testing/experiments-under-test.ts';

const METRIC = 'charge_minutes';
const MINUTE = 60_000;

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;
let prisma: PrismaClient;
let tables: MetricTables;
let vehicles = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  tables = new MetricTables(own.store.client);
  experiments = await ExperimentsUnderTest.start(own.store);
  ({ prisma } = experiments);
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

/** Creates an instance's job: by default one for which every verdict is due. */
const job = ({
  interval = 0,
  measurements = storedMeasurements(own.store),
}: { interval?: number; measurements?: Measurements } = {}) =>
  new GuardVerdictJob(prisma, own.store, tables, measurements, silent, interval);

interface Guarded extends FlagUnderTest {
  readonly rolloutId: string;
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
  return { ...flag, rolloutId: id };
}

interface Row {
  readonly variant: string;
  readonly value: number;
  readonly vin?: string;
  readonly minutesAgo?: number;
  readonly arrivedMinutesAgo?: number;
  readonly metric?: string;
}

const clickHouseTime = (minutesAgo: number) =>
  new Date(Date.now() - minutesAgo * MINUTE).toISOString().slice(0, 23).replace('T', ' ');
const newVin = () => `KMH${String(++vehicles).padStart(14, '0')}`;

/** Stores measurements, each of its own vehicle by default; stored twice, as batches may be. */
async function measured({ key }: FlagUnderTest, rows: readonly Row[]): Promise<void> {
  await tables.make();
  const values = rows.map(
    ({ variant, value, vin = newVin(), minutesAgo = 1, arrivedMinutesAgo = minutesAgo, metric = METRIC }, position) => [
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

const arm = (variant: string, ...values: number[]): Row[] => values.map((value) => ({ variant, value }));
const BAD = [...arm('control', 39, 41, 39, 41, 40), ...arm('treatment', 45, 47, 45, 47, 46)];
const GOOD = [...arm('control', 39, 41, 39, 41, 40), ...arm('treatment', 39, 41, 39, 41, 40)];

async function verdict({
  rolloutId,
}: Guarded): Promise<{ watch: number; verdict: string; figures: GuardFigures; computedAt: Date } | null> {
  const row = await prisma.rolloutVerdict.findUnique({ where: { rolloutId } });
  return row === null ? null : { ...row, figures: row.figures as unknown as GuardFigures };
}

test('before any vehicle has reported, the verdict is to wait', async () => {
  const rollout = await guarded();
  expect(await job().refresh()).toBe(1);
  expect(await verdict(rollout)).toMatchObject({
    watch: 2,
    verdict: 'waiting',
    figures: { controlVehicles: 0, treatmentVehicles: 0, lastMeasurementAt: null },
  });
});

test('the verdict and its figures cover the vehicles that measured this metric in this watch, each counted once', async () => {
  const [bad, good] = [await guarded(), await guarded()];
  await measured(bad, BAD);
  await measured(good, [
    ...GOOD,
    ...arm('other', 500),
    // From before the step, of another metric, of a vehicle in both arms.
    { variant: 'treatment', value: 500, minutesAgo: 11 },
    { variant: 'treatment', value: 500, metric: 'corrections' },
    ...['control', 'treatment'].map((variant) => ({ variant, value: 500, vin: 'KMHK281HGNU000001' })),
  ]);
  await job().refresh();
  expect(await verdict(bad)).toMatchObject({
    watch: 2,
    verdict: 'crossed',
    figures: {
      controlVehicles: 5,
      treatmentVehicles: 5,
      vehiclesInBothArms: 0,
      controlMean: 40,
      treatmentMean: 46,
      worsePercent: expect.closeTo(15, 10),
      significance: expect.closeTo(0.05 / 4, 12),
      lastMeasurementAt: expect.any(String),
    },
  });
  expect(await verdict(good)).toMatchObject({
    verdict: 'holding',
    figures: { controlVehicles: 5, treatmentVehicles: 5, vehiclesInBothArms: 1, controlMean: 40, treatmentMean: 40 },
  });
  const { computedAt, figures } = (await verdict(bad))!;
  expect(figures.pValue).toBeLessThan(figures.significance);
  expect(Math.abs(computedAt.getTime() - Date.now())).toBeLessThan(MINUTE);
});

test('a decrease can count as harm, and the limit can be an absolute bound', async () => {
  const [lower, bound, kept] = [
    await guarded({ worse: 'lower' }),
    await guarded({ maxWorsePercent: null, bound: 42 }),
    await guarded({ maxWorsePercent: null, bound: 50 }),
  ];
  await measured(lower, [...arm('control', 45, 47, 45, 47, 46), ...arm('treatment', 39, 41, 39, 41, 40)]);
  for (const rollout of [bound, kept]) await measured(rollout, arm('treatment', 45, 47, 45, 47, 45, 47, 46));
  await job().refresh();
  expect([await verdict(lower), await verdict(bound), await verdict(kept)]).toMatchObject([
    { verdict: 'crossed', figures: { worsePercent: expect.any(Number) } },
    { verdict: 'crossed', figures: { controlMean: null } },
    { verdict: 'holding' },
  ]);
});

test('a metric is silent when no measurement under treatment has arrived for too long, whatever its own time and the control', async () => {
  const rollouts = {
    never: await guarded({}, { minutes: 31 }),
    stopped: await guarded({}, { minutes: 90 }),
    late: await guarded({}, { minutes: 90 }),
    young: await guarded({}, { minutes: 29 }),
    off: await guarded({}, { minutes: 90, percentage: 0 }),
  };
  await measured(rollouts.never, arm('control', 40));
  await measured(rollouts.stopped, [{ variant: 'treatment', value: 40, minutesAgo: 31 }, ...arm('control', 40)]);
  await measured(rollouts.late, [{ variant: 'treatment', value: 40, minutesAgo: 60, arrivedMinutesAgo: 5 }]);
  await job().refresh();
  const found: Record<string, string | undefined> = {};
  for (const [name, rollout] of Object.entries(rollouts)) found[name] = (await verdict(rollout))?.verdict;
  expect(found).toEqual({ never: 'silent', stopped: 'silent', late: 'waiting', young: 'waiting', off: 'waiting' });
});

test('paused rollouts are still watched; ended ones, and those that have not begun, are not', async () => {
  const paused = await guarded({}, { status: 'paused' });
  const others = [
    await guarded({}, { status: 'completed' }),
    await guarded({}, { status: 'pulled_back' }),
    await guarded({ watch: 0, watchedSince: null }, { status: 'waiting_for_approval' }),
  ];
  for (const rollout of [paused, ...others]) await measured(rollout, BAD);
  await job().refresh();
  expect(await verdict(paused)).toMatchObject({ verdict: 'crossed' });
  for (const rollout of others) expect(await verdict(rollout)).toBeNull();
});

test('a crossed limit stays crossed for its watch, and the next watch begins anew', async () => {
  const rollout = await guarded();
  await measured(rollout, BAD);
  await job().refresh();
  const crossed = await verdict(rollout);
  expect(crossed).toMatchObject({ verdict: 'crossed' });
  await measured(rollout, arm('treatment', ...Array<number>(50).fill(40)));
  await job().refresh();
  expect(await verdict(rollout)).toEqual(crossed);
  await prisma.rolloutGuard.update({
    where: { rolloutId: rollout.rolloutId },
    data: { watch: 3, watchedSince: new Date() },
  });
  await job().refresh();
  expect(await verdict(rollout)).toMatchObject({ watch: 3, verdict: 'waiting', figures: { treatmentVehicles: 0 } });
});

test('a slow computation does not overwrite a newer verdict', async () => {
  const rollout = await guarded();
  let [seen, go] = [() => {}, () => {}];
  const [looked, released] = [
    new Promise<void>((resolve) => (seen = resolve)),
    new Promise<void>((resolve) => (go = resolve)),
  ];
  const slow: Measurements = {
    async sums(window) {
      const sums = await storedMeasurements(own.store).sums(window);
      if (window.flagKey === rollout.key) {
        seen();
        await released;
      }
      return sums;
    },
  };
  const looking = job({ measurements: slow }).refresh();
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
  await prisma.rollout.updateMany({ data: { status: 'completed' } });
  const rollouts = await Promise.all(Array.from({ length: 6 }, () => guarded()));
  const counts = await Promise.all([0, 1, 2].map(() => job({ interval: MINUTE }).refresh()));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rollouts.length);
  for (const rollout of rollouts) expect(await verdict(rollout)).toMatchObject({ verdict: 'waiting' });
  expect(await job({ interval: MINUTE }).refresh()).toBe(0);
});

test('while the metrics store is down a verdict stays and ages; new ones are computed when it is back', async () => {
  const rollout = await guarded();
  await measured(rollout, GOOD);
  await job().refresh();
  const before = await verdict(rollout);
  const away: Measurements = { sums: () => Promise.reject(new Error('The store is away')) };
  await job({ measurements: away }).refresh();
  expect(await verdict(rollout)).toEqual(before);
  await job().refresh();
  const after = await verdict(rollout);
  expect(after?.verdict).toBe('holding');
  expect(after?.computedAt.getTime()).toBeGreaterThan(before?.computedAt.getTime() ?? Infinity);
});

test('a started job polls by itself until it is closed', async () => {
  const rollout = await guarded();
  await measured(rollout, GOOD);
  const started = job({ interval: 10 });
  started.start();
  while ((await verdict(rollout)) === null) await new Promise((resolve) => setTimeout(resolve, 10));
  await started.close();
  const last = await verdict(rollout);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await verdict(rollout)).toEqual(last);
});
