import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BUCKETS, bucketing } from '../../../core/evaluation/bucket.ts';
import { releaseSalt } from '../../../core/evaluation/release.ts';
import type { ReleaseGuard } from '../../../core/releases/release-guard.ts';
import type { GuardFigures } from '../../../core/rollouts/rollout-guard.ts';
import { EVALUATIONS_METRIC } from '../../../core/wire/vehicle/metric.ts';
import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';
import { findRegisteredFacts } from '../../shared/between-subgraphs/vehicle-facts.ts';
import { silent } from '../../shared/testing/asking.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { ExposureRecorder } from '../exposures/exposure-recorder.ts';
import { METRIC_COLUMNS } from '../metrics/metric-batch.ts';
import { MetricTables } from '../metrics/metric-store.ts';
import { storedSettledVehicles, type SettledVehicles } from '../settled/settled-vehicles.ts';
import { ExperimentsUnderTest, type FlagUnderTest } from '../testing/experiments-under-test.ts';
import { GuardVerdictJob } from './guard-verdict-job.ts';
import { GUARDED_RELEASES } from './guarded-releases.ts';

const METRIC = 'charge_failed';
const MINUTES = 'charge_minutes';
const MINUTE = 60_000;

let own: TestMetricsStore;
let experiments: ExperimentsUnderTest;
let prisma: PrismaClient;
let tables: MetricTables;
let stored: SettledVehicles;
let vehicles = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  experiments = await ExperimentsUnderTest.start(own.store);
  ({ prisma } = experiments);
  tables = new MetricTables(own.store.client);
  const exposures = new ExposureRecorder(own.store.client, tables, (vins) => findRegisteredFacts(prisma, vins));
  stored = storedSettledVehicles(own.store, tables, exposures);
  await prisma.metricDefinition.createMany({
    data: [
      { key: METRIC, kind: 'proportion', minimum: 0, maximum: 1 },
      { key: MINUTES, kind: 'mean', minimum: 0, maximum: 60 },
    ],
  });
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

// Each look covers all that runs, so what earlier tests left would only take time.
beforeEach(() => prisma.release.deleteMany());

const job = (interval = 0, settled = stored) =>
  new GuardVerdictJob(prisma, settled, silent, interval, GUARDED_RELEASES);

const GUARD: ReleaseGuard = {
  ...{ metric: METRIC, worse: 'higher', maxWorsePercent: 5, bound: null, confidenceLevel: 0.95 },
  ...{ minimumVehicles: 4, silence: 30 * MINUTE, action: 'halt' },
};

interface Released extends FlagUnderTest {
  readonly releaseId: string;
  readonly ring: string;
}

/** Creates a flag without rules, whose default value is released to a percentage for some minutes. */
async function released(
  guards: readonly Partial<ReleaseGuard>[] = [{}],
  {
    percentage = 50,
    minutes = 10,
    ...over
  }: Partial<Prisma.ReleaseUncheckedCreateInput> & {
    percentage?: number;
    minutes?: number;
  } = {},
): Promise<Released> {
  const flag = await experiments.newFlag([]);
  const ring = randomUUID();
  const { id } = await prisma.release.create({
    data: {
      ...{ ring, flagId: flag.id, environment: 'staging', status: 'running', stage: 0, percentage, stages: [] },
      ...{ maximumFaultyVehicles: 3, maximumFaultyPercent: 1, content: {}, revision: 7, startedRevision: 7 },
      guards: guards.map((guard) => ({ ...GUARD, ...guard })),
      stageStartedAt: new Date(Date.now() - minutes * MINUTE),
      dueAt: new Date(),
      ...over,
    },
  });
  return { ...flag, releaseId: id, ring };
}

/** Gives a new vehicle whose bucket is between two percentages of a release. */
function vehicle({ ring }: Released, from: number, to: number): string {
  for (;;) {
    const vin = `KMH${String(++vehicles).padStart(14, '0')}`;
    const percent = (100 * bucketing(releaseSalt(ring))(vin)) / BUCKETS;
    if (percent >= from && percent < to) return vin;
  }
}

interface Row {
  readonly vin: string;
  readonly value: number;
  readonly metric?: string;
  readonly flagKey?: string;
  readonly variant?: string;
  readonly minutesAgo?: number;
}

const clickHouseTime = (minutesAgo: number) =>
  new Date(Date.now() - minutesAgo * MINUTE).toISOString().slice(0, 23).replace('T', ' ');

/** Stores measurements, each with an evaluation of the flag before. All of them report the same variant. */
async function measured({ key }: Released, rows: readonly Row[]): Promise<void> {
  await tables.make();
  const values = rows.flatMap(({ vin, value, metric = METRIC, flagKey = key, variant = 'control', minutesAgo = 1 }) =>
    [
      { metric: EVALUATIONS_METRIC, flagKey: key, value: 1 },
      { metric, flagKey, value },
    ].map((row, position) => [
      ...[row.flagKey, row.metric, clickHouseTime(minutesAgo), vin, randomUUID(), position, variant],
      ...[row.value, '', clickHouseTime(minutesAgo)],
    ]),
  );
  const insert = { table: 'metric_rows', columns: [...METRIC_COLUMNS], values } as const;
  await own.store.client.insert({
    ...insert,
    columns: [...METRIC_COLUMNS] as [string, ...string[]],
    format: 'JSONCompactEachRow',
  });
}

/** Gives measurements, each of a new vehicle with a bucket between two percentages. */
const between = (release: Released, from: number, to: number, values: readonly number[], more: Partial<Row> = {}) =>
  values.map((value): Row => ({ vin: vehicle(release, from, to), value, ...more }));
const times = (count: number, value: number) => Array<number>(count).fill(value);

/** Charging fails in each vehicle of the ring, and in none of the others. */
const bad = (release: Released, more: Partial<Row> = {}) => [
  ...between(release, 0, 50, times(10, 1), more),
  ...between(release, 50, 100, times(10, 0), more),
];
const good = (release: Released, more: Partial<Row> = {}) => [
  ...between(release, 0, 50, times(10, 0), more),
  ...between(release, 50, 100, times(10, 0), more),
];

async function verdicts({ releaseId }: Released) {
  const rows = await prisma.releaseVerdict.findMany({ where: { releaseId }, orderBy: { guard: 'asc' } });
  return rows.map(({ watch, verdict, figures }) => ({
    ...{ watch: Number(watch), verdict },
    figures: figures as unknown as GuardFigures,
  }));
}

describe('the guard of a release', () => {
  test('has a verdict before any vehicle has reported', async () => {
    const release = await released();
    expect(await job().refresh()).toBe(1);
    expect(await verdicts(release)).toMatchObject([
      { watch: 7, verdict: 'waiting', figures: { controlVehicles: 0, treatmentVehicles: 0, pValue: null } },
    ]);
  });

  test.each(['control', 'treatment', 'killed', 'fast'])(
    'finds its limit crossed where the ring measures worse, whatever variant vehicles report: %s',
    async (variant) => {
      const release = await released();
      await measured(release, bad(release, { variant }));
      await job().refresh();
      expect(await verdicts(release)).toMatchObject([
        {
          verdict: 'crossed',
          figures: {
            ...{ controlVehicles: 10, treatmentVehicles: 10, controlMean: 0, treatmentMean: 1, vehiclesInBothArms: 0 },
          },
        },
      ]);
    },
  );

  test('holds its limit where both sides measure alike, and what counts once counts once', async () => {
    const release = await released();
    const rows = good(release);
    await measured(release, rows);
    await measured(release, rows.slice(0, 5));
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([
      { verdict: 'holding', figures: { controlVehicles: 10, treatmentVehicles: 10 } },
    ]);
  });

  test('counts what vehicles measure under any flag, of vehicles that evaluate this one', async () => {
    const release = await released();
    await measured(release, bad(release, { flagKey: 'another_flag' }));
    const strangers = between(release, 0, 50, times(10, 0));
    await measured({ ...release, key: 'another_flag' }, strangers);
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([{ verdict: 'crossed', figures: { treatmentVehicles: 10 } }]);
  });

  test('counts nothing that was measured before the stage began', async () => {
    const release = await released([{}], { minutes: 10 });
    await measured(release, bad(release, { minutesAgo: 20 }));
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([{ verdict: 'waiting', figures: { treatmentVehicles: 0 } }]);
  });

  test('is silent where only the others measure', async () => {
    const release = await released([{}], { minutes: 40 });
    await measured(release, between(release, 50, 100, times(10, 0)));
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([{ verdict: 'silent', figures: { lastMeasurementAt: null } }]);
  });

  test('counts further vehicles at the next stage, and keeps what it has found', async () => {
    const release = await released([{}], { percentage: 10 });
    const before = { minutesAgo: 8 };
    await measured(release, [
      ...between(release, 0, 10, times(10, 0), before),
      ...between(release, 10, 100, times(10, 0), before),
    ]);
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([{ watch: 7, verdict: 'holding' }]);
    const stageStartedAt = new Date(Date.now() - 5 * MINUTE);
    await prisma.release.update({
      where: { id: release.releaseId },
      data: { percentage: 50, revision: 9, stageStartedAt },
    });
    await measured(release, [
      ...between(release, 10, 50, times(20, 1)),
      ...between(release, 50, 100, times(20, 0)),
      ...between(release, 0, 10, times(7, 0)),
    ]);
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([
      { watch: 9, verdict: 'crossed', figures: { treatmentVehicles: 20, controlVehicles: 20 } },
    ]);
  });

  test.each<[string, Partial<ReleaseGuard>, number, string]>([
    ['an upper bound is crossed', { metric: MINUTES, maxWorsePercent: null, bound: 30 }, 55, 'crossed'],
    ['an upper bound holds', { metric: MINUTES, maxWorsePercent: null, bound: 30 }, 20, 'holding'],
    ['a lower bound is crossed', { metric: MINUTES, worse: 'lower', maxWorsePercent: null, bound: 30 }, 2, 'crossed'],
  ])('%s by the vehicles with the new content alone', async (_, guard, value, verdict) => {
    const release = await released([guard]);
    await measured(release, between(release, 0, 50, times(20, value), { metric: MINUTES }));
    await measured(release, between(release, 50, 100, times(20, 60 - value), { metric: MINUTES }));
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([{ verdict, figures: { treatmentVehicles: 20 } }]);
  });

  test('beside others of the release, each has its own verdict', async () => {
    const release = await released([{}, { metric: MINUTES, maxWorsePercent: 20 }]);
    await measured(release, [...bad(release), ...good(release).map((row) => ({ ...row, value: 30, metric: MINUTES }))]);
    expect(await job().refresh()).toBe(2);
    expect(await verdicts(release)).toMatchObject([{ verdict: 'crossed' }, { verdict: 'holding' }]);
    // A crossed limit needs no more looks, and the others have theirs.
    expect(await job().refresh()).toBe(1);
    expect(await job(60_000).refresh()).toBe(0);
  });

  test('has no look once the release has ended, and none without a guard', async () => {
    await released([{}], { status: 'halted', endedAt: new Date(), dueAt: null });
    await released([]);
    expect(await job().refresh()).toBe(0);
  });

  test('keeps its old verdict while the metrics store does not answer', async () => {
    const release = await released();
    const broken = { ...stored, sums: () => Promise.reject(new Error('The metrics store is down')) };
    expect(await job(0, broken).refresh()).toBe(0);
    expect(await verdicts(release)).toEqual([]);
  });
});

describe('the canary group of a release', () => {
  /** Registers a vehicle in the canary group's model. */
  async function register(vin: string, model: string): Promise<void> {
    const facts = { swVersion: '1', region: 'KR', status: 'online', environment: 'staging' };
    await prisma.vehicle.create({ data: { vin, model, ...facts } });
  }

  test('is compared with nobody, by VIN, model and region alike', async () => {
    const release = await released([{}]);
    const chosen = between(release, 50, 100, times(10, 1));
    const drawn = between(release, 0, 50, times(5, 1));
    for (const { vin } of [...chosen.slice(0, 5), ...drawn]) await register(vin, 'EV9');
    await prisma.release.update({
      where: { id: release.releaseId },
      data: { canary: { vins: chosen.slice(5).map(({ vin }) => vin), models: ['EV9'], regions: ['DE'] } },
    });
    await measured(release, [...chosen, ...drawn, ...good(release)]);
    await job().refresh();
    expect(await verdicts(release)).toMatchObject([
      { verdict: 'holding', figures: { controlVehicles: 10, treatmentVehicles: 10, controlMean: 0, treatmentMean: 0 } },
    ]);
  });

  test('is heard in a stage of its own, and its silence is noticed', async () => {
    const models = { canary: { models: ['EV9'] }, percentage: 0, minutes: 40 };
    const [heard, silentOne] = [await released([{}], models), await released([{}], models)];
    const [own1] = between(heard, 0, 100, [0]);
    await register(own1!.vin, 'EV9');
    await measured(heard, [own1!]);
    // A vehicle that was not chosen has the stable content, whatever its bucket.
    await measured(silentOne, between(silentOne, 0, 100, [0]));
    await job().refresh();
    expect(await verdicts(heard)).toMatchObject([{ verdict: 'waiting', figures: { treatmentVehicles: 0 } }]);
    expect(await verdicts(silentOne)).toMatchObject([{ verdict: 'silent' }]);
  });
});
