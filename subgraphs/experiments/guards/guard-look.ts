/**
 * One look of a guard, at the numbers of the vehicles of its rollout or release: fixes the metric's range when it can,
 * and adds up the evidence.
 */
import { mapArms } from '../statistics/moments.ts';
import { countingOf, rangeOfComparison } from '../settled/calibrating.ts';
import { binaryCalibration, UNDECLARED, type Calibration } from '../settled/calibration.ts';
import { NOBODY, type ArmOfSettled, type Epoch, type SettledVehicles } from '../settled/settled-vehicles.ts';
import {
  afterLook,
  shareOf,
  withEpoch,
  withRange,
  type CapitalShare,
  type EpochEvidence,
  type GuardState,
} from './guard-evidence.ts';
import { betsOf, rangeOfBound, testsOf } from './guard-tests.ts';
import type { Look } from './guard-verdict.ts';
import type { WatchedGuard } from './watched-guard.ts';

/** Gives the epoch for which the metrics store is queried. */
function queriedEpoch(
  watched: WatchedGuard,
  { salt, from, to, since }: Pick<EpochEvidence, 'salt' | 'from' | 'to' | 'since'>,
  state: GuardState,
): Epoch {
  const { flagKey, guard, definition, now, measuredBy = null, ring } = watched;
  const { kind, window } = state.calibration ?? definition ?? UNDECLARED;
  return {
    flagKey,
    metric: guard.metric,
    salt,
    from,
    to,
    since: new Date(since),
    now,
    measuredBy,
    kind,
    window,
    silenceMs: guard.silence,
    ownVariantOnly: guard.bound !== null && ring === undefined,
    ring,
  };
}

/**
 * Gives the range of a guard with a bound, which needs no vehicles; null where a declaration leaves nothing to test.
 */
function ofBound({ guard, definition }: WatchedGuard): Calibration | null {
  if (definition?.kind === 'proportion') return binaryCalibration(definition);
  const { kind, minimum, maximum, window, cap } = definition ?? UNDECLARED;
  // Of a metric that nobody declared 0 is taken to be the minimum, for as long as no number is below it.
  const least = definition === null && guard.worse === 'higher' ? 0 : minimum;
  const range = rangeOfBound(guard, least, guard.worse === 'higher' ? (cap ?? maximum) : maximum);
  if (range === null) return null;
  const declared = definition !== null;
  return { kind, declared, minimum: least, maximum, window, range, source: 'declared', spent: [] };
}

/**
 * Looks at the vehicles of a guarded rollout or release.
 *
 * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
 */
export async function lookAt(watched: WatchedGuard, settled: SettledVehicles): Promise<Look> {
  const { guard, definition, salt, threshold, now } = watched;
  const draw = { salt, threshold, watchedSince: guard.watchedSince.getTime() };
  const state = withEpoch(watched.state, draw, now.getTime());
  const open = state.epochs.at(-1);
  // No vehicle was drawn yet; those that were chosen for a release are heard all the same.
  if (open === undefined) {
    const seen = { ...state, watchedSince: draw.watchedSince };
    const nobody = queriedEpoch(watched, { salt, from: 0, to: 0, since: draw.watchedSince }, state);
    const heardAt = watched.ring === undefined ? null : await settled.heardAt(nobody);
    return { state: seen, arms: { control: NOBODY, treatment: NOBODY }, heardAt };
  }
  const epoch = queriedEpoch(watched, open, state);
  const summed = async (range: Calibration | null) => {
    // Until it is fixed, numbers that are all 0 or 1 are compared as such.
    const calibration = range ?? binaryCalibration(definition);
    const tests = testsOf(guard, calibration, shareOf(open));
    return { range, tests, arms: await settled.sums(epoch, countingOf(calibration), betsOf(tests)) };
  };
  const before =
    state.calibration ??
    (guard.bound === null ? await rangeOfComparison(definition, epoch, settled) : ofBound(watched));
  let seen = await summed(before);
  if (before === null && guard.bound === null && definition === null && hasOther(seen.arms)) {
    // The first vehicles may all have measured 0 or 1: then other numbers are out of range.
    const fixed = await rangeOfComparison(definition, epoch, settled, false);
    if (fixed !== null) seen = await summed(fixed);
  }
  const { range, tests, arms } = seen;
  const heardAt = await settled.heardAt(epoch);
  const comparable = isComparable(watched, range, arms);
  const usable = comparable ? arms : mapArms(arms, uncounted);
  const shown = (arm: keyof Look['arms']) => ({ ...usable[arm], outOfRange: arms[arm].outOfRange });
  const share = shareOfCapital(watched, range, comparable);
  return {
    state: afterLook(withRange(state, range), guard, tests, usable, draw.watchedSince, share),
    // The numbers out of the range are shown even where nothing counts, because they say why.
    arms: range === null ? usable : { control: shown('control'), treatment: shown('treatment') },
    heardAt,
  };
}

/** Gives how a look shares the capital: only a range that no vehicle of the rollout has chosen leaves one test. */
function shareOfCapital(
  { guard, definition }: WatchedGuard,
  range: Calibration | null,
  comparable: boolean,
): CapitalShare {
  const chosen = range === null ? definition === null : !range.declared && range.source !== 'history';
  if (guard.bound !== null || !chosen) return 'all';
  return range === null && comparable ? 'first' : 'second';
}

/**
 * Whether the numbers are what the bets take them for. Those of a metric that nobody declared need not be: it is taken
 * to be 0 or 1 until 200 vehicles fix its range, and to be 0 or more where it has a bound.
 */
function isComparable({ guard, definition }: WatchedGuard, fixed: Calibration | null, arms: Look['arms']): boolean {
  if (fixed === null) return definition === null && guard.bound === null && !hasOther(arms);
  return guard.bound === null || fixed.declared || !hasOther(arms);
}

const hasOther = (arms: Look['arms']) => arms.control.outOfRange + arms.treatment.outOfRange > 0;

/** Gives an arm of which no vehicle counts yet, because there is no range. */
const uncounted = (arm: ArmOfSettled): ArmOfSettled => ({
  ...arm,
  counted: 0,
  outOfRange: 0,
  mean: NaN,
  variance: NaN,
  logs: arm.logs.map(() => 0),
});
