import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import type { RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { binaryCalibration, calibrate, type Calibration } from '../settled/calibration.ts';
import type { ArmOfSettled } from '../settled/settled-vehicles.ts';
import { logSums } from '../statistics/evidence/bets.ts';
import { mapArms } from '../statistics/moments.ts';
import {
  afterLook,
  NOTHING_SEEN,
  shareOf,
  withEpoch,
  withRange,
  type CapitalShare,
  type GuardState,
} from './guard-evidence.ts';
import { betsOf, testsOf } from './guard-tests.ts';

const GUARD: RolloutGuard = {
  metric: 'm',
  worse: 'higher',
  maxWorsePercent: 0,
  bound: null,
  confidenceLevel: 0.95,
  minimumVehicles: 2,
  silence: 1,
  watchFor: 1,
};
/** The vehicles that a range is taken from, in the place of 200. */
const SPENT = 3;
const isBinary = (y: number) => y === 0 || y === 1;

/** Gives the range that is taken from the first vehicles, once a number is neither 0 nor 1. */
function rangeOf(seen: readonly number[]): Calibration | null {
  if (seen.every(isBinary) || seen.length < SPENT) return null;
  const first = seen.slice(0, SPENT);
  const [low, high] = [Math.min(...first), Math.max(...first)];
  const mean = first.reduce((sum, y) => sum + y, 0) / SPENT;
  const sample = { source: 'first-vehicles', vehicles: SPENT, mean, low, high, most: high } as const;
  return calibrate(null, { ...sample, binary: first.every(isBinary), vins: [] });
}

/** Looks after each of some vehicles, whose arms were drawn; gives the states. */
function looked(numbers: readonly number[], treated: readonly boolean[], percent: number): GuardState[] {
  let state = withEpoch(NOTHING_SEEN, { salt: 's', threshold: (percent / 100) * BUCKETS, watchedSince: 1 });
  return numbers.map((_, index) => {
    const seen = numbers.slice(0, index + 1);
    const range = rangeOf(seen);
    const calibration = range ?? binaryCalibration(null);
    const from = range === null ? 0 : SPENT;
    const counts = (y: number) =>
      calibration.kind === 'proportion' ? isBinary(y) : y >= (calibration.minimum ?? -Infinity);
    const cut = (y: number) => Math.min(calibration.range.high, Math.max(calibration.range.low, y));
    const comparable = range !== null || seen.every(isBinary);
    const of = (arm: boolean) => seen.filter((__, at) => at >= from && treated[at] === arm && comparable);
    const numbersOf = { control: of(false), treatment: of(true) };
    const tests = testsOf(GUARD, calibration, shareOf(state.epochs.at(-1)!));
    const logs = logSums(
      betsOf(tests),
      mapArms(numbersOf, (all) => all.filter(counts).map(cut)),
    );
    const none = { exposed: 0, neverReported: 0, otherVariant: 0, mean: NaN, variance: NaN };
    const arm = (name: 'control' | 'treatment'): ArmOfSettled => ({
      ...none,
      counted: numbersOf[name].length,
      outOfRange: numbersOf[name].filter((y) => !counts(y)).length,
      logs: logs[name],
    });
    const share: CapitalShare = range === null && comparable ? 'first' : 'second';
    const arms = { control: arm('control'), treatment: arm('treatment') };
    state = afterLook(withRange(state, range), GUARD, tests, arms, 1, share);
    return state;
  });
}

test('the evidence on a metric that nobody declared keeps its promise when other numbers than 0 and 1 appear', () => {
  const numbers = fc.tuple(
    fc.array(fc.constantFrom(0, 1, 1, 1), { maxLength: 6 }),
    fc.array(fc.constantFrom(0, 1, 2, 4, 7.5), { maxLength: 6 }),
  );
  fc.assert(
    fc.property(numbers, fc.constantFrom(25, 50, 75), ([first, then], percent) => {
      const all = [...first, ...then];
      const pi = percent / 100;
      // Every draw of the arms, as likely as the bucket makes it: numbers do not depend on it.
      const reached = new Map([1.02, 1.05, 1.1, 1.2, 1.5, 2, 4].map((capital) => [capital, 0]));
      for (let draw = 0; draw < 2 ** all.length; draw++) {
        const treated = all.map((_, at) => ((draw >> at) & 1) === 1);
        const chance = treated.reduce((product, one) => product * (one ? pi : 1 - pi), 1);
        const most = looked(all, treated, percent).at(-1)?.most ?? 0;
        for (const [capital, sum] of reached) if (most >= Math.log(capital)) reached.set(capital, sum + chance);
      }
      for (const [capital, chance] of reached) expect(chance).toBeLessThanOrEqual(1 / capital + 1e-9);
    }),
    { numRuns: rounds(5, 100), seed: 20_261_128 },
  );
});
