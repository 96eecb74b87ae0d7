import { describe, expect, test } from '@jest/globals';
import { analyse, type Analysis, type ArmSums } from './analyse.ts';
import { gathered, logOfDirection, NO_EVIDENCE } from './evidence/effect-evidence.ts';
import { isMissingNumber, mapArms, type Arms, type Moments } from './moments.ts';
import { requiredSampleSize } from './sample-size/sample-size.ts';
import {
  NONE,
  NOTHING_GATHERED,
  armWithoutHistory,
  binaryArm,
  countsOf,
  draws,
  gatheredBy,
  momentsOf,
  normalArm,
  pairedMomentsOf,
  skewedArm,
  type Draws,
} from './testing/simulated-vehicles.ts';
import { welchTest } from './welch/welch.ts';
import { rounds } from '../../../core/testing/rounds.ts';

const EXPERIMENTS = rounds(500, 2_000);
const ALPHA = 0.05;
const plan = { confidenceLevel: 1 - ALPHA, running: false };

/**
 * Gives the 0.05 % and 99.95 % points of a binomial count, by the normal approximation: good at 500 trials and more.
 */
function bounds(p: number): [number, number] {
  const reach = 3.2905 * Math.sqrt(EXPERIMENTS * p * (1 - p));
  return [EXPERIMENTS * p - reach, EXPERIMENTS * p + reach];
}

function expectWithin(count: number, p: number): void {
  const [low, high] = bounds(p);
  expect(count).toBeGreaterThan(low);
  expect(count).toBeLessThan(high);
}

type Metric = (draw: Draws, vehicles: number) => Moments;
const normal: Metric = (draw, vehicles) => normalArm(draw, vehicles, 42, 6);
const skewed: Metric = skewedArm;
const rare: Metric = (draw, vehicles) => binaryArm(draw, vehicles, 0.06);

function analysed(arms: Arms<Moments>): Analysis {
  return analyse({ arms: mapArms(arms, armWithoutHistory), exposures: [] }, NOTHING_GATHERED, plan);
}

function experiments<T>(trial: () => T): T[] {
  return Array.from({ length: EXPERIMENTS }, trial);
}

function count(trial: () => boolean): number {
  return experiments(trial).filter(Boolean).length;
}

describe('when the arms do not differ', () => {
  test.each([
    ['a normal metric', normal, 60, 60, 1],
    ['a skewed metric', skewed, 100, 100, 2],
    ['a rare binary metric', rare, 400, 400, 3],
    ['a normal metric in arms of unequal size', normal, 12, 150, 4],
  ])('%s is called significant as often as promised', (_, metric, control, treatment, seed) => {
    const draw = draws(seed);
    expectWithin(
      count(() => analysed({ control: metric(draw, control), treatment: metric(draw, treatment) }).significant),
      ALPHA,
    );
  });
});

describe('looking twenty times', () => {
  const LOOKS = 20;
  const VEHICLES = 60;
  // Each number is 0 or 4, so that a look takes little time. The benchmark in benchmarks/statistics/ has more metrics.
  const range = { low: 0, high: 4, centres: [1] };
  const rarelyHigh = (draw: Draws) => (draw.uniform() < 0.75 ? 0 : 4);

  interface Watched {
    /** Welch's test found an effect at one look or more. */
    readonly byWelch: boolean;
    /** The sequential test found an effect at one look or more. */
    readonly bySequential: boolean;
    /** The intervals of all looks together contain the true effect. */
    readonly covered: boolean;
  }

  /**
   * Runs an experiment that is analysed after every sixty vehicles.
   *
   * @param share the probability that a vehicle gets the treatment
   * @param shift the probability that the treatment turns a 0 into a 4
   */
  function watched(draw: Draws, share: number, shift: number): Watched {
    const values: Record<'control' | 'treatment', number[]> = { control: [], treatment: [] };
    let evidence = NO_EVIDENCE;
    let byWelch = false;
    for (let look = 1; look <= LOOKS; look++) {
      for (let vehicle = 0; vehicle < VEHICLES; vehicle++) {
        const arm = draw.uniform() < share ? 'treatment' : 'control';
        const y = rarelyHigh(draw);
        values[arm].push(arm === 'treatment' && y === 0 && draw.uniform() < shift ? 4 : y);
      }
      evidence = gathered(evidence, gatheredBy(values, { binary: false, share, range }).evidence);
      const welch = welchTest(mapArms(values, momentsOf));
      byWelch ||= !isMissingNumber(welch) && welch.pValue < ALPHA;
    }
    const ratio = (0.25 + 0.75 * shift) / 0.25;
    const [low, high] = evidence.ratio;
    const bySequential = Math.max(evidence.logHigher, evidence.logLower) > logOfDirection(ALPHA);
    return { byWelch, bySequential, covered: (low ?? 0) < ratio && ratio < (high ?? Infinity) };
  }

  const RUNS = rounds(60, 300);
  const runs = (seed: number, share: number, shift: number) => {
    const draw = draws(seed);
    return Array.from({ length: RUNS }, () => watched(draw, share, shift));
  };
  const shareOf = (found: readonly unknown[]) => found.filter(Boolean).length / RUNS;
  /** The bound below which the observed share stays with near certainty when the true one is at most α. */
  const MOST = ALPHA + 3.2905 * Math.sqrt((ALPHA * (1 - ALPHA)) / RUNS);

  test.each([
    [0.5, 11],
    [0.1, 12],
  ])(
    'at arms that do not differ, with a share of %d, misleads Welch’s test and not the sequential one',
    (share, seed) => {
      const found = runs(seed, share, 0);
      expect(shareOf(found.map(({ bySequential }) => bySequential))).toBeLessThan(MOST);
      expect(shareOf(found.map(({ byWelch }) => byWelch))).toBeGreaterThan(2 * ALPHA);
    },
  );

  test('finds an effect that is there, and its interval holds the effect at all looks together', () => {
    const found = runs(13, 0.5, 0.2);
    expect(shareOf(found.map(({ bySequential }) => bySequential))).toBeGreaterThan(0.8);
    expect(shareOf(found.map(({ covered }) => !covered))).toBeLessThan(MOST);
  });
});

describe('an effect of the planned size is found as often as promised', () => {
  test.each([0.8, 0.9])('in a continuous metric, with power %d', (power) => {
    const draw = draws(21);
    const vehicles = requiredSampleSize({ baseline: 42, standardDeviation: 6, minimumDetectableEffect: 2, power });
    const found = count(
      () =>
        analysed({ control: normalArm(draw, vehicles, 42, 6), treatment: normalArm(draw, vehicles, 44, 6) }).winner ===
        'treatment',
    );
    expectWithin(found, power);
  });

  test('in a continuous metric on few vehicles, where the estimated variance matters', () => {
    const draw = draws(22);
    const vehicles = requiredSampleSize({ baseline: 0, standardDeviation: 1, minimumDetectableEffect: 1.2 });
    expect(vehicles).toBeLessThan(15);
    expectWithin(
      count(
        () =>
          analysed({ control: normalArm(draw, vehicles, 0, 1), treatment: normalArm(draw, vehicles, 1.2, 1) })
            .significant,
      ),
      0.8,
    );
  });

  test.each([
    [0.08, 24],
    [-0.08, 25],
  ])('in a binary metric that changes by %d', (minimumDetectableEffect, seed) => {
    const draw = draws(seed);
    const baseline = 0.2;
    const vehicles = requiredSampleSize({ baseline, minimumDetectableEffect });
    expectWithin(
      count(
        () =>
          analysed({
            control: binaryArm(draw, vehicles, baseline),
            treatment: binaryArm(draw, vehicles, baseline + minimumDetectableEffect),
          }).significant,
      ),
      0.8,
    );
  });
});

describe('CUPED', () => {
  const VEHICLES = 60;
  const CORRELATION = 0.8;

  /**
   * Creates vehicles of which the share `covered` has history; those without it measure higher, as new vehicles might.
   */
  function fleet(draw: Draws, covered: number, effect: number): ArmSums {
    const known: { value: number; before: number }[] = [];
    const unknown: number[] = [];
    for (let vehicle = 0; vehicle < VEHICLES; vehicle++) {
      const before = draw.normal();
      const value = 10 + effect + CORRELATION * before + Math.sqrt(1 - CORRELATION ** 2) * draw.normal();
      if (draw.uniform() < covered) known.push({ value, before });
      else unknown.push(value + 1);
    }
    const withHistory = pairedMomentsOf(
      known.map(({ value }) => value),
      known.map(({ before }) => before),
    );
    return { withHistory, withoutHistory: unknown.length === 0 ? NONE : momentsOf(unknown), ...countsOf(VEHICLES) };
  }

  function simulated(seed: number, covered: number, effect: number): readonly Analysis[] {
    const draw = draws(seed);
    return experiments(() =>
      analyse(
        {
          arms: { control: fleet(draw, covered, 0), treatment: fleet(draw, covered, effect) },
          exposures: [],
        },
        NOTHING_GATHERED,
        plan,
      ),
    );
  }

  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = (values: readonly number[]) => mean(values.map((value) => value ** 2)) - mean(values) ** 2;
  const numbers = (results: readonly Analysis[]) => ({
    adjusted: results.map(({ cuped }) => cuped?.difference as number),
    unadjusted: results.map(({ difference }) => difference as number),
    reductions: results.map(({ cuped }) => cuped?.varianceReduction as number),
  });
  const [all, allWithEffect, some] = [simulated(31, 1, 0), simulated(32, 1, 0.25), simulated(33, 0.6, 0)];

  test('removes the variance that history explains, and reports it correctly', () => {
    const { adjusted, unadjusted, reductions } = numbers(all);
    // The ratio of two correlated variances, each of 500 values or more, is this close with near certainty.
    expect(variance(adjusted) / variance(unadjusted)).toBeCloseTo(1 - CORRELATION ** 2, 1);
    expect(mean(reductions)).toBeCloseTo(CORRELATION ** 2, 2);
  });

  test.each([
    ['with history of all vehicles', all, 0],
    ['with an effect', allWithEffect, 0.25],
    ['with history of some vehicles, which measure differently from the rest', some, 0],
  ])('does not shift the difference %s', (_, results, effect) => {
    const { adjusted } = numbers(results);
    expect(Math.abs(mean(adjusted) - effect)).toBeLessThan(3.2905 * Math.sqrt(variance(adjusted) / EXPERIMENTS));
  });

  test.each([
    ['all vehicles', all],
    ['some vehicles', some],
  ])('calls equal arms significant as often as promised with history of %s', (_, results) => {
    expectWithin(results.filter(({ cuped }) => (cuped?.pValue as number) < ALPHA).length, ALPHA);
  });

  test('lowers the variance with history of only some vehicles, too', () => {
    const { adjusted, unadjusted, reductions } = numbers(some);
    expect(mean(reductions)).toBeGreaterThan(0.2);
    expect(variance(adjusted)).toBeLessThan(0.8 * variance(unadjusted));
  });
});
