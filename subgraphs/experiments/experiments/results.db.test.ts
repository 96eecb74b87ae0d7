import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { refusal, user } from '../../shared/testing/asking.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { deployMetricsMigrations } from '../clickhouse/migrations.ts';
import { analyse, type Analysis, type ArmSums } from '../statistics/analyse.ts';
import { draws, momentsOf, pairedMomentsOf } from '../statistics/testing/simulated-vehicles.ts';
import { ExperimentsUnderTest } from '../testing/experiments-under-test.ts';

const COMPARISON =
  'difference differenceInterval pValue improvementPercent confidenceInterval sequentialPValue sequentialConfidenceInterval missing { number reason }';
const RESULTS = `{ variants { variant vehicles observations mean standardDeviation } ${COMPARISON} cuped { theta coverage varianceReduction ${COMPARISON} }
  significant decidedBy sampleRatioMismatch { detected pValue } vehiclesInBothArms disturbances { at action by { id } } computedAt }`;
const DAY = 24 * 3_600_000;
const METRIC = 'charge_minutes';
const PLAN = { vehiclesInEachArm: 500, confidenceLevel: 0.95 };

interface Row {
  readonly vin: string;
  readonly variant: string;
  readonly value: number;
  readonly at: Date;
  readonly metric?: string;
}

interface Vehicle {
  readonly variant: 'control' | 'treatment';
  readonly values: readonly number[];
  readonly history: readonly number[];
}

let own: TestMetricsStore;
let metrics: MetricsStore;
let experiments: ExperimentsUnderTest;
let vehicles = 0;

beforeAll(async () => {
  own = await createTestMetricsStore();
  metrics = own.store;
  await deployMetricsMigrations(metrics.client);
  experiments = await ExperimentsUnderTest.start(metrics);
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

const newVin = () => `KMH${String(++vehicles).padStart(14, '0')}`;

/** Stores rows as one batch of each vehicle; the same batch is stored `times` times, each in its own block. */
async function store(flagKey: string, rows: readonly Row[], times = 1): Promise<void> {
  const batch = randomUUID();
  const values = rows.map(({ vin, variant, value, at, metric = METRIC }, position) => ({
    flag_key: flagKey,
    metric,
    at: at.toISOString().replace('Z', ''),
    vin,
    batch_id: batch,
    position,
    variant,
    value,
    tags: '',
    received_at: at.toISOString().replace('Z', ''),
  }));
  for (let time = 0; time < times; time += 1)
    await metrics.client.insert({ table: 'metric_rows', values, format: 'JSONEachRow' });
}

/** Gives rows for the vehicles' measurements before and after `start`; history spans the fourteen days before it. */
function rowsOf(measured: readonly Vehicle[], start: Date): Row[] {
  return measured.flatMap(({ variant, values, history }) => {
    const vin = newVin();
    return [
      ...values.map((value, index) => ({ vin, variant, value, at: new Date(start.getTime() + index * 60_000) })),
      ...history.map((value, index) => ({
        vin,
        variant: 'control',
        value,
        at: new Date(start.getTime() - 1 - index * DAY),
      })),
    ];
  });
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Computes the sums directly from the vehicles. */
function sumsOf(measured: readonly Vehicle[], variant: Vehicle['variant']): ArmSums {
  const own = measured.filter((vehicle) => vehicle.variant === variant);
  const [paired, alone] = [
    own.filter(({ history }) => history.length > 0),
    own.filter(({ history }) => history.length === 0),
  ];
  return {
    withHistory: pairedMomentsOf(
      paired.map(({ values }) => meanOf(values)),
      paired.map(({ history }) => meanOf(history)),
    ),
    withoutHistory: momentsOf(alone.map(({ values }) => meanOf(values))),
    observations: own.reduce((sum, { values }) => sum + values.length, 0),
  };
}

function analysed(measured: readonly Vehicle[], running: boolean, vehiclesInBothArms = 0): Analysis {
  return analyse(
    {
      arms: { control: sumsOf(measured, 'control'), treatment: sumsOf(measured, 'treatment') },
      treatmentShare: 0.5,
      vehiclesInBothArms,
    },
    { ...PLAN, running },
  );
}

/** Creates vehicles whose treatment lowers the measurement by `effect`; most have history that explains part of it. */
function fleet(seed: number, inEachArm: number, effect: number, level = 40): Vehicle[] {
  const draw = draws(seed);
  return Array.from({ length: 2 * inEachArm }, (_, index) => {
    const variant = index % 2 === 0 ? ('control' as const) : ('treatment' as const);
    const own = level + 5 * draw.normal();
    const readings = (count: number, off: number) => Array.from({ length: count }, () => own - off + 2 * draw.normal());
    return {
      variant,
      values: readings(1 + (index % 4), variant === 'treatment' ? effect : 0),
      history: readings(index % 5, 0),
    };
  });
}

/** Gives an analysis as the API shows it. */
function shown(analysis: Analysis): Record<string, unknown> {
  const spelled = (missing: Analysis['missing']) =>
    missing.map(({ number, reason }) => ({ number, reason: reason.toUpperCase().replaceAll('-', '_') }));
  const { winner: _, cuped, variants, missing, decidedBy, ...rest } = analysis;
  return {
    ...rest,
    variants: variants.map((variant) => ({
      ...variant,
      mean: variant.mean ?? 0,
      standardDeviation: variant.standardDeviation ?? 0,
    })),
    cuped: cuped && { ...cuped, missing: spelled(cuped.missing) },
    missing: spelled(missing),
    decidedBy: decidedBy.toUpperCase().replace('-', '_'),
  };
}

/** Compares numbers to nine digits, everything else exactly. */
function expectAlike(actual: unknown, expected: unknown, path = ''): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    expect([path, Math.abs(actual - expected) <= 1e-9 * Math.max(1e-300, Math.abs(expected))]).toEqual([path, true]);
  } else if (typeof expected === 'object' && expected !== null && typeof actual === 'object' && actual !== null) {
    expect([path, Object.keys(actual).sort()]).toEqual([path, Object.keys(expected).sort()]);
    for (const [key, value] of Object.entries(expected))
      expectAlike((actual as Record<string, unknown>)[key], value, `${path}.${key}`);
  } else {
    expect([path, actual]).toEqual([path, expected]);
  }
}

async function resultsOf(id: string): Promise<Record<string, unknown>> {
  const answer = await experiments.ask<{ experiment: { results: Record<string, unknown> } }>(
    user('READ'),
    `query($id: ID!) { experiment(id: $id) { results ${RESULTS} } }`,
    { id },
  );
  expect(answer.errors).toEqual([]);
  return answer.data.experiment.results;
}

async function expectResults(id: string, analysis: Analysis): Promise<void> {
  const { computedAt, disturbances, ...numbers } = await resultsOf(id);
  expect(Date.parse(computedAt as string)).toBeLessThanOrEqual(Date.now());
  expect(disturbances).toEqual([]);
  expectAlike(numbers, shown(analysis));
}

const since = (days: number) => new Date(Math.floor(Date.now() / 1_000) * 1_000 - days * DAY);

describe('live results', () => {
  test('equal an analysis of the same measurements computed here, history included', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(1, 60, 3);
    await store(flag.key, rowsOf(measured, start));
    await expectResults(id, analysed(measured, true));
    expect((await resultsOf(id))['cuped']).toMatchObject({ coverage: 0.8 });
  });

  test('count a batch once that was stored again in other blocks', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(2, 20, 3);
    await store(flag.key, rowsOf(measured, start), 3);
    await expectResults(id, analysed(measured, true));
  });

  test('keep their digits when the mean is large compared with the spread', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(3, 30, 3, 4e7);
    await store(flag.key, rowsOf(measured, start));
    const { data } = await experiments.ask<{ experiment: { results: { variants: { standardDeviation: number }[] } } }>(
      user('READ'),
      `{ experiment(id: "${id}") { results { variants { standardDeviation } } } }`,
    );
    const expected = analysed(measured, true).variants.map(({ standardDeviation }) => standardDeviation ?? NaN);
    data.experiment.results.variants.forEach(({ standardDeviation }, index) =>
      expect(standardDeviation / (expected[index] ?? NaN)).toBeCloseTo(1, 6),
    );
  });

  test('leave out and count vehicles that were in both arms', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(4, 20, 3);
    await store(flag.key, rowsOf(measured, start));
    for (const vin of [newVin(), newVin(), newVin()]) {
      await store(
        flag.key,
        (['control', 'treatment', 'control'] as const).map((variant) => ({ vin, variant, value: 1e6, at: start })),
      );
    }
    await expectResults(id, analysed(measured, true, 3));
  });

  test('ignore other flags, metrics and variants, rows older than the history, and rows at or after the end', async () => {
    const start = since(3);
    const end = since(1);
    const { id, flag } = await experiments.running({}, start);
    await experiments.prisma.experiment.update({ where: { id }, data: { endDate: end } });
    const measured = fleet(5, 20, 3);
    const rows = rowsOf(measured, start);
    await store(flag.key, rows);
    await store(
      'another_flag',
      rows.map((row) => ({ ...row, value: 1e6 })),
    );
    const [control = ''] = rows.filter(({ variant }) => variant === 'control').map(({ vin }) => vin);
    const odd = { vin: control, variant: 'control', value: 1e6, at: start };
    await store(flag.key, [
      { ...odd, metric: 'other_minutes' },
      { ...odd, variant: 'enabled' },
      { ...odd, at: end },
      { ...odd, at: new Date(start.getTime() - 14 * DAY - 1) },
      { ...odd, vin: newVin(), variant: 'enabled' },
    ]);
    await expectResults(id, analysed(measured, true));
  });

  test('count a row at the very start, and one at the very beginning of the history', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const first = new Date(start.getTime() - 14 * DAY);
    const measured: Vehicle[] = [1, 2, 4, 5, 7, 9].map((value, index) => ({
      variant: index % 2 === 0 ? 'control' : 'treatment',
      values: [value],
      history: [value * value],
    }));
    const rows = rowsOf(measured, start).map((row) => (row.at < start ? { ...row, at: first } : row));
    await store(flag.key, rows);
    await expectResults(id, analysed(measured, true));
  });

  test('end the history of all vehicles when the first one received the treatment', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(6, 20, 3);
    await store(flag.key, rowsOf(measured, start));
    // It evaluated the flag some days before the start, which may have affected later measurements.
    const touched = new Date(start.getTime() - 2 * DAY);
    await store(flag.key, [{ vin: newVin(), variant: 'treatment', value: 1, at: touched, metric: '$evaluations' }]);
    const untouched = measured.map((vehicle) => ({
      ...vehicle,
      history: vehicle.history.filter((_, index) => index >= 2),
    }));
    await expectResults(id, analysed(untouched, true));
  });

  test('without measurements are null with a reason, and 0 where the API promises a number', async () => {
    const { id } = await experiments.running();
    await expectResults(id, analysed([], true));
    expect(await resultsOf(id)).toMatchObject({
      variants: [
        { variant: 'control', vehicles: 0, mean: 0, standardDeviation: 0 },
        { variant: 'treatment', vehicles: 0, mean: 0, standardDeviation: 0 },
      ],
      pValue: null,
      cuped: null,
      missing: expect.arrayContaining([
        { number: 'pValue', reason: 'TOO_FEW_VEHICLES' },
        { number: 'cuped', reason: 'NO_HISTORY' },
      ]),
    });
  });

  test("beyond a double's range are null and no error", async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    await store(
      flag.key,
      rowsOf(
        [1e308, -1e308, 1.5e308, 1.6e308].map((value, index) => ({
          variant: index % 2 === 0 ? 'control' : 'treatment',
          values: [value, value],
          history: [],
        })),
        start,
      ),
    );
    expect(await resultsOf(id)).toMatchObject({
      pValue: null,
      significant: false,
      variants: [{ vehicles: 2 }, { vehicles: 2 }],
    });
  });

  test('list what disturbed the experiment, and who did it', async () => {
    const { id } = await experiments.running();
    const by = experiments.writer.userId;
    const at = new Date('2027-01-01T00:00:00.000Z');
    await experiments.prisma.experimentDisturbance.createMany({
      data: [
        { experimentId: id, action: 'KILL_SWITCH', createdAt: new Date(at.getTime() + 1) },
        { experimentId: id, action: 'UPDATE_RULE', userId: by, createdAt: at },
      ],
    });
    expect((await resultsOf(id))['disturbances']).toEqual([
      { at: '2027-01-01T00:00:00.000Z', action: 'UPDATE_RULE', by: { id: by } },
      { at: '2027-01-01T00:00:00.001Z', action: 'KILL_SWITCH', by: null },
    ]);
  });

  test('are not for vehicles', async () => {
    const { id } = await experiments.running();
    const vehicle = { kind: 'vehicle', vin: newVin(), environment: 'staging' } as const;
    expect(refusal(await experiments.ask(vehicle, `{ experiment(id: "${id}") { results { significant } } }`))).toEqual({
      code: 'FORBIDDEN',
    });
  });
});

describe('completion', () => {
  /** Lets the planned end be now. */
  const endNow = (id: string) => experiments.prisma.experiment.update({ where: { id }, data: { endDate: new Date() } });

  test('stores winner, p-value, improvement and the whole analysis, whatever is measured later', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(7, 60, -12);
    await store(flag.key, rowsOf(measured, start));
    await endNow(id);
    const expected = analysed(measured, false);
    expect(expected.winner).toBe('treatment');
    const { data, errors } = await experiments.to<{ pValue: number; improvementPercent: number }>('complete', id);
    expect(errors).toEqual([]);
    expect(data.experiment).toMatchObject({ status: 'COMPLETED', winnerVariant: 'treatment' });
    expectAlike(data.experiment.pValue, expected.pValue);
    expectAlike(data.experiment.improvementPercent, expected.improvementPercent);

    await store(flag.key, rowsOf(fleet(8, 60, 40), start));
    await expectResults(id, expected);
    const row = await experiments.prisma.experiment.findUniqueOrThrow({ where: { id } });
    expect(Number(row.pValue)).toBe(1e-8);
    expect(Number(row.improvementPercent)).toBeCloseTo(expected.improvementPercent ?? NaN, 4);
    expect((await experiments.lastAudit()).afterValue).toMatchObject({
      winnerVariant: 'treatment',
      improvementPercent: data.experiment.improvementPercent,
      sampleRatioMismatch: false,
    });
  });

  test('before the planned end or size goes by the sequential test, or with force and a reason by the one for the end', async () => {
    const start = since(3);
    const measured = fleet(11, 60, -4);
    const completed = async (more: string) => {
      const { id, flag } = await experiments.running({ sampleSize: 5_000 }, start);
      await store(flag.key, rowsOf(measured, start));
      const { data, errors } = await experiments.to<{ pValue: number; winnerVariant: string }>('complete', id, more);
      expect(errors).toEqual([]);
      const { results } = (
        await experiments.ask<{ experiment: { results: Record<string, unknown> } }>(
          user('READ'),
          `{ experiment(id: "${id}") { results { decidedBy significant pValue sequentialPValue forcedReason } } }`,
        )
      ).data.experiment;
      return { experiment: data.experiment, results };
    };
    const early = await completed('');
    expect(early).toMatchObject({
      experiment: { winnerVariant: null, pValue: expect.closeTo(Number(early.results['sequentialPValue']), 12) },
      results: { decidedBy: 'SEQUENTIAL', significant: false, forcedReason: null },
    });
    // The test for a single analysis would have named a winner.
    expect(early.results['pValue']).toBeLessThan(0.05);
    expect(await completed(', force: true, reason: "The season is over"')).toMatchObject({
      experiment: { winnerVariant: 'treatment', pValue: expect.closeTo(Number(early.results['pValue']), 12) },
      results: { decidedBy: 'FIXED_HORIZON', significant: true, forcedReason: 'The season is over' },
    });
    expect((await experiments.lastAudit()).afterValue).toMatchObject({
      decidedBy: 'fixed-horizon',
      forcedReason: 'The season is over',
      reason: 'The season is over',
    });
    await completed(', reason: "Enough is known"');
    expect((await experiments.lastAudit()).afterValue).toMatchObject({ forcedReason: null, reason: 'Enough is known' });
    const { id } = await experiments.running();
    expect(refusal(await experiments.to('complete', id, ', force: true'))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'reason',
    });
  });

  test('stores a p-value that its column cannot hold as the least that it can, and in the results in full', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ sampleSize: 10 }, start);
    const rows = Array.from({ length: 80 }, (_, index): Vehicle => ({
      variant: index % 2 === 0 ? 'control' : 'treatment',
      values: [(index % 2) * 50 + (index % 5)],
      history: [],
    }));
    await store(flag.key, rowsOf(rows, start));
    const { data } = await experiments.to<{ pValue: number }>('complete', id);
    expect(data.experiment.pValue).toBeGreaterThan(0);
    expect(data.experiment.pValue).toBeLessThan(1e-20);
    expect(Number((await experiments.prisma.experiment.findUniqueOrThrow({ where: { id } })).pValue)).toBe(1e-8);
  });

  test('names no winner when one arm lost vehicles', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(9, 80, -12).filter(({ variant }, index) => variant === 'control' || index % 6 === 1);
    await store(flag.key, rowsOf(measured, start));
    await endNow(id);
    expect(analysed(measured, false)).toMatchObject({ winner: 'treatment', sampleRatioMismatch: { detected: true } });
    expect((await experiments.to('complete', id)).data).toMatchObject({
      experiment: { winnerVariant: null, pValue: expect.any(Number) },
    });
    expect(await resultsOf(id)).toMatchObject({ significant: true, sampleRatioMismatch: { detected: true } });
  });

  test('stores an improvement that exceeds its column in the results', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    await store(
      flag.key,
      rowsOf(
        [1, 1000, 1.01, 1010, 0.99, 990].map((value, index) => ({
          variant: index % 2 === 0 ? 'control' : 'treatment',
          values: [value],
          history: [],
        })),
        start,
      ),
    );
    const { data, errors } = await experiments.to<{ improvementPercent: number }>('complete', id);
    expect(errors).toEqual([]);
    expect(data.experiment.improvementPercent).toBeCloseTo(99_900, 6);
    expect(Number((await experiments.prisma.experiment.findUniqueOrThrow({ where: { id } })).improvementPercent)).toBe(
      9_999.9999,
    );
  });
});
