/** One look at a guarded rollout's vehicles: fixes the metric's range when it can, and adds up the evidence. */
import { mapArms } from '../statistics/moments.ts';
import {
  binaryCalibration,
  calibrate,
  calibrateDeclared,
  CAP_VEHICLES,
  UNDECLARED,
  type Calibration,
} from '../settled/calibration.ts';
import type { ArmOfSettled, Counting, Epoch, SettledVehicles } from '../settled/settled-vehicles.ts';
import { afterLook, shareOf, withEpoch, type EpochEvidence, type GuardState } from './guard-evidence.ts';
import { betsOf, rangeOfBound, testsOf } from './guard-tests.ts';
import type { Look } from './guard-verdict.ts';
import type { WatchedRollout } from './guarded-rollouts.ts';

const NOBODY: ArmOfSettled = {
  counted: 0,
  outOfRange: 0,
  neverReported: 0,
  otherVariant: 0,
  mean: NaN,
  variance: NaN,
  logs: [],
};

/** Gives an epoch as the metrics store is asked about it. */
function asked(watched: WatchedRollout, { salt, from, to, since }: EpochEvidence, state: GuardState): Epoch {
  const { flagKey, guard, definition, now } = watched;
  const { kind, window } = state.calibration ?? definition ?? UNDECLARED;
  return {
    flagKey,
    metric: guard.metric,
    salt,
    from,
    to,
    since: new Date(since),
    now,
    kind,
    window,
    patience: guard.silence,
    ownVariantOnly: guard.bound !== null,
  };
}

/** Gives the range of a guard with a bound, which needs no vehicles; null where a declaration leaves nothing to test. */
function ofBound({ guard, definition }: WatchedRollout): Calibration | null {
  if (definition?.kind === 'proportion') return binaryCalibration(definition);
  const { kind, minimum, maximum, window, cap } = definition ?? UNDECLARED;
  // Of a metric that nobody declared 0 is taken to be the minimum, for as long as no number is below it.
  const least = definition === null && guard.worse === 'higher' ? 0 : minimum;
  const range = rangeOfBound(guard, least, guard.worse === 'higher' ? (cap ?? maximum) : maximum);
  if (range === null) return null;
  const declared = definition !== null;
  return { kind, declared, minimum: least, maximum, window, range, source: 'declared', spent: [] };
}

/** Gives the range of a metric that is compared; null until there are vehicles enough to fix it. */
async function ofComparison(
  { definition }: WatchedRollout,
  epoch: Epoch,
  settled: SettledVehicles,
): Promise<Calibration | null> {
  const history = await settled.history(epoch);
  const declared = calibrateDeclared(definition, history);
  if (declared !== null) return declared;
  if (history.vehicles >= CAP_VEHICLES) return calibrate(definition, history);
  const first = await settled.first(epoch, CAP_VEHICLES);
  // Of a metric that nobody declared and that is 0 or 1 so far, no vehicle need be spent.
  if (definition === null && first.binary) return null;
  return first.vehicles >= CAP_VEHICLES ? calibrate(definition, first) : null;
}

const countingOf = ({ kind, minimum, maximum, range, spent }: Calibration): Counting => ({
  binary: kind === 'proportion',
  minimum,
  maximum,
  low: range.low,
  high: range.high,
  spent,
});

/**
 * Looks at the vehicles of a guarded rollout.
 *
 * @throws SERVICE_UNAVAILABLE when the metrics store does not answer
 */
export async function lookAt(watched: WatchedRollout, settled: SettledVehicles): Promise<Look> {
  const { guard, definition, salt, threshold, now } = watched;
  const draw = { salt, threshold, watchedSince: guard.watchedSince.getTime() };
  const state = withEpoch(watched.state, draw, now.getTime());
  const open = state.epochs.at(-1);
  // No vehicle has the treatment yet.
  if (open === undefined) {
    const seen = { ...state, watchedSince: draw.watchedSince };
    return { state: seen, arms: { control: NOBODY, treatment: NOBODY }, heardAt: null };
  }
  const epoch = asked(watched, open, state);
  const fixed =
    state.calibration ?? (guard.bound === null ? await ofComparison(watched, epoch, settled) : ofBound(watched));
  // Until then, numbers that are all 0 or 1 are compared as such.
  const calibration = fixed ?? binaryCalibration(definition);
  const tests = testsOf(guard, calibration, shareOf(open));
  const arms = await settled.sums(epoch, countingOf(calibration), betsOf(tests));
  const heardAt = await settled.heardAt(epoch);
  const usable = isComparable(watched, fixed, arms) ? arms : mapArms(arms, uncounted);
  const shown = (arm: keyof Look['arms']) => ({ ...usable[arm], outOfRange: arms[arm].outOfRange });
  return {
    state: afterLook({ ...state, calibration: fixed }, guard, tests, usable, draw.watchedSince),
    // What was out of the range of a bound is shown: it says why nothing counts.
    arms: fixed === null ? usable : { control: shown('control'), treatment: shown('treatment') },
    heardAt,
  };
}

/**
 * Whether the numbers are what the bets take them for. Those of a metric that nobody declared need not be: it is taken
 * to be 0 or 1 until 200 vehicles fix its range, and to be 0 or more where it has a bound.
 */
function isComparable({ guard, definition }: WatchedRollout, fixed: Calibration | null, arms: Look['arms']): boolean {
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
