import { describe, expect, test } from '@jest/globals';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import type { Calibration } from '../settled/calibration.ts';
import type { ArmOfSettled } from '../settled/settled-vehicles.ts';
import { logSums } from '../statistics/evidence/bets.ts';
import { mapArms, type Arms } from '../statistics/moments.ts';
import { afterLook, isGuardState, NOTHING_SEEN, shareOf, withEpoch, type GuardState } from './guard-evidence.ts';
import { betsOf, rangeOfBound, testsOf } from './guard-tests.ts';
import { judge, type GuardWatch } from './guard-verdict.ts';

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
  watch: 2,
  watchedSince: BEGAN,
  serves: true,
};
const LOWER: GuardWatch = { ...GUARD, worse: 'lower' };
const BOUND: GuardWatch = { ...GUARD, maxWorsePercent: null, bound: 43 };
const LEAST: GuardWatch = { ...BOUND, worse: 'lower' };

const FRACTION: Calibration = {
  kind: 'proportion',
  declared: true,
  minimum: 0,
  maximum: 1,
  window: null,
  range: { low: 0, high: 1, centres: [] },
  source: 'declared',
  spent: [],
};
const ranged = (low: number, high: number, centre: number): Calibration => ({
  ...FRACTION,
  kind: 'mean',
  minimum: low,
  maximum: high,
  range: { low, high, centres: [centre] },
});
const bounded = (guard: GuardWatch): Calibration => ({ ...ranged(0, 100, 50), range: rangeOfBound(guard, 0, 100)! });

const times = (count: number, value: number) => Array<number>(count).fill(value);

/** Gives what the metrics store would of these vehicles. */
function armOf(values: readonly number[], more: Partial<ArmOfSettled> = {}): Omit<ArmOfSettled, 'logs'> {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const { length } = values;
  const none = { outOfRange: 0, neverReported: 0, otherVariant: 0 };
  return { exposed: length, counted: length, ...none, mean, variance, ...more };
}

interface Seen {
  readonly control: readonly number[];
  readonly treatment: readonly number[];
  readonly lost?: Partial<Record<'control' | 'treatment', Partial<ArmOfSettled>>>;
}

/** Looks at vehicles by a rule at 50 % that was at 0 % before; or goes on from a state. */
function look(guard: GuardWatch, calibration: Calibration, { control, treatment, lost = {} }: Seen, from?: GuardState) {
  const at = { salt: 's', threshold: BUCKETS / 2, watchedSince: BEGAN.getTime() };
  const state = withEpoch(from ?? NOTHING_SEEN, at);
  const tests = testsOf(guard, calibration, shareOf(state.epochs.at(-1)!));
  const logs = logSums(betsOf(tests), { control, treatment });
  const arms: Arms<ArmOfSettled> = {
    control: { ...armOf(control, lost.control), logs: logs.control },
    treatment: { ...armOf(treatment, lost.treatment), logs: logs.treatment },
  };
  return { state: afterLook(state, guard, tests, arms, BEGAN.getTime()), arms, heardAt: BEGAN };
}

const after = (minutes: number) => new Date(BEGAN.getTime() + minutes * MINUTE);
const judged = (guard: GuardWatch, calibration: Calibration, seen: Seen) =>
  judge(guard, look(guard, calibration, seen), after(1));

const CHARGE = ranged(0, 100, 40);
const around = (mean: number, count = 100) => Array.from({ length: count }, (_, index) => mean + (index % 5) - 2);

describe('a limit relative to the control', () => {
  test.each<[string, GuardWatch, Calibration, Seen, string]>([
    [
      'is crossed by what is clearly worse by more',
      GUARD,
      CHARGE,
      { control: around(40), treatment: around(80) },
      'crossed',
    ],
    ['is kept by what is worse by less', GUARD, CHARGE, { control: around(40), treatment: around(41) }, 'holding'],
    ['is kept by what is better', GUARD, CHARGE, { control: around(40), treatment: around(20) }, 'holding'],
    ['may lie on the other side', LOWER, CHARGE, { control: around(40), treatment: around(10) }, 'crossed'],
    [
      'on the other side is kept by what is higher',
      LOWER,
      CHARGE,
      { control: around(40), treatment: around(60) },
      'holding',
    ],
    [
      'is of the size of a negative mean',
      GUARD,
      ranged(-100, 0, -40),
      { control: around(-40), treatment: around(-10) },
      'crossed',
    ],
    [
      'of a negative mean is kept within it',
      GUARD,
      ranged(-100, 0, -40),
      { control: around(-40), treatment: around(-39) },
      'holding',
    ],
    [
      'of about 0 is crossed by what is clearly above 0',
      GUARD,
      ranged(-50, 50, 0),
      { control: around(0, 200), treatment: around(40, 200) },
      'crossed',
    ],
    [
      'of the whole mean cannot be passed downwards',
      { ...LOWER, maxWorsePercent: 100 },
      CHARGE,
      { control: around(40), treatment: times(100, 0) },
      'holding',
    ],
    [
      'on events is crossed by few vehicles',
      GUARD,
      FRACTION,
      { control: times(12, 0), treatment: times(12, 1) },
      'crossed',
    ],
    [
      'on events is kept where there are none',
      GUARD,
      FRACTION,
      { control: times(50, 0), treatment: times(50, 0) },
      'holding',
    ],
  ])('%s', (_, guard, calibration, seen, verdict) => {
    expect(judged(guard, calibration, seen).verdict).toBe(verdict);
  });

  test('has figures in which worse is above 0 for either direction, and a bound that the evidence excludes', () => {
    const { figures } = judged(GUARD, CHARGE, { control: around(40), treatment: around(80) });
    expect(figures).toMatchObject({
      controlVehicles: 100,
      treatmentVehicles: 100,
      controlMean: 40,
      treatmentMean: 80,
      worsePercent: 100,
      detectablePercent: expect.any(Number),
      significance: expect.closeTo(0.05, 12),
      lastMeasurementAt: BEGAN.toISOString(),
    });
    // The limit itself is excluded, and the true 100 % is not.
    expect(figures.worsePercentAtLeast).toBeGreaterThanOrEqual(5);
    expect(figures.worsePercentAtLeast).toBeLessThan(100);
    const better = judged(LOWER, CHARGE, { control: around(40), treatment: around(80) }).figures;
    expect(better).toMatchObject({ worsePercent: -100, worsePercentAtLeast: null, pValue: 1 });
  });
});

describe('an absolute bound', () => {
  test.each<[string, GuardWatch, readonly number[], string]>([
    ['is crossed by a mean that is clearly beyond it', BOUND, around(60, 50), 'crossed'],
    ['is kept by a mean that is hardly beyond it', BOUND, around(43.5), 'holding'],
    ['is kept on its good side', BOUND, around(30), 'holding'],
    ['may be a least value', LEAST, around(20, 50), 'crossed'],
    ['as a least value is kept above it', LEAST, around(45), 'holding'],
  ])('%s, and needs no control', (_, guard, treatment, verdict) => {
    expect(judged(guard, bounded(guard), { control: [], treatment }).verdict).toBe(verdict);
  });

  test('as a least value needs a maximum', () => {
    expect(rangeOfBound(LEAST, 0, null)).toBeNull();
    expect(rangeOfBound(LEAST, null, 100)).toMatchObject({ low: -527, high: 100 });
  });

  test('needs a minimum otherwise, and a range that can be stored', () => {
    expect(rangeOfBound(BOUND, null, 100)).toBeNull();
    expect(rangeOfBound(BOUND, 0, null)).toMatchObject({ low: 0, high: 473 });
    expect(rangeOfBound({ ...BOUND, bound: 1e308 }, 0, null)).toMatchObject({ low: 0, high: Number.MAX_VALUE });
    expect(rangeOfBound({ ...LEAST, bound: -1e308 }, null, 0)).toMatchObject({ low: -Number.MAX_VALUE, high: 0 });
  });
});

describe('vehicles without a number', () => {
  const same = { control: times(60, 0), treatment: times(60, 0) };

  test.each(['outOfRange', 'neverReported'] as const)('of which the treatment has more (%s) are harm', (what) => {
    const lost = (control: number, treatment: number) =>
      judged(GUARD, FRACTION, { ...same, lost: { control: { [what]: control }, treatment: { [what]: treatment } } });
    expect(lost(1, 16)).toMatchObject({ verdict: 'crossed', figures: { [what]: { control: 1, treatment: 16 } } });
    expect(lost(16, 16).verdict).toBe('holding');
    expect(lost(16, 1).verdict).toBe('holding');
  });
});

describe('to advance', () => {
  test('a rollout needs enough settled vehicles of each compared arm, but no events', () => {
    const few = { control: times(29, 0), treatment: times(100, 0) };
    expect(judged(GUARD, FRACTION, few).verdict).toBe('waiting');
    expect(judged(GUARD, FRACTION, { control: few.treatment, treatment: few.control }).verdict).toBe('waiting');
    expect(judged(BOUND, bounded(BOUND), { control: [], treatment: around(30, 29) }).verdict).toBe('waiting');
    expect(judged(GUARD, FRACTION, { control: times(30, 0), treatment: times(30, 0) }).verdict).toBe('holding');
  });

  test('but harm needs no minimum of vehicles', () => {
    expect(judged(GUARD, FRACTION, { control: times(12, 0), treatment: times(12, 1) }).verdict).toBe('crossed');
  });
});

describe('evidence', () => {
  test('of the steps multiplies, and each step compares the vehicles that it moved with those left', () => {
    const first = look(GUARD, FRACTION, { control: times(20, 0), treatment: times(4, 1) });
    expect(judge(GUARD, first, after(1)).verdict).toBe('waiting');
    const stepped = withEpoch(first.state, { salt: 's', threshold: 0.75 * BUCKETS, watchedSince: after(2).getTime() });
    expect(stepped.epochs.map(({ from, to, since }) => [from, to, since])).toEqual([
      [0, 50_000, BEGAN.getTime()],
      [50_000, 75_000, after(2).getTime()],
    ]);
    expect(shareOf(stepped.epochs[1]!)).toBeCloseTo(0.5, 12);
    const tests = testsOf(GUARD, FRACTION, 0.5);
    const logs = logSums(betsOf(tests), { control: times(20, 0), treatment: times(4, 1) });
    const arms = mapArms(logs, (sums) => ({ ...armOf([0]), logs: sums }));
    const { epochs, most } = afterLook(stepped, GUARD, tests, arms, after(3).getTime());
    expect(epochs[1]!.limits).toEqual(epochs[0]!.limits);
    // Eight events in all cross, four do not.
    expect([first.state.most < Math.log(20), most > Math.log(20)]).toEqual([true, true]);
  });

  test('begins again only with a rise of the percentage beyond all before it, or with another salt', () => {
    const draw = { salt: 's', threshold: 500, watchedSince: 7 };
    const state = { ...withEpoch(NOTHING_SEEN, draw), watchedSince: 7 };
    for (const threshold of [0, 400, 500]) expect(withEpoch(state, { ...draw, threshold })).toBe(state);
    // A person raised the percentage at some time since the last look: measurements until now may be from before that.
    const raised = withEpoch(state, { ...draw, threshold: 600 }, 12);
    expect(raised.epochs.at(-1)).toMatchObject({ from: 500, to: 600, since: 12 });
    const stepped = withEpoch(state, { ...draw, threshold: 600, watchedSince: 10 }, 12);
    expect(stepped.epochs.at(-1)).toMatchObject({ from: 500, to: 600, since: 10 });
    // The first step, after a look without vehicles in the watch that the schedule began.
    const scheduled = withEpoch({ ...NOTHING_SEEN, watchedSince: 5 }, draw, 12);
    expect(scheduled.epochs).toMatchObject([{ from: 0, to: 500, since: 7 }]);
    const salted = withEpoch(state, { ...draw, salt: 't' });
    expect(salted.epochs.at(-1)).toMatchObject({ from: 0, to: 500 });
    // The draw of the first salt is the one that has been used.
    expect(withEpoch(salted, draw).epochs).toEqual([salted.epochs[1], salted.epochs[0]]);
    expect(withEpoch(salted, { ...draw, threshold: 600 }).epochs.at(-1)).toMatchObject({ from: 500, to: 600 });
    expect(withEpoch(NOTHING_SEEN, { ...draw, threshold: 0 })).toBe(NOTHING_SEEN);
    expect(afterLook(NOTHING_SEEN, GUARD, [], look(GUARD, FRACTION, { control: [], treatment: [] }).arms, 3)).toBe(
      NOTHING_SEEN,
    );
  });

  test('that has crossed stays crossed', () => {
    const crossed = look(GUARD, FRACTION, { control: times(12, 0), treatment: times(12, 1) });
    const later = look(GUARD, FRACTION, { control: times(900, 1), treatment: times(12, 1) }, crossed.state);
    expect(judge(GUARD, later, after(500)).verdict).toBe('crossed');
    expect(later.state.worsePercentAtLeast).toBe(crossed.state.worsePercentAtLeast);
  });

  test('is read back as it was stored, and nothing else is', () => {
    const { state } = look(GUARD, FRACTION, { control: [0], treatment: [1] });
    expect(isGuardState(JSON.parse(JSON.stringify(state)))).toBe(true);
    for (const other of [null, 3, {}, { ...state, epochs: 3 }, { ...state, calibration: 'none' }])
      expect(isGuardState(other)).toBe(false);
  });
});

describe('a metric that has stopped arriving', () => {
  const seen = look(GUARD, FRACTION, { control: times(50, 0), treatment: times(50, 0) });
  const at = (minutes: number, last: number | null, guard = GUARD) =>
    judge(guard, { ...seen, heardAt: last === null ? null : after(last) }, after(minutes)).verdict;

  test('is reported when nothing has arrived for as long as the guard allows, counted from the start of the watch', () => {
    expect([at(29.9, null), at(30, null)]).toEqual(['holding', 'silent']);
    expect([at(99.9, 70), at(100, 70)]).toEqual(['holding', 'silent']);
    expect([at(30, -500), at(29, -500)]).toEqual(['silent', 'holding']);
  });

  test('is not missed while no vehicle has the treatment', () => {
    expect(at(500, null, { ...GUARD, serves: false })).toBe('holding');
  });
});
