import { describe, expect, test } from '@jest/globals';
import { analyse, type AnalysisPlan, type ArmSums } from './analyse.ts';
import { gathered } from './evidence/effect-evidence.ts';
import type { Moments } from './moments.ts';
import type { GatheredEvidence } from './evidence/sequential-comparison.ts';
import {
  NONE,
  NOTHING_GATHERED,
  armWithoutHistory,
  countsOf,
  evenSplit,
  gatheredBy,
  momentsOf,
  pairedMomentsOf,
} from './testing/simulated-vehicles.ts';

const RUNNING: AnalysisPlan = { confidenceLevel: 0.95, running: true };
const OVER: AnalysisPlan = { ...RUNNING, running: false };

function analysed(
  control: Moments | ArmSums,
  treatment: Moments | ArmSums,
  plan = OVER,
  gathered: GatheredEvidence = NOTHING_GATHERED,
) {
  const arm = (sums: Moments | ArmSums) => ('observations' in sums ? sums : armWithoutHistory(sums));
  const arms = { control: arm(control), treatment: arm(treatment) };
  return analyse({ arms, exposures: evenSplit(arms) }, gathered, plan);
}

const constant = (count: number, mean: number): Moments => ({ count, mean, m2: 0 });
const COUNTS = { outOfRange: 0, neverReported: 0 };
const OF_WELCH = [
  'difference',
  'improvementPercent',
  'fixedHorizonPValue',
  'fixedHorizonDifferenceInterval',
  'fixedHorizonConfidenceInterval',
  'deltaPValue',
] as const;
const DECIDING = ['pValue', 'differenceInterval', 'confidenceInterval'] as const;
const SEQUENTIAL = ['sequentialPValue', 'sequentialDifferenceInterval', 'sequentialConfidenceInterval'] as const;

describe('a number that cannot be computed', () => {
  test.each<[string, Moments, Moments, string]>([
    ['nobody measured anything', NONE, NONE, 'too-few-vehicles'],
    ['an arm has one vehicle', constant(1, 4), { count: 50, mean: 4, m2: 12 }, 'too-few-vehicles'],
    ['all vehicles measured the same', constant(40, 7), constant(50, 7), 'no-variance'],
    ['each arm is constant, at another value', constant(40, 0), constant(50, 1), 'no-variance'],
    [
      'the spread is only that of rounding',
      { count: 40, mean: 0.1, m2: 1e-33 },
      { count: 40, mean: 0.1 + 2e-17, m2: 1e-33 },
      'no-variance',
    ],
    [
      'squares are beyond a double',
      { count: 40, mean: 1e300, m2: Infinity },
      { count: 40, mean: 2e300, m2: 1 },
      'not-finite',
    ],
    ['a mean is not a number', { count: 40, mean: Number.NaN, m2: 3 }, { count: 40, mean: 2, m2: 1 }, 'not-finite'],
    [
      'the means lie too far apart',
      { count: 40, mean: -1.7e308, m2: 3 },
      { count: 40, mean: 1.7e308, m2: 1 },
      'not-finite',
    ],
  ])('is null with its reason, and nobody wins, when %s', (_, control, treatment, reason) => {
    for (const plan of [RUNNING, OVER]) {
      const analysis = analysed(control, treatment, plan);
      for (const number of [...OF_WELCH, ...DECIDING, ...SEQUENTIAL])
        expect([number, analysis[number]]).toEqual([number, null]);
      const reasons = new Map(analysis.missing.map((one) => [one.number, one.reason]));
      for (const number of OF_WELCH) expect([number, reasons.get(number)]).toEqual([number, reason]);
      for (const number of SEQUENTIAL) expect([number, reasons.get(number)]).toEqual([number, 'too-early']);
      for (const number of DECIDING)
        expect([number, reasons.get(number)]).toEqual([number, plan.running ? 'too-early' : reason]);
      expect(reasons.get('cuped')).toBe('no-history');
      expect(analysis).toMatchObject({ significant: false, winner: null, cuped: null });
    }
  });

  test('is only the percentage when the control’s mean is about 0', () => {
    const analysis = analysed({ count: 100, mean: 0.01, m2: 99 }, { count: 100, mean: 3, m2: 99 });
    expect(analysis).toMatchObject({
      improvementPercent: null,
      confidenceInterval: null,
      significant: true,
      winner: 'treatment',
    });
    expect(analysis.missing).toContainEqual({ number: 'improvementPercent', reason: 'control-mean-near-zero' });
    expect(analysis.pValue).toBeLessThan(1e-10);
  });

  const PLAN = { binary: true, share: 0.5, range: { low: 0, high: 1, centres: [] } };
  const events = (count: number, vehicles: number) =>
    Array.from({ length: vehicles }, (_, vehicle) => (vehicle < count ? 1 : 0));

  test('is the sequential interval that the evidence bounds on one side only, and the difference of 0/1 numbers', () => {
    const values = { control: events(0, 300), treatment: events(12, 300) };
    const analysis = analysed(
      momentsOf(values.control),
      momentsOf(values.treatment),
      RUNNING,
      gatheredBy(values, PLAN),
    );
    expect(analysis).toMatchObject({ significant: true, winner: 'treatment', decidedBy: 'sequential' });
    expect(analysis.pValue).toBeLessThan(0.05);
    expect(analysis.missing).toEqual(
      expect.arrayContaining([
        { number: 'confidenceInterval', reason: 'unbounded' },
        { number: 'differenceInterval', reason: 'ratio-only' },
        { number: 'improvementPercent', reason: 'control-mean-near-zero' },
      ]),
    );
  });

  test('is the sequential interval of looks that exclude each other, and then nobody wins', () => {
    const more = gatheredBy({ control: events(0, 300), treatment: events(30, 300) }, PLAN);
    const less = gatheredBy({ control: events(90, 300), treatment: events(3, 300) }, PLAN);
    const both = { evidence: gathered(more.evidence, less.evidence), plan: PLAN };
    const arm = momentsOf(events(90, 300));
    const analysis = analysed(arm, arm, RUNNING, both);
    expect(analysis).toMatchObject({ significant: true, winner: null, confidenceInterval: null });
    expect(analysis.missing).toContainEqual({ number: 'confidenceInterval', reason: 'contradictory' });
  });

  test('is a percentage of numbers that may be below 0, while the test of their difference decides', () => {
    const plan = { binary: false, share: 0.5, range: { low: -10, high: 10, centres: [0] } };
    const values = { control: Array<number>(200).fill(-1), treatment: Array<number>(200).fill(3) };
    const analysis = analysed(
      momentsOf(values.control),
      momentsOf(values.treatment),
      RUNNING,
      gatheredBy(values, plan),
    );
    expect(analysis).toMatchObject({ significant: true, winner: 'treatment' });
    expect(analysis.missing).toContainEqual({ number: 'confidenceInterval', reason: 'control-mean-near-zero' });
    const [low, high] = analysis.differenceInterval ?? [NaN, NaN];
    expect([low > 0 && low < 4, high > 4]).toEqual([true, true]);
  });

  test('is the mean of an arm without vehicles and the spread of one vehicle; the rest is shown', () => {
    const { variants } = analysed(NONE, constant(1, 4));
    expect(variants).toEqual([
      { ...COUNTS, variant: 'control', vehicles: 0, observations: 0, exposed: 0, mean: null, standardDeviation: null },
      { ...COUNTS, variant: 'treatment', vehicles: 1, observations: 1, exposed: 1, mean: 4, standardDeviation: null },
    ]);
  });
});

describe('significance', () => {
  const control = { count: 100, mean: 10, m2: 99 * 4 };
  const treatment = { count: 100, mean: 10.7, m2: 99 * 4 };

  test('uses the sequential test while measurements are to come and Welch’s when the experiment is over', () => {
    const [running, over] = [analysed(control, treatment, RUNNING), analysed(control, treatment)];
    expect(running.fixedHorizonPValue).toBeLessThan(0.05);
    expect(running).toMatchObject({ significant: false, decidedBy: 'sequential', winner: null, pValue: null });
    expect(over).toMatchObject({ significant: true, decidedBy: 'fixed-horizon', winner: 'treatment' });
    expect(over.pValue).toBe(running.fixedHorizonPValue);
    expect(over.confidenceInterval).toEqual(running.fixedHorizonConfidenceInterval);
    expect(analysed(treatment, control)).toMatchObject({ winner: 'control' });
  });

  test('needs more at a higher confidence level', () => {
    expect(analysed(control, treatment, { ...OVER, confidenceLevel: 0.99 })).toMatchObject({
      significant: false,
      winner: null,
    });
  });
});

test('an analysis shows how the split fits the plan, and what did not count', () => {
  const even = armWithoutHistory({ count: 100, mean: 1, m2: 50 });
  const odd = { ...even, exposed: 120, outOfRange: 4, neverReported: 5, otherVariant: 3 };
  const analysis = analysed(even, odd);
  expect(analysis).toMatchObject({ sampleRatioMismatch: { detected: false, pValue: 1 }, vehiclesInBothArms: 3 });
  expect(analysis.variants[1]).toMatchObject({ exposed: 120, outOfRange: 4, neverReported: 5 });
  expect(analysed(even, armWithoutHistory({ count: 200, mean: 1, m2: 50 })).sampleRatioMismatch.detected).toBe(true);
});

describe('CUPED', () => {
  const before = [1, 4, 2, 8, 5, 7];
  const values = [2.1, 4.8, 2.6, 9.9, 6.2, 8.4];
  const arm = (shift: number, covariates = before): ArmSums => ({
    withHistory: pairedMomentsOf(
      values.map((value) => value + shift),
      covariates,
    ),
    withoutHistory: NONE,
    ...countsOf(6),
  });

  test('is null with its reason when all vehicles measured the same before the start', () => {
    const analysis = analysed(arm(0, [5, 5, 5, 5, 5, 5]), arm(1, [5, 5, 5, 5, 5, 5]));
    expect(analysis.cuped).toBeNull();
    expect(analysis.missing).toContainEqual({ number: 'cuped', reason: 'history-is-constant' });
  });

  test("is null with its reason when history exceeds a double's range", () => {
    const broken = { ...arm(0), withHistory: { ...arm(0).withHistory, comoment: Infinity } };
    expect(analysed(broken, arm(1)).missing).toContainEqual({ number: 'cuped', reason: 'not-finite' });
  });

  test('has no test when history explains everything', () => {
    const exact = (shift: number): ArmSums => ({
      ...arm(0),
      withHistory: pairedMomentsOf(
        before.map((value) => 3 * value + shift),
        before,
      ),
    });
    const { cuped } = analysed(exact(0), exact(1));
    expect(cuped).toMatchObject({ pValue: null, varianceReduction: 1 });
    expect(cuped?.theta).toBeCloseTo(3, 12);
    expect(cuped?.missing).toContainEqual({ number: 'pValue', reason: 'no-variance' });
  });

  test('keeps vehicles without history, unchanged', () => {
    const mixed = (shift: number): ArmSums => ({ ...arm(shift), withoutHistory: momentsOf([3 + shift, 5 + shift]) });
    const analysis = analysed(mixed(0), mixed(1));
    expect(analysis.variants.map(({ vehicles }) => vehicles)).toEqual([8, 8]);
    // The history of both arms is the same, so nothing is taken out of the difference.
    expect(analysis.cuped?.difference).toBeCloseTo(1, 12);
    expect(analysis.cuped).toMatchObject({ coverage: 0.75 });
    expect(analysis.cuped?.pValue).toBeLessThan(analysis.pValue as number);
  });
});
