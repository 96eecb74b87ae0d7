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
export type GuardAction = (typeof GUARD_ACTIONS)[number];

/** A release's guard as a client writes it. */
export interface ReleaseGuardDraft extends MetricGuardDraft {
  readonly action: GuardAction;
}

/** A release's guard with all its settings. */
export interface ReleaseGuard extends MetricGuard {
  readonly action: GuardAction;
}

/** The most guards of a policy. Each of them costs the metrics store a few statements every few seconds. */
export const MAX_RELEASE_GUARDS = 5;

/** Says whether stored JSON is guards. */
export const areReleaseGuards = is.listOf(
  is.shape({
    metric: is.string,
    worse: is.oneOf(GUARD_DIRECTIONS),
    maxWorsePercent: is.nullable(is.number),
    bound: is.nullable(is.number),
    confidenceLevel: is.number,
    minimumVehicles: is.number,
    silence: is.number,
    action: is.oneOf(GUARD_ACTIONS),
  }),
);

/** Gives guards as a client writes them. */
export const guardDrafts = (guards: readonly ReleaseGuard[]) =>
  guards.map(({ silence, ...guard }) => ({ ...guard, silence: durationText(silence) }) satisfies ReleaseGuardDraft);

/** Says whether two guards have the same kind of limit in the same direction of one metric. */
const isComparable = (one: MetricGuard, other: MetricGuard) =>
  one.metric === other.metric && one.worse === other.worse && (one.bound === null) === (other.bound === null);

/**
 * Reads the guards of a policy.
 *
 * @param path the dotted path of the list; faults are reported below it (`input.guards.1.metric`)
 * @throws BAD_USER_INPUT at the path of the first fault, also for a guard that differs from an earlier one only in its
 *   numbers; LIMIT_EXCEEDED for more than five
 */
export function readReleaseGuards(drafts: readonly ReleaseGuardDraft[], path: string): ReleaseGuard[] {
  if (drafts.length > MAX_RELEASE_GUARDS)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A policy may have at most ${MAX_RELEASE_GUARDS} guards.`, {
      ...{ field: path, limit: MAX_RELEASE_GUARDS },
    });
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

/** Says whether one of the guards of `before` is missing in `after`, and none there is as strict. */
export function areGuardsWeaker(before: readonly ReleaseGuard[], after: readonly ReleaseGuard[]): boolean {
  return before.some((guard) => !after.some((one) => isAsStrict(one, guard)));
}
