import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { BUCKETS, bucketing } from '../../../core/evaluation/bucket.ts';
import { refusal, user } from '../../shared/testing/asking.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import { deployMetricsMigrations } from '../clickhouse/migrations.ts';
import { analyse, type Analysis, type ArmSums } from '../statistics/analyse.ts';
import {
  countsOf,
  draws,
  evenSplit,
  gatheredBy,
  momentsOf,
  NOTHING_GATHERED,
  pairedMomentsOf,
} from '../statistics/testing/simulated-vehicles.ts';
import { ExperimentsUnderTest } from '../testing/experiments-under-test.ts';
import { findState, type ExperimentState } from './looks/experiment-state.ts';

const COMPARISON =
  'difference differenceInterval pValue improvementPercent confidenceInterval missing { number reason }';
const BOTH_TESTS =
  'sequentialPValue sequentialDifferenceInterval sequentialConfidenceInterval fixedHorizonPValue fixedHorizonDifferenceInterval fixedHorizonConfidenceInterval deltaPValue';
const RESULTS = `{ variants { variant vehicles observations mean standardDeviation exposed outOfRange neverReported } ${COMPARISON} ${BOTH_TESTS} detectablePercent cuped { theta coverage varianceReduction ${COMPARISON} }
  significant decidedBy sampleRatioMismatch { detected pValue } vehiclesInBothArms disturbances { at action by { id } } countedUntil computedAt }`;
const DAY = 24 * 3_600_000;
/** Declared metrics: minutes count with the first measurement, energy in a window of an hour; one has large numbers. */
const METRIC = 'charge_minutes';
const ENERGY = 'energy_kwh';
const METRES = 'odometer';
const HOUR = 3_600_000;

interface Row {
  readonly vin: string;
  readonly variant: string;
  readonly value: number;
  readonly at: Date;
  readonly metric?: string;
  readonly received?: Date;
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
  await experiments.prisma.metricDefinition.createMany({
    data: [
      { key: METRIC, kind: 'mean', minimum: 0, maximum: 200 },
      { key: ENERGY, kind: 'mean', minimum: 0, maximum: 100, windowMs: HOUR },
      { key: METRES, kind: 'mean', minimum: 0, maximum: 1e8 },
    ],
  });
});

afterAll(async () => {
  await experiments.database.drop();
  await own.drop();
});

/** Gives a new vehicle of an arm of a rule at 50 %. */
function newVin(flagKey: string, variant: string, threshold = BUCKETS / 2): string {
  for (;;) {
    const vin = `KMH${String(++vehicles).padStart(14, '0')}`;
    if (bucketing(flagKey)(vin) < threshold === (variant === 'treatment')) return vin;
  }
}

/** Stores rows as one batch of each vehicle; the same batch is stored `times` times, each in its own block. */
async function store(flagKey: string, rows: readonly Row[], times = 1, batch: string = randomUUID()): Promise<void> {
  const values = rows.map(({ vin, variant, value, at, metric = METRIC, received = at }, position) => ({
    flag_key: flagKey,
    metric,
    at: at.toISOString().replace('Z', ''),
    vin,
    batch_id: batch,
    position,
    variant,
    value,
    tags: '',
    received_at: received.toISOString().replace('Z', ''),
  }));
  for (let time = 0; time < times; time += 1)
    await metrics.client.insert({ table: 'metric_rows', values, format: 'JSONEachRow' });
}

/** Gives rows for the vehicles' measurements before and after `start`; history spans the fourteen days before it. */
function rowsOf(flagKey: string, measured: readonly Vehicle[], start: Date, metric = METRIC): Row[] {
  const rows = measured.flatMap(({ variant, values, history }) => {
    const vin = newVin(flagKey, variant);
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
  return rows.map((row) => ({ ...row, metric }));
}

/** Rows that arrive now, after a look: an arrival in the past would have been seen by it. */
const arrivingNow = (rows: readonly Row[]): Row[] => rows.map((row) => ({ ...row, received: new Date() }));

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The numbers of an arm's vehicles: the first measurement of each, which is the one that counts. */
const numbersOf = (measured: readonly Vehicle[], variant: Vehicle['variant']) =>
  measured.filter((vehicle) => vehicle.variant === variant).map(({ values }) => values[0] ?? NaN);

/** Computes the sums directly from the vehicles. */
function sumsOf(measured: readonly Vehicle[], variant: Vehicle['variant'], otherVariant: number): ArmSums {
  const own = measured.filter((vehicle) => vehicle.variant === variant);
  const [paired, alone] = [
    own.filter(({ history }) => history.length > 0),
    own.filter(({ history }) => history.length === 0),
  ];
  return {
    withHistory: pairedMomentsOf(
      numbersOf(paired, variant),
      paired.map(({ history }) => meanOf(history)),
    ),
    withoutHistory: momentsOf(numbersOf(alone, variant)),
    ...countsOf(own.length),
    observations: own.reduce((sum, { values }) => sum + values.length, 0),
    otherVariant,
  };
}

/** Gives what the experiment keeps. */
async function stateOf(id: string): Promise<ExperimentState> {
  return findState(experiments.prisma, id);
}

/** Analyses the vehicles here, in the range that the experiment has fixed. */
async function analysed(
  id: string,
  measured: readonly Vehicle[],
  running: boolean,
  otherVariant = 0,
): Promise<Analysis> {
  const arms = { control: sumsOf(measured, 'control', 0), treatment: sumsOf(measured, 'treatment', otherVariant) };
  // A look fixes the range.
  await resultsOf(id);
  const { calibration } = await stateOf(id);
  const values = { control: numbersOf(measured, 'control'), treatment: numbersOf(measured, 'treatment') };
  const gathered = calibration && gatheredBy(values, { binary: false, share: 0.5, range: calibration.range });
  return analyse({ arms, exposures: evenSplit(arms) }, gathered ?? NOTHING_GATHERED, {
    confidenceLevel: 0.95,
    running,
  });
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

/** Lists where two values differ: numbers by more than nine digits, everything else by anything. */
function differences(actual: unknown, expected: unknown, path = ''): unknown[] {
  if (typeof expected === 'number' && typeof actual === 'number') {
    const isAlike = Math.abs(actual - expected) <= 1e-9 * Math.max(1e-300, Math.abs(expected));
    return isAlike ? [] : [[path, actual, expected]];
  }
  if (typeof expected === 'object' && expected !== null && typeof actual === 'object' && actual !== null) {
    const [keys, wanted] = [Object.keys(actual).sort(), Object.keys(expected).sort()];
    if (keys.join() !== wanted.join()) return [[path, keys, wanted]];
    return Object.entries(expected).flatMap(([key, value]) =>
      differences((actual as Record<string, unknown>)[key], value, `${path}.${key}`),
    );
  }
  return Object.is(actual, expected) ? [] : [[path, actual, expected]];
}

/** One assertion for all of it: one for each number took a tenth of this file's time. */
const expectAlike = (actual: unknown, expected: unknown) => expect(differences(actual, expected)).toEqual([]);

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
  const { computedAt, countedUntil, disturbances, ...numbers } = await resultsOf(id);
  expect(Date.parse(countedUntil as string)).toBeLessThanOrEqual(Date.parse(computedAt as string));
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
    await store(flag.key, rowsOf(flag.key, measured, start));
    await expectResults(id, await analysed(id, measured, true));
    expect((await resultsOf(id))['cuped']).toMatchObject({ coverage: 0.8 });
  });

  test('count a batch once that was stored again in other blocks', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(2, 20, 3);
    await store(flag.key, rowsOf(flag.key, measured, start), 3);
    await expectResults(id, await analysed(id, measured, true));
  });

  test.each([
    [ENERGY, 'with a window', (row: Row) => row],
    // The first to arrive counts: arrivals far apart show whether their order is kept.
    [METRIC, 'without one', (row: Row, index: number) => ({ ...row, received: new Date(+row.at + index) })],
  ])('stay as they are when batches are sent again after a look, as hours do: %s, %s', async (metric, _, received) => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: metric }, start);
    const rows = rowsOf(flag.key, fleet(31, 90, 40, 70), start, metric).map(received);
    await store(flag.key, rows, 1, 'sent-again');
    const exported = async () =>
      (
        await experiments.ask<{ experiment: object }>(
          experiments.writer,
          `{ experiment(id: "${id}") { effectOverTime { vehicles { control treatment } confidenceInterval } analysedVehicles { nodes { vin settlesAt measured used neverReported } } } }`,
        )
      ).data;
    const hours = async () => {
      const query = `SELECT hour, vin, rows, sum FROM metric_hours FINAL WHERE flag_key = '${flag.key}' ORDER BY hour, vin`;
      return (await metrics.client.query({ query, format: 'JSONEachRow' })).json();
    };
    const looked = async () => {
      const { computedAt: _computedAt, countedUntil: _countedUntil, ...numbers } = await resultsOf(id);
      return { numbers, state: await stateOf(id), exported: await exported(), hours: await hours() };
    };
    const before = await looked();
    expect(before.numbers).toMatchObject({ significant: true, variants: [{ vehicles: 90 }, { vehicles: 90 }] });
    await store(flag.key, arrivingNow(rows), 2, 'sent-again');
    expectAlike(await looked(), before);
    await metrics.client.command({ query: 'OPTIMIZE TABLE metric_rows FINAL' });
    expectAlike(await looked(), before);
  });

  test('keep their digits when the mean is large compared with the spread', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: METRES }, start);
    const measured = fleet(3, 30, 3, 4e7);
    await store(flag.key, rowsOf(flag.key, measured, start, METRES));
    const { data } = await experiments.ask<{ experiment: { results: { variants: { standardDeviation: number }[] } } }>(
      user('READ'),
      `{ experiment(id: "${id}") { results { variants { standardDeviation } } } }`,
    );
    const { variants } = await analysed(id, measured, true);
    const expected = variants.map(({ standardDeviation }) => standardDeviation ?? NaN);
    data.experiment.results.variants.forEach(({ standardDeviation }, index) =>
      expect(standardDeviation / (expected[index] ?? NaN)).toBeCloseTo(1, 6),
    );
  });

  test('count vehicles in the arm of their bucket, whatever they reported', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(4, 20, 3);
    await store(flag.key, rowsOf(flag.key, measured, start));
    const values = [41, 77, 12];
    for (const value of values) {
      const vin = newVin(flag.key, 'treatment');
      const variants = ['control', 'treatment', 'control'] as const;
      await store(
        flag.key,
        variants.map((variant) => ({ vin, variant, value, at: start })),
      );
    }
    const moved: Vehicle[] = values.map((value) => ({
      variant: 'treatment',
      values: [value, value, value],
      history: [],
    }));
    await expectResults(id, await analysed(id, [...measured, ...moved], true, 3));
  });

  test('ignore other flags, metrics and variants, rows older than the history, and rows at or after the end', async () => {
    const start = since(3);
    const end = since(1);
    const { id, flag } = await experiments.running({}, start);
    await experiments.prisma.experiment.update({ where: { id }, data: { endDate: end } });
    const measured = fleet(5, 20, 3);
    const rows = rowsOf(flag.key, measured, start);
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
      { ...odd, at: end, received: new Date(end.getTime() + 1) },
      { ...odd, at: new Date(start.getTime() - 14 * DAY - 1) },
      { ...odd, vin: newVin(flag.key, 'control'), variant: 'enabled' },
    ]);
    await expectResults(id, await analysed(id, measured, true));
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
    const rows = rowsOf(flag.key, measured, start).map((row) => (row.at < start ? { ...row, at: first } : row));
    await store(flag.key, rows);
    await expectResults(id, await analysed(id, measured, true));
  });

  test('end the history of all vehicles when the feature was served before, and not for one stray vehicle', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(6, 20, 3);
    await store(flag.key, rowsOf(flag.key, measured, start));
    // It evaluated the flag some days before the start, which may have affected later measurements.
    const touched = new Date(start.getTime() - 2 * DAY);
    const touch = () =>
      store(flag.key, [
        { vin: newVin(flag.key, 'treatment'), variant: 'treatment', value: 1, at: touched, metric: '$evaluations' },
      ]);
    await touch();
    await expectResults(id, await analysed(id, measured, true));
    await touch();
    const untouched = measured.map((vehicle) => ({
      ...vehicle,
      history: vehicle.history.filter((_, index) => index >= 2),
    }));
    await expectResults(id, await analysed(id, untouched, true));
  });

  test('without measurements are null with a reason, and 0 where the API promises a number', async () => {
    const { id } = await experiments.running();
    await expectResults(id, await analysed(id, [], true));
    expect(await resultsOf(id)).toMatchObject({
      variants: [
        { variant: 'control', vehicles: 0, mean: 0, standardDeviation: 0 },
        { variant: 'treatment', vehicles: 0, mean: 0, standardDeviation: 0 },
      ],
      pValue: null,
      cuped: null,
      missing: expect.arrayContaining([
        { number: 'pValue', reason: 'TOO_FEW_VEHICLES' },
        { number: 'fixedHorizonPValue', reason: 'TOO_FEW_VEHICLES' },
        { number: 'cuped', reason: 'NO_HISTORY' },
      ]),
    });
  });

  test('out of the range are counted by arm, and no error', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = [1e308, -1e308, 1.5e308, 201].map((value, index): Vehicle => ({
      variant: index === 0 ? 'control' : 'treatment',
      values: [value, value],
      history: [],
    }));
    await store(flag.key, rowsOf(flag.key, measured, start));
    expect(await resultsOf(id)).toMatchObject({
      pValue: null,
      significant: false,
      variants: [
        { vehicles: 0, exposed: 1, outOfRange: 1 },
        { vehicles: 0, exposed: 3, outOfRange: 3 },
      ],
    });
  });

  test('count a vehicle once, when its window has passed, by what arrived in it', async () => {
    const start = new Date(Date.now() - 3 * HOUR);
    const { id, flag } = await experiments.running({ primaryMetric: ENERGY }, start);
    const at = (minutes: number) => new Date(start.getTime() + minutes * 60_000);
    const row = (vin: string, value: number, minutes: number, received = minutes) => ({
      vin,
      variant: 'control',
      value,
      at: at(minutes),
      received: at(received),
      metric: ENERGY,
    });
    const control = () => newVin(flag.key, 'control');
    const [done, late, open, silent] = [control(), control(), control(), control()];
    await store(flag.key, [
      row(done, 10, 0),
      row(done, 20, 59),
      row(done, 90, 61),
      row(late, 30, 0),
      row(late, 99, 5, 100),
      row(open, 50, 130),
      { ...row(silent, 1, 3), metric: '$evaluations' },
    ]);
    const { variants } = await resultsOf(id);
    expect(variants).toMatchObject([{ vehicles: 2, mean: 22.5, exposed: 4, neverReported: 1 }, { exposed: 0 }]);
  });

  test('keep what was shown: neither later vehicles nor another declaration take it back', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    await store(flag.key, rowsOf(flag.key, fleet(21, 60, -25), start));
    const shown = await resultsOf(id);
    expect(shown).toMatchObject({ significant: true, decidedBy: 'SEQUENTIAL' });
    const { calibration } = await stateOf(id);
    await experiments.prisma.metricDefinition.update({ where: { key: METRIC }, data: { maximum: 300 } });
    await store(flag.key, arrivingNow(rowsOf(flag.key, fleet(22, 60, 25), start)));
    const later = await resultsOf(id);
    await experiments.prisma.metricDefinition.update({ where: { key: METRIC }, data: { maximum: 200 } });
    expect(later).toMatchObject({ significant: true, pValue: shown['pValue'] });
    expect((await stateOf(id)).calibration).toEqual(calibration);
    const [before, after] = [shown, later].map((results) => results['confidenceInterval'] as [number, number] | null);
    expect(before?.[0]).toBeGreaterThan(0);
    // Null where the vehicles that came later say the contrary: then no effect fits both looks.
    const [low, high] = after ?? before ?? [NaN, NaN];
    expect([low >= before![0], high <= before![1]]).toEqual([true, true]);
  });

  test('compare by the draw of the start until the percentage changes, and test the split by that of its time', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(23, 40, 0).map((vehicle) => ({ ...vehicle, history: [] }));
    await store(flag.key, rowsOf(flag.key, measured, start));
    const changed = since(2);
    await experiments.prisma.experimentDisturbance.create({
      data: { experimentId: id, action: 'UPDATE_RULE', createdAt: changed, salt: flag.key, threshold: BUCKETS / 10 },
    });
    const threshold = BUCKETS / 10;
    const after = (variant: string, count: number) =>
      Array.from({ length: count }, (): Row => {
        const vin = newVin(flag.key, variant, threshold);
        return { vin, variant, value: 40, at: new Date(changed.getTime() + 60_000) };
      });
    await store(flag.key, [...after('treatment', 20), ...after('control', 180)]);
    const results = await resultsOf(id);
    expect(results).toMatchObject({
      variants: [{ vehicles: 40 }, { vehicles: 40 }],
      sampleRatioMismatch: { detected: false },
    });
    expect(Date.parse(results['countedUntil'] as string)).toBe(changed.getTime());
    await store(flag.key, arrivingNow(after('treatment', 60)));
    expect(await resultsOf(id)).toMatchObject({ sampleRatioMismatch: { detected: true } });
  });

  test('take the range of a metric that nobody declared from the first vehicles, which do not count', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: 'nobody_knows' }, start);
    const few = fleet(24, 99, 0).map((vehicle) => ({ ...vehicle, history: [] }));
    await store(flag.key, rowsOf(flag.key, few, start, 'nobody_knows'));
    expect(await resultsOf(id)).toMatchObject({ variants: [{ vehicles: 0 }, { vehicles: 0 }], pValue: null });
    const more = fleet(25, 11, 0).map((vehicle) => ({ ...vehicle, history: [] }));
    await store(flag.key, arrivingNow(rowsOf(flag.key, more, new Date(start.getTime() + HOUR), 'nobody_knows')));
    const { variants } = await resultsOf(id);
    const counted = (variants as { vehicles: number }[]).map(({ vehicles: many }) => many);
    expect(counted[0]! + counted[1]!).toBe(20);
    expect((await stateOf(id)).calibration).toMatchObject({ source: 'first-vehicles', declared: false });
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
    const vehicle = { kind: 'vehicle', vin: newVin('any', 'control'), environment: 'staging' } as const;
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
    await store(flag.key, rowsOf(flag.key, measured, start));
    await endNow(id);
    const expected = await analysed(id, measured, false);
    expect(expected.winner).toBe('treatment');
    const { data, errors } = await experiments.to<{ pValue: number; improvementPercent: number }>('complete', id);
    expect(errors).toEqual([]);
    expect(data.experiment).toMatchObject({ status: 'COMPLETED', winnerVariant: 'treatment' });
    expectAlike(data.experiment.pValue, expected.pValue);
    expectAlike(data.experiment.improvementPercent, expected.improvementPercent);

    await store(flag.key, rowsOf(flag.key, fleet(8, 60, 40), start));
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
      await store(flag.key, rowsOf(flag.key, measured, start));
      const { data, errors } = await experiments.to<{ pValue: number; winnerVariant: string }>('complete', id, more);
      expect(errors).toEqual([]);
      const { results } = (
        await experiments.ask<{ experiment: { results: Record<string, unknown> } }>(
          user('READ'),
          `{ experiment(id: "${id}") { results { decidedBy significant pValue sequentialPValue fixedHorizonPValue forcedReason } } }`,
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
    expect(early.results['fixedHorizonPValue']).toBeLessThan(0.05);
    expect(await completed(', force: true, reason: "The season is over"')).toMatchObject({
      experiment: {
        winnerVariant: 'treatment',
        pValue: expect.closeTo(Number(early.results['fixedHorizonPValue']), 12),
      },
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

  test.each([
    ['a change of the percentage', { salt: 's', threshold: 60_000 }],
    ['the kill switch', {}],
  ])('at a planned end before which %s ended the comparison goes by the sequential test', async (_, draw) => {
    const start = since(3);
    const { id, flag } = await experiments.running({ sampleSize: 5_000 }, start);
    await store(flag.key, rowsOf(flag.key, fleet(11, 60, -4), start));
    const createdAt = new Date(Date.now() - 1_000);
    await experiments.prisma.experimentDisturbance.create({
      data: { experimentId: id, action: 'UPDATE_RULE', createdAt, ...draw },
    });
    await endNow(id);
    const { data, errors } = await experiments.to('complete', id);
    expect(errors).toEqual([]);
    expect(data.experiment).toMatchObject({ status: 'COMPLETED', winnerVariant: null });
    const stored = await resultsOf(id);
    expect(stored).toMatchObject({ decidedBy: 'SEQUENTIAL', significant: false });
    // A person who saw this and stopped the comparison would have named a winner.
    expect(stored['fixedHorizonPValue']).toBeLessThan(0.05);
  });

  test('at the planned end has a winner, too, where each arm measured one number', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const constant = (variant: Vehicle['variant'], value: number) =>
      Array.from({ length: 100 }, (): Vehicle => ({ variant, values: [value], history: [] }));
    await store(flag.key, rowsOf(flag.key, [...constant('control', 20), ...constant('treatment', 180)], start));
    await endNow(id);
    const { data } = await experiments.to('complete', id);
    expect(data.experiment).toMatchObject({ winnerVariant: 'treatment' });
    const stored = await resultsOf(id);
    expect(stored).toMatchObject({ decidedBy: 'SEQUENTIAL', significant: true, fixedHorizonPValue: null });
    expect(stored['pValue']).toBe(stored['sequentialPValue']);
    expect((stored['differenceInterval'] as number[])[0]).toBeGreaterThan(0);
  });

  test('stores a p-value that its column cannot hold as the least that it can, and in the results in full', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ sampleSize: 10 }, start);
    const rows = Array.from({ length: 80 }, (_, index): Vehicle => ({
      variant: index % 2 === 0 ? 'control' : 'treatment',
      values: [(index % 2) * 50 + (index % 5)],
      history: [],
    }));
    await store(flag.key, rowsOf(flag.key, rows, start));
    const { data } = await experiments.to<{ pValue: number }>('complete', id);
    expect(data.experiment.pValue).toBeGreaterThan(0);
    expect(data.experiment.pValue).toBeLessThan(1e-20);
    expect(Number((await experiments.prisma.experiment.findUniqueOrThrow({ where: { id } })).pValue)).toBe(1e-8);
  });

  test('names no winner when one arm lost vehicles', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({}, start);
    const measured = fleet(9, 80, -12).filter(({ variant }, index) => variant === 'control' || index % 6 === 1);
    await store(flag.key, rowsOf(flag.key, measured, start));
    await endNow(id);
    expect(await analysed(id, measured, false)).toMatchObject({
      winner: 'treatment',
      sampleRatioMismatch: { detected: true },
    });
    expect((await experiments.to('complete', id)).data).toMatchObject({
      experiment: { winnerVariant: null, pValue: expect.any(Number) },
    });
    expect(await resultsOf(id)).toMatchObject({ significant: true, sampleRatioMismatch: { detected: true } });
  });

  test('at the planned size goes by the vehicles of the moment at which it was reached', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ sampleSize: 20 }, start);
    const measured = fleet(31, 20, -12).map((vehicle) => ({ ...vehicle, history: [] }));
    await store(flag.key, rowsOf(flag.key, measured, start));
    await store(flag.key, rowsOf(flag.key, fleet(32, 50, 30), new Date(start.getTime() + HOUR)));
    const expected = await analysed(id, measured, false);
    const { data } = await experiments.to<{ pValue: number }>('complete', id);
    expect(data.experiment).toMatchObject({ winnerVariant: 'treatment' });
    expectAlike(data.experiment.pValue, expected.pValue);
    const results = await resultsOf(id);
    expect(results).toMatchObject({ decidedBy: 'FIXED_HORIZON', variants: [{ vehicles: 20 }, { vehicles: 20 }] });
    expect(Date.parse(results['countedUntil'] as string)).toBe(start.getTime());
  });

  test('stores an improvement that exceeds its column in the results', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: METRES }, start);
    await store(
      flag.key,
      rowsOf(
        flag.key,
        [1, 1000, 1.01, 1010, 0.99, 990].map((value, index) => ({
          variant: index % 2 === 0 ? 'control' : 'treatment',
          values: [value],
          history: [],
        })),
        start,
        METRES,
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

describe('an analysis after the end', () => {
  interface Reanalysed {
    readonly results: Record<string, unknown> & { readonly variants: readonly Record<string, unknown>[] };
    readonly winnerVariant: string | null;
    readonly decidesOtherwise: boolean;
    readonly differences: readonly { readonly number: string; readonly stored: number; readonly now: number }[];
  }

  async function reanalysisOf(id: string): Promise<Reanalysed | null> {
    const answer = await experiments.ask<{ experiment: { reanalysis: Reanalysed | null } }>(
      user('READ'),
      `query($id: ID!) { experiment(id: $id) { reanalysis { winnerVariant decidesOtherwise differences { number stored now } results ${RESULTS} } } }`,
      { id },
    );
    expect(answer.errors).toEqual([]);
    return answer.data.experiment.reanalysis;
  }

  const complete = (id: string) => experiments.to('complete', id, ', force: true, reason: "Enough seen"');
  const GUARDED = { guardrails: [{ metric: METRES, worse: 'HIGHER', maxWorsePercent: 5 }] };

  test('is null before the completion, and equals the result where nothing came late', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: ENERGY, ...GUARDED }, start);
    expect(await reanalysisOf(id)).toBeNull();
    await store(flag.key, rowsOf(flag.key, fleet(51, 60, 30, 60), start, ENERGY));
    expect(await reanalysisOf(id)).toBeNull();
    await complete(id);
    // Later measurements say nothing about it.
    const later = new Date(Date.now() + 1);
    await store(
      flag.key,
      rowsOf(flag.key, fleet(52, 20, 50, 60), later, ENERGY).filter(({ at }) => at >= later),
    );
    const { computedAt: _computedAt, ...stored } = await resultsOf(id);
    const found = await reanalysisOf(id);
    expect(found).toMatchObject({ winnerVariant: 'control', decidesOtherwise: false, differences: [] });
    const { computedAt: _again, ...numbers } = found!.results;
    expectAlike(numbers, stored);
  });

  test.each([
    [ENERGY, 'in a window'],
    [METRIC, 'without a window'],
  ])('counts late rows of %s, %s, beside the stored result, and keeps nothing', async (metric) => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: metric, ...GUARDED }, start);
    const one = (vehicle: Vehicle): Vehicle => ({ ...vehicle, values: vehicle.values.slice(0, 1) });
    const seen = fleet(53, 50, 30, 60).map(one);
    const rows = rowsOf(flag.key, seen, start, metric);
    await store(flag.key, rows);
    await store(
      flag.key,
      rows.map((row) => ({ ...row, metric: METRES, value: 1e6 })),
    );
    await complete(id);
    const [stored, state] = [await resultsOf(id), await stateOf(id)];
    expect(stored).toMatchObject({ significant: true, variants: [{ vehicles: 50 }, { vehicles: 50 }] });

    // Vehicles that were offline show the contrary, and crossed the guardrail.
    const late = fleet(54, 150, -35, 20).map(one);
    const arrived = arrivingNow(rowsOf(flag.key, late, start, metric));
    await store(flag.key, arrived);
    await store(
      flag.key,
      arrived.map((row) => ({ ...row, metric: METRES, value: row.variant === 'treatment' ? 9e7 : 1e6 })),
    );
    const found = await reanalysisOf(id);
    const all = [...seen, ...late];
    const arms = { control: sumsOf(all, 'control', 0), treatment: sumsOf(all, 'treatment', 0) };
    const local = analyse({ arms, exposures: evenSplit(arms) }, NOTHING_GATHERED, {
      confidenceLevel: 0.95,
      running: false,
    });
    const { variants, fixedHorizonPValue, difference } = shown(local);
    expectAlike(
      {
        variants: found?.results.variants,
        fixedHorizonPValue: found?.results['fixedHorizonPValue'],
        difference: found?.results['difference'],
      },
      { variants, fixedHorizonPValue, difference },
    );
    expect(found).toMatchObject({ winnerVariant: 'treatment', decidesOtherwise: true });
    expect(found?.differences).toContainEqual({ number: 'treatment.vehicles', stored: 50, now: 200 });
    expect(found?.differences.map(({ number }) => number)).toContain('difference');
    expect(found?.results).toMatchObject({ countedUntil: stored['countedUntil'] });

    expect(await resultsOf(id)).toEqual(stored);
    expect(await stateOf(id)).toEqual(state);
    const kept = await experiments.prisma.experimentMetricEvidence.findMany({ where: { experimentId: id } });
    expect(kept).toMatchObject([{ state: { guard: { most: 0 } } }]);
    const again = await reanalysisOf(id);
    expect(again?.differences).toEqual(found?.differences);
  });

  test('takes measurements that came after their window into the number of a vehicle', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: ENERGY }, start);
    const rows = rowsOf(
      flag.key,
      fleet(55, 10, 0, 60).map((vehicle) => ({ ...vehicle, values: [30] })),
      start,
      ENERGY,
    );
    await store(flag.key, rows);
    await complete(id);
    const of = async () => (await reanalysisOf(id))?.results.variants.map(({ vehicles, mean }) => [vehicles, mean]);
    expect(await of()).toEqual([
      [10, 30],
      [10, 30],
    ]);
    const during = rows.filter(({ at }) => at >= start);
    await store(
      flag.key,
      arrivingNow(during).map((row) => ({ ...row, value: 50, at: new Date(+row.at + 60_000) })),
    );
    expect(await of()).toEqual([
      [10, 40],
      [10, 40],
    ]);
  });
});

test('a sample-ratio mismatch that a look has detected stays, whatever comes later', async () => {
  const start = since(3);
  const { id, flag } = await experiments.running({}, start);
  const lost = fleet(61, 60, 3).filter(({ variant }, index) => variant === 'control' || index < 10);
  await store(flag.key, rowsOf(flag.key, lost, start));
  const detected = async () =>
    (await resultsOf(id))['sampleRatioMismatch'] as { readonly detected: boolean; readonly pValue: number };
  const before = await detected();
  expect(before.detected).toBe(true);
  // The arm that was lost comes back.
  await store(
    flag.key,
    arrivingNow(
      rowsOf(
        flag.key,
        fleet(62, 60, 3).filter(({ variant }) => variant === 'treatment'),
        start,
      ),
    ),
  );
  expect(await detected()).toEqual(before);
});
