/** A rollout and what its guard has seen, as lines over time. */
import type { GuardHistoryQuery, RolloutPartsFragment } from '../generated/operations.ts';

export type GuardLook = NonNullable<
  NonNullable<NonNullable<GuardHistoryQuery['flag']>['rules'][number]['rollout']>['guardHistory']
>[number];

const FINAL = ['COMPLETED', 'CANCELLED', 'PULLED_BACK'];

/** Whether nothing happens to a rollout from now on. */
export const isFinal = ({ status }: Pick<RolloutPartsFragment, 'status'>) => FINAL.includes(status);

/** Values at times, for a chart. Milliseconds since 1970. */
interface OverTime<Name extends string> {
  readonly times: readonly number[];
  readonly values: Readonly<Record<Name, readonly (number | null)[]>>;
}

type Point = readonly [time: number, value: number];

/** Gives what holds at each time: the value of the latest point; null before the first one and after `until`. */
function held(points: readonly Point[], times: readonly number[], until: number): (number | null)[] {
  return times.map((time) => {
    if (time > until) return null;
    return points.findLast(([from]) => from <= time)?.[1] ?? null;
  });
}

const timesOf = (...lists: readonly (readonly Point[])[]) =>
  [...new Set(lists.flat().map(([time]) => time))].sort((one, other) => one - other);

/**
 * Gives a rollout's share of the vehicles over time, as it was and as it is planned. The share from before the first
 * step is known of a guarded rollout, and of one whose first step is still to come.
 *
 * @param now milliseconds since 1970
 */
export function shareOverTime(
  { createdAt, updatedAt, status, currentPercentage, steps, guard }: RolloutPartsFragment,
  now: number,
): OverTime<'applied' | 'planned'> {
  const final = isFinal({ status });
  const end = Math.max(final ? Date.parse(updatedAt) : now, Date.parse(createdAt));
  const raised = steps.flatMap(({ appliedAt, percentage }): Point[] =>
    appliedAt === null || appliedAt === undefined ? [] : [[Date.parse(appliedAt), percentage]],
  );
  const before = guard?.initialPercentage ?? (raised.length === 0 ? currentPercentage : null);
  const applied: Point[] = [
    ...(before === null ? [] : [[Date.parse(createdAt), before] as const]),
    ...raised,
    // What somebody set by hand, or the guard has pulled back.
    [Math.max(end, raised.at(-1)?.[0] ?? 0), currentPercentage],
  ];
  const toCome = final ? [] : steps.filter(({ appliedAt }) => appliedAt === null || appliedAt === undefined);
  const planned: Point[] = [];
  for (const { at, percentage } of toCome) planned.push([Math.max(Date.parse(at), end), percentage]);
  if (planned.length > 0) {
    const first = applied[0]?.[0] ?? end;
    const last = planned.at(-1) ?? [end, currentPercentage];
    planned.unshift([end, currentPercentage]);
    // The last step needs a width to be seen.
    planned.push([last[0] + (last[0] - first) / 12, last[1]]);
  }
  const times = timesOf(applied, planned);
  return {
    times,
    values: {
      applied: held(applied, times, applied.at(-1)?.[0] ?? end),
      planned: held(planned, times, Number.POSITIVE_INFINITY),
    },
  };
}

/** Gives what a guard has seen: against control in percent, or for a bound the mean with the feature. */
export function guardOverTime(
  looks: readonly GuardLook[],
  { guard, guardStatus }: Pick<RolloutPartsFragment, 'guard' | 'guardStatus'>,
): OverTime<'seen' | 'atLeast' | 'limit'> {
  const newest =
    guardStatus === null || guardStatus === undefined ? [] : [{ ...guardStatus, at: guardStatus.computedAt }];
  const last = looks.at(-1)?.at;
  const all = [...looks, ...newest.filter(({ at }) => last === undefined || Date.parse(at) > Date.parse(last))];
  const hasBound = guard?.bound !== null && guard?.bound !== undefined;
  const limit = (hasBound ? guard.bound : guard?.maxWorsePercent) ?? null;
  return {
    times: all.map(({ at }) => Date.parse(at)),
    values: {
      seen: all.map((look) => (hasBound ? look.treatmentMean : look.worsePercent) ?? null),
      atLeast: all.map((look) => (hasBound ? null : (look.worsePercentAtLeast ?? null))),
      limit: all.map(() => limit),
    },
  };
}
