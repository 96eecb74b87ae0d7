/**
 * The evidence that a guard has gathered over the steps of its rollout. Pure. docs/reference/statistics.md, "The guard
 * of a rollout", says why it may be checked at any moment.
 */
import type { MetricGuard } from '../../../core/rollouts/rollout-guard.ts';
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
  /** The evidence against each limit of `testsOf`; empty before the first look with a range. */
  readonly limits: readonly number[];
  readonly outOfRange: number;
  readonly neverReported: number;
}

/** The state of a guard. */
export interface GuardState {
  /** The calibration; null until there are enough vehicles to fix the range. */
  readonly calibration: Calibration | null;
  /** The epochs, oldest first; the last one is open. */
  readonly epochs: readonly EpochEvidence[];
  /** The greatest logarithm of all evidence so far: what has crossed stays crossed. */
  readonly most: number;
  /** The least percentage by which the treatment is worse; null while nothing is shown. */
  readonly worsePercentAtLeast: number | null;
  /** The beginning of the watch in which the last look was, in milliseconds since 1970. */
  readonly watchedSince: number;
  /**
   * The evidence against each limit of `testsOf`, of a metric that nobody declared, while its numbers were 0 or 1. It
   * has half of the capital; the evidence once the metric has a range has the other half. Absent where a single test
   * has all.
   */
  readonly provisional?: readonly number[];
}

/**
 * The share of the capital that a look bets with: `all` for one test; `first` for numbers that are 0 or 1 so far, of a
 * metric that nobody declared, and `second` once other numbers have appeared. Two tests in turn with all of the capital
 * each would be wrong twice as often.
 */
export type CapitalShare = 'all' | 'first' | 'second';

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
  /** The time at which the rollout began, was stepped or was resumed last, in milliseconds since 1970. */
  readonly watchedSince: number;
}

/**
 * Gives the state in which the rule's present draw has the last epoch. Only a rise of the percentage draws vehicles,
 * and only those above all that were moved before: a resumption or a percentage that is lowered and raised again does
 * not, nor does a salt that was used before, whose epoch is opened again.
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
  // A step begins a watch, and a person who raises the percentage does not: what was measured before they did is not
  // the treatment's. The times of looks cannot distinguish the two: a look may come between a step's time and its
  // commit.
  const since = watchedSince === state.watchedSince ? now : watchedSince;
  const epoch = { salt, from, to: threshold, since, limits: [], outOfRange: 0, neverReported: 0 };
  return { ...state, epochs: [...state.epochs, epoch] };
}

/** Gives the share of the compared vehicles that an epoch moved. */
export function shareOf({ from, to }: Pick<EpochEvidence, 'from' | 'to'>): number {
  return shareMoved(from / BUCKETS, to / BUCKETS);
}

/** Gives the evidence against the assumption that the treatment has no more of these events than control. */
function eventsMore(events: Arms<number>, share: number): number {
  const bets = eventBets('higher', 1, share);
  return logEvidence({
    control: bets.map(({ control }) => events.control * Math.log1p(control.slope)),
    treatment: bets.map(({ treatment }) => events.treatment * Math.log1p(treatment.slope)),
  });
}

const product = (state: GuardState, of: (epoch: EpochEvidence) => number) =>
  state.epochs.reduce((sum, epoch) => sum + of(epoch), 0);

/** Gives the logarithm of the evidence against one of the limits, of both tests where the capital is shared. */
function logOfLimit(state: GuardState, index: number): number {
  const { provisional, calibration } = state;
  const log = product(state, ({ limits }) => limits[index] ?? 0);
  if (provisional === undefined) return log;
  return logWeighted([
    { weight: 0.5, log: provisional[index] ?? 0 },
    // Without a range the second test has not begun.
    { weight: 0.5, log: calibration === null ? 0 : log },
  ]);
}

/** Gives the logarithm of all evidence of a state at its last look. */
function logOf(state: GuardState): number {
  return logWeighted([
    { weight: WEIGHTS.limit, log: logOfLimit(state, 0) },
    { weight: WEIGHTS.outOfRange, log: product(state, ({ outOfRange }) => outOfRange) },
    { weight: WEIGHTS.neverReported, log: product(state, ({ neverReported }) => neverReported) },
  ]);
}

/** Gives the chance of a false alarm that a guard may have over its whole rollout. */
export const alphaOf = ({ confidenceLevel }: Pick<MetricGuard, 'confidenceLevel'>) => 1 - confidenceLevel;

/** Gives the logarithm of all evidence where `log` is that against the limit, and no vehicle is lost. */
export const logWeight = (log: number) =>
  logWeighted([
    { weight: WEIGHTS.limit, log },
    { weight: WEIGHTS.outOfRange + WEIGHTS.neverReported, log: 0 },
  ]);

/** Gives the logarithm that the evidence against the limit alone has to reach. */
export const logNeeded = (guard: Pick<MetricGuard, 'confidenceLevel'>) =>
  logThreshold(alphaOf(guard)) - Math.log(WEIGHTS.limit);

/** The greatest of the tested percentages that the evidence excludes; null where it excludes none. */
function worseAtLeast(state: GuardState, tests: readonly LimitTest[], needed: number): number | null {
  const excluded = tests.flatMap(({ worsePercent }, index) =>
    worsePercent !== null && logOfLimit(state, index) >= needed ? [worsePercent] : [],
  );
  return excluded.length === 0 ? null : Math.max(...excluded);
}

/** Gives the evidence of the first test: that of this look, or what it had come to before other numbers appeared. */
function provisionalOf(state: GuardState, tests: readonly LimitTest[], share: CapitalShare): readonly number[] {
  if (share === 'second') return state.provisional ?? [];
  return tests.map((_, index) => product(state, ({ limits }) => limits[index] ?? 0));
}

/** Gives the state in which a metric's range is fixed: epochs that were compared without one begin again. */
export function withRange(state: GuardState, calibration: Calibration | null): GuardState {
  if (calibration === null || state.calibration !== null) return state;
  return { ...state, calibration, epochs: state.epochs.map((epoch) => ({ ...epoch, limits: [] })) };
}

/**
 * Gives the state after a look that read the open epoch's settled vehicles.
 *
 * @param watchedSince the beginning of the present watch, in milliseconds since 1970
 */
export function afterLook(
  state: GuardState,
  guard: MetricGuard,
  tests: readonly LimitTest[],
  arms: Arms<ArmOfSettled>,
  watchedSince: number,
  share: CapitalShare = 'all',
): GuardState {
  const open = state.epochs.at(-1);
  if (open === undefined) return state;
  const moved = shareOf(open);
  const seen: EpochEvidence = {
    ...open,
    limits: evidenceOf(
      tests,
      mapArms(arms, ({ logs }) => logs),
    ),
    outOfRange: eventsMore(
      mapArms(arms, ({ outOfRange }) => outOfRange),
      moved,
    ),
    neverReported: eventsMore(
      mapArms(arms, ({ neverReported }) => neverReported),
      moved,
    ),
  };
  const looked = { ...state, epochs: [...state.epochs.slice(0, -1), seen], watchedSince };
  const after = share === 'all' ? looked : { ...looked, provisional: provisionalOf(looked, tests, share) };
  const worsePercentAtLeast = worseAtLeast(after, tests, logNeeded(guard));
  return withEarlier({ ...after, most: logOf(after), worsePercentAtLeast }, state);
}

/**
 * Gives a state with what an earlier one, or another look of the same time, has shown: what has crossed stays crossed.
 */
export function withEarlier(state: GuardState, earlier: GuardState): GuardState {
  const [one, other] = [state.worsePercentAtLeast, earlier.worsePercentAtLeast];
  return {
    ...state,
    most: Math.max(state.most, earlier.most),
    worsePercentAtLeast: one === null || other === null ? (one ?? other) : Math.max(one, other),
  };
}

/** Says whether a stored value is a state. Only this subgraph writes it, so its inner members are not checked. */
export function isGuardState(stored: unknown): stored is GuardState {
  return (
    isObject(stored) &&
    Array.isArray(stored['epochs']) &&
    typeof stored['most'] === 'number' &&
    typeof stored['watchedSince'] === 'number' &&
    (stored['calibration'] === null || isObject(stored['calibration']))
  );
}

/** Gives the stored state of a guard, or that before its first look. */
export function storedState(stored: unknown): GuardState {
  if (stored === undefined) return NOTHING_SEEN;
  if (!isGuardState(stored)) throw new Error('The stored evidence of a guard holds no state');
  return stored;
}
