/**
 * What a guard has gathered over the steps of its rollout. Pure. docs/reference/statistics.md, "The guard of a rollout",
 * says why this may be looked at at any moment.
 */
import type { RolloutGuard } from '../../../core/rollouts/rollout-guard.ts';
import { isObject } from '../../../core/json/json-value.ts';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import type { Calibration } from '../settled/calibration.ts';
import type { ArmOfSettled } from '../settled/settled-vehicles.ts';
import { logThreshold, logWeighted, shareMoved } from '../statistics/evidence/accumulated-evidence.ts';
import { logEvidence } from '../statistics/evidence/bets.ts';
import { eventBets } from '../statistics/evidence/event-bets.ts';
import { mapArms, type Arms } from '../statistics/moments.ts';
import { evidenceOf, type LimitTest } from './guard-tests.ts';

/** The draw of vehicles that one raising of the percentage made, and the evidence from it, by logarithms. */
export interface EpochEvidence {
  readonly salt: string;
  /** The buckets that were moved: from `from` (inclusive) to `to` (exclusive). */
  readonly from: number;
  readonly to: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Against each of `testsOf`; empty before the first look. */
  readonly limits: readonly number[];
  readonly outOfRange: number;
  readonly neverReported: number;
}

/** The state of a guard. */
export interface GuardState {
  /** Null until there are vehicles enough to fix the range. */
  readonly calibration: Calibration | null;
  /** Oldest first; the last one is open. */
  readonly epochs: readonly EpochEvidence[];
  /** The greatest logarithm of all evidence so far: what has crossed stays crossed. */
  readonly most: number;
  /** By how much the treatment is worse at least, in percent; null while nothing is shown. */
  readonly worsePercentAtLeast: number | null;
  /** The beginning of the watch in which the last look was, in milliseconds since 1970. */
  readonly watchedSince: number;
}

/** The state before the first look. */
export const NOTHING_SEEN: GuardState = {
  calibration: null,
  epochs: [],
  most: 0,
  worsePercentAtLeast: null,
  watchedSince: 0,
};

/**
 * The parts of the capital that bet on the metric itself, on numbers out of range and on vehicles that do not report.
 * The feature may cause those two as well; together the three keep the promise.
 */
const WEIGHTS = { limit: 0.8, outOfRange: 0.1, neverReported: 0.1 } as const;

/** The rule's draw of vehicles at present. */
export interface Draw {
  readonly salt: string;
  /** The buckets below it have the treatment. */
  readonly threshold: number;
  /** When the rollout began, was stepped or was resumed last, in milliseconds since 1970. */
  readonly watchedSince: number;
}

/**
 * Gives the state in which the rule's present draw has the last epoch. Only a rise of the percentage draws vehicles, and
 * only those above all that were moved before: a resumption or a percentage that is lowered and raised again does not,
 * nor does a salt that was used before, whose epoch is opened again.
 *
 * @param now the time of the look, in milliseconds since 1970
 */
export function withEpoch(state: GuardState, { salt, threshold, watchedSince }: Draw, now = watchedSince): GuardState {
  const latest = state.epochs.findLast((epoch) => epoch.salt === salt);
  const from = latest?.to ?? 0;
  if (threshold <= from) {
    if (latest === undefined || latest === state.epochs.at(-1)) return state;
    return { ...state, epochs: [...state.epochs.filter((epoch) => epoch !== latest), latest] };
  }
  // A step begins a watch, and a person who raises the percentage does not: what was measured before they did is not the
  // treatment's. Times of looks do not tell the two apart: a look may come between a step's time and its commit.
  const since = watchedSince === state.watchedSince ? now : watchedSince;
  const epoch = { salt, from, to: threshold, since, limits: [], outOfRange: 0, neverReported: 0 };
  return { ...state, epochs: [...state.epochs, epoch] };
}

/** Gives the share of the compared vehicles that an epoch moved. */
export function shareOf({ from, to }: Pick<EpochEvidence, 'from' | 'to'>): number {
  return shareMoved(from / BUCKETS, to / BUCKETS);
}

/** Gives the evidence of events that no vehicle's limit allows for: the treatment has no more of them than control. */
function eventsMore(events: Arms<number>, share: number): number {
  const bets = eventBets('higher', 1, share);
  return logEvidence({
    control: bets.map(({ control }) => events.control * Math.log1p(control.slope)),
    treatment: bets.map(({ treatment }) => events.treatment * Math.log1p(treatment.slope)),
  });
}

const product = (state: GuardState, of: (epoch: EpochEvidence) => number) =>
  state.epochs.reduce((sum, epoch) => sum + of(epoch), 0);

/** Gives the logarithm of all evidence of a state at its last look. */
export function logOf(state: GuardState): number {
  return logWeighted([
    { weight: WEIGHTS.limit, log: product(state, ({ limits }) => limits[0] ?? 0) },
    { weight: WEIGHTS.outOfRange, log: product(state, ({ outOfRange }) => outOfRange) },
    { weight: WEIGHTS.neverReported, log: product(state, ({ neverReported }) => neverReported) },
  ]);
}

/** Gives the chance of a false alarm that a guard may have over its whole rollout. */
export const alphaOf = ({ confidenceLevel }: Pick<RolloutGuard, 'confidenceLevel'>) => 1 - confidenceLevel;

/** Gives the logarithm of all evidence where that against the limit has this one, and no vehicle is lost. */
export const logWeight = (log: number) =>
  logWeighted([
    { weight: WEIGHTS.limit, log },
    { weight: WEIGHTS.outOfRange + WEIGHTS.neverReported, log: 0 },
  ]);

/** Gives the logarithm that the evidence against the limit alone has to reach. */
export const logNeeded = (guard: Pick<RolloutGuard, 'confidenceLevel'>) =>
  logThreshold(alphaOf(guard)) - Math.log(WEIGHTS.limit);

/** The greatest of the tested percentages that the evidence excludes; null where it excludes none. */
function worseAtLeast(state: GuardState, tests: readonly LimitTest[], needed: number): number | null {
  const excluded = tests.flatMap(({ worsePercent }, index) =>
    worsePercent !== null && product(state, ({ limits }) => limits[index] ?? 0) >= needed ? [worsePercent] : [],
  );
  return excluded.length === 0 ? null : Math.max(...excluded);
}

/**
 * Gives the state after a look at the open epoch's settled vehicles.
 *
 * @param watchedSince the beginning of the present watch, in milliseconds since 1970
 */
export function afterLook(
  state: GuardState,
  guard: RolloutGuard,
  tests: readonly LimitTest[],
  arms: Arms<ArmOfSettled>,
  watchedSince: number,
): GuardState {
  const open = state.epochs.at(-1);
  if (open === undefined) return state;
  const share = shareOf(open);
  const seen: EpochEvidence = {
    ...open,
    limits: evidenceOf(
      tests,
      mapArms(arms, ({ logs }) => logs),
    ),
    outOfRange: eventsMore(
      mapArms(arms, ({ outOfRange }) => outOfRange),
      share,
    ),
    neverReported: eventsMore(
      mapArms(arms, ({ neverReported }) => neverReported),
      share,
    ),
  };
  const after = { ...state, epochs: [...state.epochs.slice(0, -1), seen], watchedSince };
  const atLeast = worseAtLeast(after, tests, logNeeded(guard));
  return {
    ...after,
    most: Math.max(state.most, logOf(after)),
    worsePercentAtLeast:
      state.worsePercentAtLeast === null || atLeast === null
        ? (state.worsePercentAtLeast ?? atLeast)
        : Math.max(state.worsePercentAtLeast, atLeast),
  };
}

/** Whether a stored value is a state. Of what is inside, which nothing else writes, no more is looked at. */
export function isGuardState(stored: unknown): stored is GuardState {
  return (
    isObject(stored) &&
    Array.isArray(stored['epochs']) &&
    typeof stored['most'] === 'number' &&
    typeof stored['watchedSince'] === 'number' &&
    (stored['calibration'] === null || isObject(stored['calibration']))
  );
}
