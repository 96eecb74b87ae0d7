/** The order in which rules are tried (docs/reference/evaluation.md), and the order once one of them has moved. */
import type { RuleType } from '../../generated/operations.ts';

/** The members of a rule that decide its place. */
export interface Ordered {
  readonly id: string;
  readonly type: RuleType;
  readonly priority: number;
}

/** The types in the order in which rules of one priority are tried. */
const TYPES: readonly RuleType[] = [
  'KILL_SWITCH',
  'VEHICLE_WHITELIST',
  'VEHICLE_TARGET',
  'USER_ATTRIBUTE',
  'PERCENTAGE_ROLLOUT',
];

/** Sorts rules as they are tried. */
export function inOrder<Rule extends Ordered>(rules: readonly Rule[]): Rule[] {
  const rank = ({ type }: Ordered) => TYPES.indexOf(type);
  return [...rules].sort((a, b) => b.priority - a.priority || rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
}

/** Gives the ids of the rules that have a place, in the order in which they are tried. */
export const triedOrder = (rules: readonly Ordered[]): string[] =>
  inOrder(rules.filter(({ type }) => type !== 'KILL_SWITCH')).map(({ id }) => id);

/**
 * Gives the ids of the rules in the order in which they are tried once a rule has moved by a place. Null where it is
 * the first or the last. Kill switches have no place: a pulled one comes first.
 */
export function movedOrder(rules: readonly Ordered[], id: string, by: 'up' | 'down'): string[] | null {
  const tried = triedOrder(rules);
  const from = tried.indexOf(id);
  const to = by === 'up' ? from - 1 : from + 1;
  const neighbour = tried[to];
  if (from < 0 || neighbour === undefined) return null;
  return tried.map((one, place) => (place === from ? neighbour : place === to ? id : one));
}
