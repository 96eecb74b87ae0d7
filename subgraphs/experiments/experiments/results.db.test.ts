/** The results of an experiment that runs: what they count, compare and show. */
import { describe, expect, test, beforeAll, afterAll } from '@jest/globals';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import { refusal, user } from '../../shared/testing/asking.ts';
import {
  MEASURED_MINUTES,
  MEASURED_ENERGY,
  MEASURED_METRES,
  type MeasuredRow,
  type MeasuredVehicle,
  measuredExperimentSteps,
  MeasuredExperiments,
} from '../testing/measured-experiments.ts';
import type { ExperimentsUnderTest } from '../testing/experiments-under-test.ts';

const DAY = 24 * 3_600_000;
const HOUR = 3_600_000;

let measuredExperiments: MeasuredExperiments;
let experiments: ExperimentsUnderTest;

beforeAll(async () => {
  measuredExperiments = await MeasuredExperiments.start();
  ({ experiments } = measuredExperiments);
});

afterAll(() => measuredExperiments.drop());

const { newVin, store, rowsOf, arrivingNow, stateOf, analysed, fleet, expectAlike, resultsOf, expectResults, since } =
  measuredExperimentSteps(() => measuredExperiments);

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
    [MEASURED_ENERGY, 'with a window', (row: MeasuredRow) => row],
    // The first to arrive counts: arrivals far apart show whether their order is kept.
    [
      MEASURED_MINUTES,
      'without one',
      (row: MeasuredRow, index: number) => ({ ...row, received: new Date(+row.at + index) }),
    ],
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
      return (await measuredExperiments.metrics.client.query({ query, format: 'JSONEachRow' })).json();
    };
    const looked = async () => {
      const { computedAt: _computedAt, countedUntil: _countedUntil, ...numbers } = await resultsOf(id);
      return { numbers, state: await stateOf(id), exported: await exported(), hours: await hours() };
    };
    const before = await looked();
    expect(before.numbers).toMatchObject({ significant: true, variants: [{ vehicles: 90 }, { vehicles: 90 }] });
    await store(flag.key, arrivingNow(rows), 2, 'sent-again');
    expectAlike(await looked(), before);
    await measuredExperiments.metrics.client.command({ query: 'OPTIMIZE TABLE metric_rows FINAL' });
    expectAlike(await looked(), before);
  });

  test('keep their digits when the mean is large compared with the spread', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: MEASURED_METRES }, start);
    const measured = fleet(3, 30, 3, 4e7);
    await store(flag.key, rowsOf(flag.key, measured, start, MEASURED_METRES));
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
    const moved: MeasuredVehicle[] = values.map((value) => ({
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
    const measured: MeasuredVehicle[] = [1, 2, 4, 5, 7, 9].map((value, index) => ({
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
    const measured = [1e308, -1e308, 1.5e308, 201].map((value, index): MeasuredVehicle => ({
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
    const { id, flag } = await experiments.running({ primaryMetric: MEASURED_ENERGY }, start);
    const at = (minutes: number) => new Date(start.getTime() + minutes * 60_000);
    const row = (vin: string, value: number, minutes: number, received = minutes) => ({
      vin,
      variant: 'control',
      value,
      at: at(minutes),
      received: at(received),
      metric: MEASURED_ENERGY,
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
    await experiments.prisma.metricDefinition.update({ where: { key: MEASURED_MINUTES }, data: { maximum: 300 } });
    await store(flag.key, arrivingNow(rowsOf(flag.key, fleet(22, 60, 25), start)));
    const later = await resultsOf(id);
    await experiments.prisma.metricDefinition.update({ where: { key: MEASURED_MINUTES }, data: { maximum: 200 } });
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
      Array.from({ length: count }, (): MeasuredRow => {
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
