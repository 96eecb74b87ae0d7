/**
 * The guards of releases: metrics by which the vehicles with the new content are compared with the others. Source:
 * releases.md, "The health gate"; docs/decisions/flags/release-guards.md.
 */
import { FleetFlagError, badInput } from '../errors.ts';
import { is } from '../json/shape.ts';
import { durationText } from '../validation/duration.ts';
import {
  GUARD_DIRECTIONS,
  readMetricGuard,
  type MetricGuard,
  type MetricGuardDraft,
} from '../rollouts/rollout-guard.ts';

/** The effects of a crossed limit: it halts the release, or holds it at its stage. */
export const GUARD_ACTIONS = ['halt', 'hold'] as const;
/** The effect of a crossed limit. */
export type GuardAction = (typeof GUARD_ACTIONS)[number];

/** A release's guard as a client writes it. */
export interface ReleaseGuardDraft extends MetricGuardDraft {
  readonly action: GuardAction;
}

/** A release's guard with all its settings. */
export interface ReleaseGuard extends MetricGuard {
  readonly action: GuardAction;
}

/** A guard that watches a release: one of its policy, or one that a person has added to this release alone. */
export interface WatchingGuard extends ReleaseGuard {
  /** The reason for which it was added; absent for a guard of the policy. */
  readonly reason?: string | undefined;
}

/**
 * The most guards of a policy, and the most that are added to a release. Each of them costs the metrics store a few
 * statements every few seconds.
 */
export const MAX_RELEASE_GUARDS = 5;

const STORED_GUARD = {
  metric: is.string,
  worse: is.oneOf(GUARD_DIRECTIONS),
  maxWorsePercent: is.nullable(is.number),
  bound: is.nullable(is.number),
  confidenceLevel: is.number,
  minimumVehicles: is.number,
  silence: is.number,
  action: is.oneOf(GUARD_ACTIONS),
};

/** Says whether stored JSON is guards of a policy. */
export const areReleaseGuards = is.listOf(is.shape(STORED_GUARD));

/** Says whether stored JSON is guards of a release. */
export const areWatchingGuards = is.listOf(is.shape({ ...STORED_GUARD, reason: is.optional(is.string) }));

/** Gives the guards that people have added to a release. */
export const addedGuards = (guards: readonly WatchingGuard[]) => guards.filter(({ reason }) => reason !== undefined);

/** Gives guards as a client writes them. */
export const guardDrafts = (guards: readonly ReleaseGuard[]) =>
  guards.map(({ silence, ...guard }) => ({ ...guard, silence: durationText(silence) }) satisfies ReleaseGuardDraft);

/** Says whether two guards have the same kind of limit in the same direction of one metric. */
const isComparable = (one: MetricGuard, other: MetricGuard) =>
  one.metric === other.metric && one.worse === other.worse && (one.bound === null) === (other.bound === null);

/**
 * Reads the guards of a policy, or those that are added to a release.
 *
 * @param path the dotted path of the list; faults are reported below it (`input.guards.1.metric`)
 * @param earlier the number of guards that count together with these
 * @throws BAD_USER_INPUT at the path of the first fault, also for a guard that differs from an earlier one only in its
 *   numbers; LIMIT_EXCEEDED for more than five
 */
export function readReleaseGuards(drafts: readonly ReleaseGuardDraft[], path: string, earlier = 0): ReleaseGuard[] {
  if (earlier + drafts.length > MAX_RELEASE_GUARDS)
    throw new FleetFlagError(
      'LIMIT_EXCEEDED',
      `A policy may have at most ${MAX_RELEASE_GUARDS} guards, and as many may be added to a release.`,
      { field: path, limit: MAX_RELEASE_GUARDS },
    );
  const guards = drafts.map((draft, index) => ({
    ...readMetricGuard(draft, `${path}.${index}`),
    action: draft.action,
  }));
  for (const [index, guard] of guards.entries()) {
    const earlier = guards.slice(0, index);
    if (earlier.some((one) => isComparable(one, guard) && one.action === guard.action))
      throw badInput(
        `${path}.${index}`,
        `Another guard of ${guard.metric} has the same direction, kind of limit and action; keep the stricter of them.`,
      );
  }
  return guards;
}

/** Says whether whatever `before` finds is found by `after` as early, and has as much effect. */
function isAsStrict(after: ReleaseGuard, before: ReleaseGuard): boolean {
  const sign = after.worse === 'higher' ? 1 : -1;
  return (
    isComparable(after, before) &&
    (after.maxWorsePercent ?? 0) <= (before.maxWorsePercent ?? 0) &&
    sign * (after.bound ?? 0) <= sign * (before.bound ?? 0) &&
    after.confidenceLevel <= before.confidenceLevel &&
    after.minimumVehicles >= before.minimumVehicles &&
    after.silence <= before.silence &&
    (after.action === 'halt' || before.action === 'hold')
  );
}

/**
 * Reads guards that a person adds to a release, beside those that it has. None of those is replaced, so that adding
 * makes it only stricter.
 *
 * @param present the guards of the release, of its policy and added ones
 * @throws as `readReleaseGuards`; LIMIT_EXCEEDED for more than five added guards in all; BAD_USER_INPUT for none, and
 *   for one that finds nothing which a present guard does not find as early
 */
export function readAddedGuards(
  drafts: readonly ReleaseGuardDraft[],
  present: readonly WatchingGuard[],
  path: string,
): ReleaseGuard[] {
  if (drafts.length === 0) throw badInput(path, 'Name at least one guard.');
  const guards = readReleaseGuards(drafts, path, addedGuards(present).length);
  for (const [index, guard] of guards.entries())
    if (present.some((one) => isAsStrict(one, guard)))
      throw badInput(
        `${path}.${index}`,
        `A guard of ${guard.metric} that the release has is as strict; an added one must find more, or find it earlier.`,
      );
  return guards;
}

/** Says whether one of the guards of `before` is missing in `after`, and none there is as strict. */
export function areGuardsWeaker(before: readonly ReleaseGuard[], after: readonly ReleaseGuard[]): boolean {
  return before.some((guard) => !after.some((one) => isAsStrict(one, guard)));
}
