import { describe, expect, it } from '@jest/globals';
import { RULE_TYPES, type RuleType } from '../../model.ts';
import { compareRules } from './rule-order.ts';

const rule = (id: string, type: RuleType = 'vehicle_target', priority = 100) => ({ id, type, priority });

describe('compareRules', () => {
  it('puts the higher priority first, then the type, then the lower id', () => {
    const sorted = [
      rule('c', 'kill_switch', 1),
      rule('b'),
      rule('a'),
      rule('z', 'kill_switch'),
      rule('y', 'percentage_rollout', 101),
    ].sort(compareRules);
    expect(sorted.map(({ id }) => id)).toEqual(['y', 'z', 'a', 'b', 'c']);
  });

  it('orders rules of equal priority by their types, in the order of RULE_TYPES', () => {
    const sorted = RULE_TYPES.toReversed()
      .map((type, index) => rule(String(index), type))
      .sort(compareRules);
    expect(sorted.map(({ type }) => type)).toEqual(RULE_TYPES);
  });

  it('gives opposite signs for a pair in either order, and 0 for a rule and itself', () => {
    expect(compareRules(rule('a'), rule('b'))).toBe(-1);
    expect(compareRules(rule('b'), rule('a'))).toBe(1);
    expect(compareRules(rule('a', 'vehicle_target', 1), rule('a', 'vehicle_target', 2))).toBe(1);
    expect(compareRules(rule('a'), rule('a'))).toBe(0);
  });
});
