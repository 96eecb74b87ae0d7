/** The completion of an experiment, with its decision and the stored result, and the analysis after the end. */
import { describe, expect, test, beforeAll, afterAll } from '@jest/globals';
import { refusal, user } from '../../shared/testing/asking.ts';
import { analyse } from '../statistics/analyse.ts';
import { evenSplit, NOTHING_GATHERED } from '../statistics/testing/simulated-vehicles.ts';
import {
  RESULTS_SELECTION,
  MEASURED_MINUTES,
  MEASURED_ENERGY,
  MEASURED_METRES,
  type MeasuredVehicle,
  measuredExperimentSteps,
  MeasuredExperiments,
} from '../testing/measured-experiments.ts';
import type { ExperimentsUnderTest } from '../testing/experiments-under-test.ts';

const HOUR = 3_600_000;

let measuredExperiments: MeasuredExperiments;
let experiments: ExperimentsUnderTest;

beforeAll(async () => {
  measuredExperiments = await MeasuredExperiments.start();
  ({ experiments } = measuredExperiments);
});

afterAll(() => measuredExperiments.drop());

const {
  store,
  rowsOf,
  arrivingNow,
  sumsOf,
  stateOf,
  analysed,
  fleet,
  shown,
  expectAlike,
  resultsOf,
  expectResults,
  since,
} = measuredExperimentSteps(() => measuredExperiments);

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
    const constant = (variant: MeasuredVehicle['variant'], value: number) =>
      Array.from({ length: 100 }, (): MeasuredVehicle => ({ variant, values: [value], history: [] }));
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
    const rows = Array.from({ length: 80 }, (_, index): MeasuredVehicle => ({
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
    const { id, flag } = await experiments.running({ primaryMetric: MEASURED_METRES }, start);
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
        MEASURED_METRES,
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
      `query($id: ID!) { experiment(id: $id) { reanalysis { winnerVariant decidesOtherwise differences { number stored now } results ${RESULTS_SELECTION} } } }`,
      { id },
    );
    expect(answer.errors).toEqual([]);
    return answer.data.experiment.reanalysis;
  }

  const complete = (id: string) => experiments.to('complete', id, ', force: true, reason: "Enough seen"');
  const GUARDED = { guardrails: [{ metric: MEASURED_METRES, worse: 'HIGHER', maxWorsePercent: 5 }] };

  test('is null before the completion, and equals the result where nothing came late', async () => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: MEASURED_ENERGY, ...GUARDED }, start);
    expect(await reanalysisOf(id)).toBeNull();
    await store(flag.key, rowsOf(flag.key, fleet(51, 60, 30, 60), start, MEASURED_ENERGY));
    expect(await reanalysisOf(id)).toBeNull();
    await complete(id);
    // Later measurements say nothing about it.
    const later = new Date(Date.now() + 1);
    await store(
      flag.key,
      rowsOf(flag.key, fleet(52, 20, 50, 60), later, MEASURED_ENERGY).filter(({ at }) => at >= later),
    );
    const { computedAt: _computedAt, ...stored } = await resultsOf(id);
    const found = await reanalysisOf(id);
    expect(found).toMatchObject({ winnerVariant: 'control', decidesOtherwise: false, differences: [] });
    const { computedAt: _again, ...numbers } = found!.results;
    expectAlike(numbers, stored);
  });

  test.each([
    [MEASURED_ENERGY, 'in a window'],
    [MEASURED_MINUTES, 'without a window'],
  ])('counts late rows of %s, %s, beside the stored result, and keeps nothing', async (metric) => {
    const start = since(3);
    const { id, flag } = await experiments.running({ primaryMetric: metric, ...GUARDED }, start);
    const one = (vehicle: MeasuredVehicle): MeasuredVehicle => ({ ...vehicle, values: vehicle.values.slice(0, 1) });
    const seen = fleet(53, 50, 30, 60).map(one);
    const rows = rowsOf(flag.key, seen, start, metric);
    await store(flag.key, rows);
    await store(
      flag.key,
      rows.map((row) => ({ ...row, metric: MEASURED_METRES, value: 1e6 })),
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
      arrived.map((row) => ({ ...row, metric: MEASURED_METRES, value: row.variant === 'treatment' ? 9e7 : 1e6 })),
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
    const { id, flag } = await experiments.running({ primaryMetric: MEASURED_ENERGY }, start);
    const rows = rowsOf(
      flag.key,
      fleet(55, 10, 0, 60).map((vehicle) => ({ ...vehicle, values: [30] })),
      start,
      MEASURED_ENERGY,
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
