/** The forms of two people about one thing, made one: each keeps what only they have touched. */
import { isMembers, isSameJson, itemsOf } from '../json.ts';

/** Gives a list with what somebody has added to it and taken from it, on top of what somebody else has. */
export function mergedList<Item>(base: readonly Item[], mine: readonly Item[], now: readonly Item[]): Item[] {
  const kept = now.filter((item) => mine.includes(item) || !base.includes(item));
  return [...kept, ...mine.filter((item) => !base.includes(item) && !now.includes(item))];
}

const isList = (value: unknown): boolean =>
  Array.isArray(value) && itemsOf(value).every((item) => typeof item === 'string');

function merged(base: unknown, mine: unknown, now: unknown): unknown {
  if (isSameJson(base, mine)) return now;
  if (isSameJson(base, now)) return mine;
  if (isMembers(base) && isMembers(mine) && isMembers(now)) return mergedDraft(base, mine, now);
  // A member that is more than a name, such as a comparison, cannot be taken apart: the person at the form decides.
  return isList(base) && isList(mine) && isList(now) ? mergedList(itemsOf(base), itemsOf(mine), itemsOf(now)) : mine;
}

/**
 * Gives what somebody has typed on top of what somebody else has changed meanwhile, member by member and name by name.
 * Where both have changed the same, what was typed stays.
 */
export function mergedDraft<Draft extends object>(base: Draft, mine: Draft, now: Draft): Draft {
  const members = Object.entries(mine).map(([name, value]): [string, unknown] => [
    name,
    merged(Reflect.get(base, name), value, Reflect.get(now, name)),
  ]);
  return { ...now, ...Object.fromEntries(members) };
}
