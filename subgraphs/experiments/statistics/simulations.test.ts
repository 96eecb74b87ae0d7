import { describe, expect, test } from '@jest/globals';
import { analyse, type Analysis } from './analyse.ts';
import type { ArmHistory } from './cuped.ts';
import { isMissing, mapArms, type Arms, type Moments } from './moments.ts';
import { requiredSampleSize } from './sample-size.ts';
import { sequentialTest } from './sequential.ts';
import {
  NONE,
  armOf,
  binaryArm,
  draws,
  joined,
  momentsOf,
  normalArm,
  pairedMomentsOf,
  skewedArm,
  type Draws,
} from './testing/simulated-vehicles.ts';
import { welchTest } from './welch.ts';
import { rounds } from '../../../core/testing/rounds.ts';

const EXPERIMENTS = rounds(500, 2_000);
const ALPHA = 0.05;
const plan = { confidenceLevel: 1 - ALPHA, vehiclesInEachArm: 500, running: false };

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
  return analyse({ arms: mapArms(arms, armOf), treatmentShare: 0.5, vehiclesInBothArms: 0 }, plan);
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

  /** Counts the experiments that some look called significant, by the plain test and by the sequential one. */
  function found(next: (look: number) => Arms<Moments>): { plain: boolean; sequential: boolean } {
    let [plain, sequential] = [false, false];
    for (let look = 1; look <= LOOKS; look++) {
      const arms = next(look);
      const welch = welchTest(arms);
      // The sequential p-value is never below the plain one (a law of its own), so most looks need no second test.
      if (isMissing(welch) || welch.pValue >= ALPHA) continue;
      plain = true;
      sequential ||=
        sequentialTest(
          welch,
          mapArms(arms, ({ count }) => count),
          plan,
        ).pValue < ALPHA;
    }
    return { plain, sequential };
  }

  function expectSafe(results: readonly { plain: boolean; sequential: boolean }[]): void {
    expect(results.filter(({ sequential }) => sequential).length).toBeLessThan(bounds(ALPHA)[1]);
    // Three times the promised share, which shows that looks can mislead a test.
    expect(results.filter(({ plain }) => plain).length).toBeGreaterThan(3 * ALPHA * EXPERIMENTS);
  }

  /** Gives looks at arms that grow by what `more` draws. */
  function growing(more: () => Arms<Moments>): (look: number) => Arms<Moments> {
    let arms: Arms<Moments> = { control: NONE, treatment: NONE };
    return () => {
      const { control, treatment } = more();
      return (arms = { control: joined(arms.control, control), treatment: joined(arms.treatment, treatment) });
    };
  }

  test.each([
    ['a normal metric', normal, 25, 25, 11],
    ['a skewed metric', skewed, 4, 26, 13],
    ['a rare binary metric', rare, 30, 30, 14],
    ['a normal metric, two vehicles at a time,', normal, 2, 2, 15],
  ])(
    'at %s while vehicles arrive does not mislead the sequential test, but the plain one',
    (_, metric, control, treatment, seed) => {
      const draw = draws(seed);
      expectSafe(
        experiments(() =>
          found(growing(() => ({ control: metric(draw, control), treatment: metric(draw, treatment) }))),
        ),
      );
    },
  );

  test('at vehicles that are all there from the start, while their measurements add up, does not mislead it either', () => {
    const VEHICLES = 30;
    const draw = draws(16);
    const noise = () => Math.sqrt(12) * (draw.uniform() - 0.5);
    const fleet = () => Array.from({ length: VEHICLES }, () => ({ own: 0.3 * draw.normal(), sum: 0 }));
    const results = experiments(() => {
      const fleets = { control: fleet(), treatment: fleet() };
      return found((look) =>
        mapArms(fleets, (vehicles) => {
          for (const vehicle of vehicles) vehicle.sum += vehicle.own + noise();
          return momentsOf(vehicles.map(({ sum }) => sum / look));
        }),
      );
    });
    expectSafe(results);
  });

  test('finds a real effect, most often before the planned end', () => {
    const draw = draws(17);
    const results = experiments(() =>
      found(growing(() => ({ control: normalArm(draw, 25, 0, 1), treatment: normalArm(draw, 25, 0.3, 1) }))),
    );
    expect(results.filter(({ sequential }) => sequential).length).toBeGreaterThan(0.9 * EXPERIMENTS);
  });
});

describe('an effect of the planned size is found as often as promised', () => {
  test.each([0.8, 0.9])('of a continuous metric, with power %d', (power) => {
    const draw = draws(21);
    const vehicles = requiredSampleSize({ baseline: 42, standardDeviation: 6, minimumDetectableEffect: 2, power });
    const found = count(
      () =>
        analysed({ control: normalArm(draw, vehicles, 42, 6), treatment: normalArm(draw, vehicles, 44, 6) }).winner ===
        'treatment',
    );
    expectWithin(found, power);
  });

  test('of a continuous metric on few vehicles, where the estimated variance matters', () => {
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
  ])('of a binary metric that changes by %d', (minimumDetectableEffect, seed) => {
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

  /** Creates vehicles of which a share has history; those without it measure higher, as new vehicles might. */
  function fleet(draw: Draws, covered: number, effect: number): ArmHistory & { observations: number } {
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
    return { withHistory, withoutHistory: unknown.length === 0 ? NONE : momentsOf(unknown), observations: VEHICLES };
  }

  function simulated(seed: number, covered: number, effect: number): readonly Analysis[] {
    const draw = draws(seed);
    return experiments(() =>
      analyse(
        {
          arms: { control: fleet(draw, covered, 0), treatment: fleet(draw, covered, effect) },
          treatmentShare: 0.5,
          vehiclesInBothArms: 0,
        },
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
    // Two correlated variances of 500 values and more: their ratio is this close with near certainty.
    expect(variance(adjusted) / variance(unadjusted)).toBeCloseTo(1 - CORRELATION ** 2, 1);
    expect(mean(reductions)).toBeCloseTo(CORRELATION ** 2, 2);
  });

  test.each([
    ['with history of all vehicles', all, 0],
    ['with an effect', allWithEffect, 0.25],
    ['with history of some vehicles, which measure otherwise than the rest', some, 0],
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
