import { expect, test } from '@jest/globals';
import { inOrder, movedOrder, type Ordered } from './rule-order.ts';

const rule = (id: string, type: Ordered['type'], priority: number): Ordered => ({ id, type, priority });
const rules = [
  rule('last', 'PERCENTAGE_ROLLOUT', 5),
  rule('second', 'VEHICLE_TARGET', 5),
  rule('switch', 'KILL_SWITCH', 1_000_000),
  rule('first', 'PERCENTAGE_ROLLOUT', 7),
];

test('rules are tried by priority, and those of one priority by type', () => {
  expect(inOrder(rules).map(({ id }) => id)).toEqual(['switch', 'first', 'second', 'last']);
});

test('a move exchanges a rule with its neighbour, and names every rule but the kill switches', () => {
  expect(movedOrder(rules, 'second', 'up')).toEqual(['second', 'first', 'last']);
  expect(movedOrder(rules, 'second', 'down')).toEqual(['first', 'last', 'second']);
});

test('the first, the last, a kill switch and an unknown rule do not move', () => {
  expect(movedOrder(rules, 'first', 'up')).toBeNull();
  expect(movedOrder(rules, 'last', 'down')).toBeNull();
  expect(movedOrder(rules, 'switch', 'down')).toBeNull();
  expect(movedOrder(rules, 'unknown', 'up')).toBeNull();
});
