import { expect, test } from '@jest/globals';
import { RULE_TYPES } from '../../model.ts';
import { picksArm, variantOf } from './rule-variant.ts';

test('a rule serves the variant that it names, or the usual one of its type', () => {
  expect(variantOf({ type: 'vehicle_target', variant: 'pilot' })).toBe('pilot');
  for (const variant of [null, undefined, '']) {
    expect(variantOf({ type: 'percentage_rollout', ...(variant !== undefined && { variant }) })).toBe('treatment');
    expect(variantOf({ type: 'vehicle_target', ...(variant !== undefined && { variant }) })).toBe('enabled');
  }
});

test('a rule picks vehicles for an arm where it serves an arm and is not a random assignment', () => {
  for (const type of RULE_TYPES) {
    const picks = type !== 'percentage_rollout' && type !== 'kill_switch';
    for (const variant of ['treatment', 'control']) {
      expect(picksArm({ type, variant, enabled: true })).toBe(picks);
      expect(picksArm({ type, variant, enabled: false })).toBe(false);
    }
    expect(picksArm({ type, variant: null, enabled: true })).toBe(false);
    expect(picksArm({ type, variant: 'enabled', enabled: true })).toBe(false);
  }
});
