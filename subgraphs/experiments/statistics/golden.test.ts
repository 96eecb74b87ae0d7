import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { analyse } from './analyse.ts';
import { deltaPValue } from './welch/delta-p-value.ts';
import { studentLogTwoSided } from './distributions.ts';
import { logThreshold } from './evidence/accumulated-evidence.ts';
import { logEvidence, logSums, type Direction } from './evidence/bets.ts';
import { boundBets } from './evidence/bound-bets.ts';
import { eventBets } from './evidence/event-bets.ts';
import { meanBets } from './evidence/mean-bets.ts';
import { logSplitEvidence } from './evidence/split-evidence.ts';
import type { Missing, Moments } from './moments.ts';
import { isMissingNumber } from './moments.ts';
import { sampleRatio } from './sample-ratio.ts';
import { requiredSampleSize, type SampleSizeInput } from './sample-size/sample-size.ts';
import {
  NONE,
  NOTHING_GATHERED,
  armWithoutHistory,
  countsOf,
  momentsOf,
  pairedMomentsOf,
} from './testing/simulated-vehicles.ts';
import { welchTest, type WelchTest } from './welch/welch.ts';

interface Comparison {
  readonly name: string;
  readonly control: Moments;
  readonly treatment: Moments;
  readonly confidenceLevel: number;
  readonly expected: {
    readonly difference: number;
    readonly standardError: number;
    readonly degreesOfFreedom: number;
    readonly t: number;
    readonly pValue: number;
    readonly differenceInterval: [number, number];
    readonly improvementPercent: number | null;
    readonly confidenceInterval: [number, number] | null;
  };
}

interface RawData {
  readonly name: string;
  readonly control: number[];
  readonly treatment: number[];
  readonly controlBefore: number[];
  readonly treatmentBefore: number[];
  readonly expected: {
    readonly pValue: number;
    readonly degreesOfFreedom: number;
    readonly interval: [number, number];
    readonly theta: number;
    readonly cupedDifference: number;
    readonly cupedPValue: number;
  };
}

function cases<T>(file: string): T[] {
  return (JSON.parse(readFileSync(new URL(`golden/${file}`, import.meta.url), 'utf8')) as { cases: T[] }).cases;
}

/**
 * Requires ten equal digits: more than is ever shown, and all that the inputs' own rounding leaves of a difference of
 * means.
 */
function expectSame(actual: number | null | undefined, expected: number, relative = 1e-10): void {
  expect(actual).toEqual(expect.any(Number));
  const error = Math.abs((actual as number) - expected);
  if (error > relative * Math.abs(expected)) expect(actual).toBe(expected);
}

function tested(result: WelchTest | Missing): WelchTest {
  if (isMissingNumber(result)) throw new Error(result);
  return result;
}

describe.each(cases<Comparison>('comparisons.json'))(
  'of two arms: $name',
  ({ control, treatment, confidenceLevel, expected }) => {
    const arms = { control: armWithoutHistory(control), treatment: armWithoutHistory(treatment) };
    const analysis = analyse({ arms, exposures: [] }, NOTHING_GATHERED, { confidenceLevel, running: false });
    // A mean of a million that differs in the seventh decimal has four digits of its difference, in any program.
    const ofDifference = Math.max(
      1e-10,
      (8 * Number.EPSILON * Math.abs(control.mean)) / Math.abs(expected.difference || 1),
    );

    test('Welch’s test is that of the reference', () => {
      const welch = tested(welchTest({ control, treatment }));
      for (const name of ['standardError', 'degreesOfFreedom'] as const) expectSame(welch[name], expected[name]);
      for (const name of ['difference', 't'] as const) expectSame(welch[name], expected[name], ofDifference);
      expectSame(analysis.pValue, expected.pValue, ofDifference);
      for (const end of [0, 1] as const)
        expectSame(analysis.differenceInterval?.[end], expected.differenceInterval[end], ofDifference);
    });

    test('the relative improvement is that of the reference', () => {
      const { improvementPercent, confidenceInterval } = expected;
      if (improvementPercent === null || confidenceInterval === null) {
        expect(analysis).toMatchObject({ improvementPercent: null, confidenceInterval: null });
      } else {
        expectSame(analysis.improvementPercent, improvementPercent, ofDifference);
        for (const end of [0, 1] as const)
          expectSame(analysis.confidenceInterval?.[end], confidenceInterval[end], ofDifference);
      }
    });
  },
);

describe.each(cases<RawData>('raw-data.json'))(
  'of raw data: $name',
  ({ control, treatment, controlBefore, treatmentBefore, expected }) => {
    test('Welch’s test is that of R', () => {
      const welch = tested(welchTest({ control: momentsOf(control), treatment: momentsOf(treatment) }));
      expectSame(welch.pValue, expected.pValue);
      expectSame(welch.degreesOfFreedom, expected.degreesOfFreedom);
    });

    test('CUPED is the analysis of covariance’s slope and Welch’s test on what it leaves', () => {
      const arms = {
        control: {
          withHistory: pairedMomentsOf(control, controlBefore),
          withoutHistory: NONE,
          ...countsOf(control.length),
        },
        treatment: {
          withHistory: pairedMomentsOf(treatment, treatmentBefore),
          withoutHistory: NONE,
          ...countsOf(treatment.length),
        },
      };
      const plan = { confidenceLevel: 0.95, running: false };
      const { cuped, differenceInterval } = analyse({ arms, exposures: [] }, NOTHING_GATHERED, plan);
      expectSame(cuped?.theta, expected.theta);
      expectSame(cuped?.difference, expected.cupedDifference);
      expectSame(cuped?.pValue, expected.cupedPValue);
      for (const end of [0, 1] as const) expectSame(differenceInterval?.[end], expected.interval[end]);
    });
  },
);

interface Events {
  readonly name: string;
  readonly direction: Direction;
  readonly limit: number;
  readonly share: number;
  readonly treatment: number;
  readonly control: number;
  readonly expected: number;
}

const ones = (count: number) => Array<number>(count).fill(1);

test.each(cases<Events>('event-evidence.json'))(
  'the evidence of events is that of the reference: $name',
  ({ direction, limit, share, control, treatment, expected }) => {
    const bets = eventBets(direction, limit, share);
    // A thousand vehicles without an event change nothing.
    const still = Array<number>(1_000).fill(0);
    const sums = logSums(bets, { control: [...ones(control), ...still], treatment: ones(treatment) });
    expectSame(logEvidence(sums), expected);
  },
);

test('12 of 12 failures against none of 300 cross, and 15 of 465 against none of 55 do not', () => {
  const named = new Map(cases<Events>('event-evidence.json').map(({ name, expected }) => [name, expected]));
  const needed = logThreshold(0.05);
  expect(named.get('12 failures of 12 vehicles, none of 300')).toBeGreaterThan(needed);
  expect(named.get('15 of 465 against none of 55')).toBeLessThan(needed);
});

test.each(
  cases<{
    name: string;
    direction: Direction;
    limit: number;
    share: number;
    range: { low: number; high: number; centre: number };
    control: number[];
    treatment: number[];
    expected: number;
  }>('mean-evidence.json'),
)(
  'the evidence of means is that of the reference: $name',
  ({ direction, limit, share, range, control, treatment, expected }) => {
    const { low, high, centre } = range;
    const bets = meanBets(direction, limit, share, { low, high, centres: [centre] });
    expectSame(logEvidence(logSums(bets, { control, treatment })), expected);
  },
);

test.each(
  cases<{
    name: string;
    direction: Direction;
    bound: number;
    end: number;
    treatment: number[];
    expected: number;
  }>('bound-evidence.json'),
)('the evidence against a bound is that of the reference: $name', ({ direction, bound, end, treatment, expected }) => {
  expectSame(logEvidence(logSums(boundBets(direction, bound, end), { control: [5], treatment })), expected);
});

test.each(
  cases<{ name: string; control: number; treatment: number; treatmentShare: number; expected: number }>(
    'sample-ratios.json',
  ),
)('the sample-ratio check is that of the reference: $name', ({ control, treatment, treatmentShare, expected }) => {
  const split = { treatmentShare, vehicles: { control, treatment } };
  // Log-gamma functions of millions differ: their last digits are gone.
  expect(Math.abs(logSplitEvidence(split) - expected)).toBeLessThan(1e-9 * Math.max(1, control + treatment));
  expect(sampleRatio([split]).detected).toBe(expected >= Math.log(1_000));
});

test.each(cases<{ t: number; df: number; expected: number }>('far-tails.json'))(
  'the tail of Student’s t beyond $t at $df degrees of freedom is that of the reference',
  ({ t, df, expected }) => {
    expectSame(studentLogTwoSided(t, df), expected, 1e-9);
  },
);

test.each(
  cases<{ name: string; control: Moments; treatment: Moments; welch: number; expected: number }>('delta-p-values.json'),
)('the p-value of a ratio by the delta method is that of the reference: $name', (arms) => {
  expectSame(tested(welchTest(arms)).pValue, arms.welch);
  const delta = deltaPValue(arms);
  if (isMissingNumber(delta)) throw new Error(delta);
  expectSame(delta, arms.expected);
});

test.each(cases<SampleSizeInput & { expected: number }>('sample-sizes.json'))(
  'the sample size for $minimumDetectableEffect at $power and $confidenceLevel is that of the reference',
  ({ expected, ...input }) => {
    expect(requiredSampleSize(input)).toBe(expected);
  },
);
