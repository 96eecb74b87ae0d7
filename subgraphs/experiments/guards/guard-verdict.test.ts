import { describe, expect, test } from '@jest/globals';
import { falseAlarmShare } from '../../../core/rollouts/rollout-guard.ts';
import { judge, type GuardWatch } from './guard-verdict.ts';
import { sequentialTest } from '../statistics/sequential.ts';
import { isMissing, type Moments } from '../statistics/moments.ts';
import {
  NONE,
  armOf,
  binaryArm,
  draws,
  joined,
  normalArm,
  skewedArm,
  type Draws,
} from '../statistics/testing/simulated-vehicles.ts';
import { welchTest, type WelchTest } from '../statistics/welch.ts';
import { rounds } from '../../../core/testing/rounds.ts';

const BEGAN = new Date('2027-01-04T09:00:00Z');
const MINUTE = 60_000;
const GUARD: GuardWatch = {
  metric: 'm',
  worse: 'higher',
  maxWorsePercent: 5,
  bound: null,
  confidenceLevel: 0.95,
  minimumVehicles: 30,
  silence: 30 * MINUTE,
  watchFor: MINUTE,
  steps: 1,
  watch: 2,
  watchedSince: BEGAN,
  serves: true,
};
const BOUND: GuardWatch = { ...GUARD, maxWorsePercent: null, bound: 43 };

const after = (minutes: number) => new Date(BEGAN.getTime() + minutes * MINUTE);
const judged = (
  guard: GuardWatch,
  control: Moments,
  treatment: Moments,
  now = after(1),
  lastMeasurementAt: Date | null = BEGAN,
) =>
  judge(
    guard,
    { arms: { control: armOf(control), treatment: armOf(treatment) }, vehiclesInBothArms: 2, lastMeasurementAt },
    now,
  );
const verdictOf = (guard: GuardWatch, control: Moments, treatment: Moments) =>
  judged(guard, control, treatment).verdict;

/** Gives an arm with a standard deviation of 2. */
const arm = (mean: number, count = 100): Moments => ({ count, mean, m2: 4 * (count - 1) });
const same = (mean: number, count = 100): Moments => ({ count, mean, m2: 0 });
const LOWER = { ...GUARD, worse: 'lower' as const };

describe('a limit relative to the control', () => {
  test.each<[string, GuardWatch, Moments, Moments, string]>([
    ['is crossed by what is clearly worse by more', GUARD, arm(40), arm(46), 'crossed'],
    ['is kept by what is clearly worse, but by less', GUARD, arm(40), arm(41), 'holding'],
    ['is kept by what is worse by more, but as chance would have it', GUARD, arm(40, 30), arm(42.5, 30), 'holding'],
    ['is kept by what is better', GUARD, arm(40), arm(20), 'holding'],
    ['may lie on the other side', LOWER, arm(40), arm(34), 'crossed'],
    ['on the other side is kept by what is higher', LOWER, arm(40), arm(60), 'holding'],
    ['is of the size of a negative mean', GUARD, arm(-40), arm(-35), 'crossed'],
    ['of a negative mean is kept within it', GUARD, arm(-40), arm(-39), 'holding'],
    ['of a negative mean on the other side', LOWER, arm(-40), arm(-45), 'crossed'],
    ['of about 0 is crossed by what is clearly above 0', GUARD, arm(0.1), arm(4), 'crossed'],
    ['of about 0 is kept by what is about 0', GUARD, arm(0.1), arm(0.3), 'holding'],
    ['may be any difference at all', { ...GUARD, maxWorsePercent: 0 }, arm(40), arm(42), 'crossed'],
  ])('%s', (_, guard, control, treatment, verdict) => {
    expect(verdictOf(guard, control, treatment)).toBe(verdict);
  });

  test('has figures in which worse is above 0 for either direction', () => {
    expect(judged(GUARD, arm(40), arm(46)).figures).toEqual({
      controlVehicles: 100,
      treatmentVehicles: 100,
      vehiclesInBothArms: 2,
      controlMean: 40,
      treatmentMean: 46,
      worsePercent: expect.closeTo(15, 10),
      worsePercentInterval: [expect.any(Number), expect.any(Number)],
      pValue: expect.any(Number),
      significance: falseAlarmShare(0.95, 1, 2),
      lastMeasurementAt: BEGAN.toISOString(),
    });
    const { worsePercent, worsePercentInterval } = judged(LOWER, arm(40), arm(46)).figures;
    const [low, high] = judged(GUARD, arm(40), arm(46)).figures.worsePercentInterval as readonly [number, number];
    expect(low).toBeGreaterThan(5);
    expect(worsePercent).toBeCloseTo(-15, 10);
    expect(worsePercentInterval).toEqual([-high, -low]);
  });

  test("is tested against the limit itself, at the watch's share of false alarms", () => {
    const { pValue } = judged(GUARD, arm(40), arm(43.13)).figures;
    const control = { count: 100, mean: 42, m2: arm(40).m2 * 1.05 ** 2 };
    const welch = welchTest({ control, treatment: arm(43.13) }) as WelchTest;
    expect(pValue).toBeCloseTo(
      sequentialTest(welch, { control: 100, treatment: 100 }, { vehiclesInEachArm: 30, confidenceLevel: 1 - 0.05 / 3 })
        .pValue,
      12,
    );
    expect(verdictOf(GUARD, arm(40), arm(43.13))).toBe('crossed');
    expect(verdictOf({ ...GUARD, steps: 50 }, arm(40), arm(43.13))).toBe('holding');
  });
});

describe('an absolute bound', () => {
  test.each<[string, GuardWatch, Moments, Moments, string]>([
    ['is crossed by a mean that is clearly beyond it, whatever control does', BOUND, arm(60), arm(46), 'crossed'],
    ['needs no control', BOUND, NONE, arm(46), 'crossed'],
    ['is kept by a mean that is hardly beyond it', BOUND, arm(40), arm(43.1), 'holding'],
    ['is kept on its good side', BOUND, arm(40), arm(30), 'holding'],
    ['may be a least value', { ...BOUND, worse: 'lower' }, arm(46), arm(40), 'crossed'],
    ['as a least value is kept above it', { ...BOUND, worse: 'lower' }, arm(46), arm(45), 'holding'],
  ])('%s', (_, guard, control, treatment, verdict) => {
    expect(verdictOf(guard, control, treatment)).toBe(verdict);
  });
});

describe('without any spread', () => {
  test.each<[string, GuardWatch, Moments, Moments, string]>([
    ['arms that measured the same keep the limit', GUARD, same(0), same(0), 'holding'],
    ['a treatment that is worse in every vehicle crosses it', GUARD, same(0), same(1), 'crossed'],
    ['a treatment that is better in every vehicle keeps it', GUARD, same(1), same(0), 'holding'],
    ['a treatment that is worse by less keeps it', GUARD, same(40), same(41), 'holding'],
    [
      'what only rounding tells apart keeps it',
      { ...GUARD, maxWorsePercent: 0 },
      same(0.1 + 0.2),
      same(0.3 + 1e-16),
      'holding',
    ],
    ['few vehicles may be so by chance', { ...GUARD, minimumVehicles: 2 }, same(0, 4), same(1, 2), 'holding'],
    ['a treatment beyond its bound in every vehicle crosses it', BOUND, NONE, same(44), 'crossed'],
    ['few vehicles may be beyond a bound by chance', { ...BOUND, minimumVehicles: 2 }, NONE, same(44, 5), 'holding'],
  ])('%s', (_, guard, control, treatment, verdict) => {
    expect(verdictOf(guard, control, treatment)).toBe(verdict);
  });

  test('the p-value is the chance of drawing just these vehicles', () => {
    expect(judged({ ...GUARD, minimumVehicles: 2 }, same(0, 4), same(1, 2)).figures.pValue).toBeCloseTo(1 / 15, 12);
    expect(judged({ ...BOUND, minimumVehicles: 2 }, NONE, same(44, 5)).figures.pValue).toBeCloseTo(1 / 32, 12);
  });
});

describe('there is no verdict', () => {
  test('before enough vehicles of each compared arm have measured, however bad they are', () => {
    expect(judged(GUARD, arm(40), arm(400, 29))).toMatchObject({
      verdict: 'waiting',
      figures: { treatmentVehicles: 29, treatmentMean: 400, pValue: null },
    });
    expect(verdictOf(GUARD, arm(40, 29), arm(400))).toBe('waiting');
    expect(verdictOf(BOUND, NONE, arm(400, 29))).toBe('waiting');
    expect(judged(GUARD, NONE, NONE)).toMatchObject({
      verdict: 'waiting',
      figures: { controlMean: null, treatmentMean: null, worsePercent: null, worsePercentInterval: null },
    });
  });

  test("when the numbers exceed a double's range", () => {
    expect(judged(GUARD, { count: 40, mean: 1e300, m2: Infinity }, arm(40))).toMatchObject({
      verdict: 'waiting',
      figures: { pValue: null },
    });
    expect(judged(GUARD, { count: 40, mean: NaN, m2: 1 }, arm(40)).figures.controlMean).toBeNull();
  });
});

describe('a metric that has stopped arriving', () => {
  const at = (minutes: number, last: number | null, guard = GUARD) =>
    judged(guard, arm(40), arm(40), after(minutes), last === null ? null : after(last)).verdict;

  test('is reported when nothing has arrived for as long as the guard allows, counted from the start of the watch', () => {
    expect([at(29.9, null), at(30, null)]).toEqual(['holding', 'silent']);
    expect([at(99.9, 70), at(100, 70)]).toEqual(['holding', 'silent']);
    expect([at(30, -500), at(29, -500)]).toEqual(['silent', 'holding']);
  });

  test('is not missed while no vehicle has the treatment', () => {
    expect(at(500, null, { ...GUARD, serves: false })).toBe('holding');
  });

  test('does not take back a crossed limit that it showed before', () => {
    expect(judged(GUARD, arm(40), arm(46), after(500), BEGAN).verdict).toBe('crossed');
  });
});

describe('over a whole rollout of three steps, looked at ten times each,', () => {
  const ROLLOUTS = rounds(200, 1_000);
  const [STEPS, LOOKS] = [3, 10];
  const CHANCE = 0.2;
  // The strictest limits: any difference at all, and the true mean.
  const STRICT: GuardWatch = { ...GUARD, maxWorsePercent: 0, confidenceLevel: 1 - CHANCE, minimumVehicles: 5 };
  const AT_THE_MEAN: GuardWatch = { ...STRICT, maxWorsePercent: null, bound: 42 };
  type More = (draw: Draws, arm: 'control' | 'treatment') => Moments;
  const CONTROL_OF: Moments = { count: 1e15, mean: 42, m2: 0 };

  /**
   * Tells whether any look of any watch, each with its own vehicles, finds the limit crossed, and whether an ordinary
   * test at 1 − confidence would.
   */
  function looks(guard: GuardWatch, more: More, draw: Draws): { guard: boolean; plain: boolean } {
    const found = { guard: false, plain: false };
    for (let watch = 1; watch <= STEPS + 1; watch++) {
      let [control, treatment]: [Moments, Moments] = [NONE, NONE];
      for (let look = 0; look < LOOKS; look++) {
        control = joined(control, more(draw, 'control'));
        treatment = joined(treatment, more(draw, 'treatment'));
        const welch = welchTest({ control: guard.bound === null ? control : CONTROL_OF, treatment });
        // The guard's p-value is never below the plain one, so most looks need no verdict.
        if (!isMissing(welch) && welch.pValue >= CHANCE) continue;
        found.plain = true;
        found.guard ||= verdictOf({ ...guard, steps: STEPS, watch }, control, treatment) === 'crossed';
      }
    }
    return found;
  }

  const found = (guard: GuardWatch, more: More, seed: number) => {
    const draw = draws(seed);
    return Array.from({ length: ROLLOUTS }, () => looks(guard, more, draw));
  };

  test.each<[string, GuardWatch, More, number]>([
    ['a normal metric', STRICT, (draw, arm) => normalArm(draw, arm === 'control' ? 18 : 2, 42, 6), 1],
    ['a skewed metric', STRICT, (draw) => skewedArm(draw, 5), 2],
    ['a binary metric that is mostly the same for all', STRICT, (draw) => binaryArm(draw, 3, 0.04), 3],
    ['an absolute bound on a normal metric', AT_THE_MEAN, (draw) => normalArm(draw, 5, 42, 6), 4],
  ])(
    '%s raises no more false alarms than promised when the feature has no effect, and an ordinary test raises far more',
    (_, guard, more, seed) => {
      const results = found(guard, more, seed);
      // The 99.95 % point of a binomial count.
      expect(results.filter((result) => result.guard).length).toBeLessThan(
        ROLLOUTS * CHANCE + 3.2905 * Math.sqrt(ROLLOUTS * CHANCE * (1 - CHANCE)),
      );
      expect(results.filter((result) => result.plain).length).toBeGreaterThan(2 * CHANCE * ROLLOUTS);
    },
  );

  test('a regression far beyond the limit is found in nearly all of them', () => {
    const results = found(
      { ...GUARD, minimumVehicles: 10 },
      (draw, arm) => normalArm(draw, 10, arm === 'control' ? 40 : 50, 6),
      5,
    );
    expect(results.filter((result) => result.guard).length).toBeGreaterThan(0.99 * ROLLOUTS);
  });
});
