/** A comparison of two arms by Welch's test. Every number that cannot be computed is null, with its reason. */
import { isMissingNumber, type Arms, type Missing, type Moments } from '../moments.ts';
import { relativeImprovement } from './relative-improvement.ts';
import { differenceInterval, welchCritical, welchTest, type Interval } from './welch.ts';

/** The numbers of a comparison. */
export interface ComparedNumbers {
  /** Treatment minus control, in the metric's unit. */
  readonly difference: number | null;
  readonly differenceInterval: Interval | null;
  readonly pValue: number | null;
  readonly improvementPercent: number | null;
  /** The interval of `improvementPercent`. */
  readonly confidenceInterval: Interval | null;
}

/** A number that could not be computed, and why. */
export interface MissingOf<Name extends string> {
  readonly number: Name;
  readonly reason: Missing;
}

/** A comparison. Every null has its reason in `missing`. */
export interface WelchComparison extends ComparedNumbers {
  readonly missing: readonly MissingOf<keyof ComparedNumbers>[];
}

/** The names of all numbers. A comparison of arms that cannot be compared lacks every one. */
const NUMBERS = [
  'difference',
  'differenceInterval',
  'pValue',
  'improvementPercent',
  'confidenceInterval',
] as const satisfies readonly (keyof ComparedNumbers)[];

/** Gives an entry of `missing` for each number, all with the same reason. */
export function missingBecause<Name extends string>(reason: Missing, ...numbers: readonly Name[]): MissingOf<Name>[] {
  return numbers.map((number) => ({ number, reason }));
}

/** Compares the arms by Welch's test, with the intervals from its inversion. */
export function compareByWelch(arms: Arms<Moments>, confidenceLevel: number): WelchComparison {
  const welch = welchTest(arms);
  if (isMissingNumber(welch)) {
    const nothing = { difference: null, differenceInterval: null, pValue: null };
    return {
      ...nothing,
      improvementPercent: null,
      confidenceInterval: null,
      missing: missingBecause(welch, ...NUMBERS),
    };
  }
  const critical = welchCritical(welch, confidenceLevel);
  const improvement = relativeImprovement(arms, critical);
  const ofDifference = { difference: welch.difference, differenceInterval: differenceInterval(welch, critical) };
  if (isMissingNumber(improvement)) {
    const missing = missingBecause(improvement, 'improvementPercent' as const, 'confidenceInterval' as const);
    return { ...ofDifference, pValue: welch.pValue, improvementPercent: null, confidenceInterval: null, missing };
  }
  const { percent, interval } = improvement;
  return {
    ...ofDifference,
    pValue: welch.pValue,
    improvementPercent: percent,
    confidenceInterval: interval,
    missing: [],
  };
}
