import { describe, expect, test } from '@jest/globals';
import {
  NEW_COMPARISON,
  changedMembers,
  ruleDraftOf,
  hasUnknownMembers,
  ruleInputOf,
  inputOfRule,
  isHolding,
  mergedRule,
  newRuleDraft,
  vinsIn,
  type RuleDraft,
  type StoredRule,
} from './rule-draft.ts';

const VIN = 'KMHK281HGNU000001';

const stored = (type: StoredRule['type'], conditions: unknown, more: Partial<StoredRule> = {}): StoredRule => ({
  id: 'r1',
  type,
  priority: 100,
  enabled: true,
  conditions,
  value: null,
  variant: 'enabled',
  ...more,
});

/** Conditions of every type and form that the API accepts (docs/reference/evaluation.md). */
const CONDITIONS: readonly (readonly [StoredRule['type'], object])[] = [
  ['PERCENTAGE_ROLLOUT', { rollout_percentage: 12.5 }],
  [
    'PERCENTAGE_ROLLOUT',
    { rollout_percentage: 0, models: ['EV9'], sw_version: '>=2', regions: ['EU'], salt: 's', sticky: false },
  ],
  ['VEHICLE_TARGET', { models: ['Ioniq 5', 'EV9'], sw_version: '^2.5.0', regions: ['KR', 'EU'] }],
  ['VEHICLE_WHITELIST', { vins: [VIN, 'KMHK281HGNU000002'] }],
  ['USER_ATTRIBUTE', { attribute: 'tier', operator: 'in', values: ['premium', 1, true] }],
  ['USER_ATTRIBUTE', { attribute: 'age', operator: 'gte', values: [21] }],
  ['USER_ATTRIBUTE', { attribute: 'valet', exists: false }],
  [
    'USER_ATTRIBUTE',
    {
      all: [
        { attribute: 'age', operator: 'lt', values: [70] },
        { attribute: 'valet', exists: true },
      ],
    },
  ],
  ['KILL_SWITCH', { force_disabled: true, reason: 'INC-1' }],
  ['KILL_SWITCH', { force_disabled: false }],
];

describe('a rule in its form', () => {
  test.each(CONDITIONS)('%s %j becomes itself again', (type, conditions) => {
    const rule = stored(type, conditions);
    expect(hasUnknownMembers(rule)).toBe(false);
    const { input } = ruleInputOf(ruleDraftOf(rule, 'BOOLEAN'), 'BOOLEAN');
    expect(input).toEqual({ type, priority: 100, enabled: true, conditions, variant: 'enabled' });
    expect(input && changedMembers(inputOfRule(rule), input)).toEqual({});
  });

  test.each([
    ['STRING', 'sport', 'sport'],
    ['NUMBER', 2.5, '2.5'],
    ['BOOLEAN', false, 'false'],
    ['JSON', { mode: ['eco'] }, '{\n  "mode": [\n    "eco"\n  ]\n}'],
  ] as const)('shows a value of the type %s as people type it', (type, value, text) => {
    const draft = ruleDraftOf(stored('VEHICLE_TARGET', { regions: ['EU'] }, { value }), type);
    expect(draft.value).toEqual({ own: true, text });
    expect(ruleInputOf(draft, type).input?.value).toEqual(value);
    expect(ruleInputOf({ ...draft, value: { own: false, text } }, type).input).not.toHaveProperty('value');
  });

  test('takes away a value with null, which the API reads as none', () => {
    const rule = stored('VEHICLE_TARGET', { regions: ['EU'] }, { value: 'sport' });
    const draft = ruleDraftOf(rule, 'STRING');
    const { input } = ruleInputOf({ ...draft, value: { own: false, text: '' }, priority: '90' }, 'STRING');
    expect(input && changedMembers(inputOfRule(rule), input)).toEqual({ priority: 90, value: null });
  });

  test('names what cannot be sent by the paths that the control plane uses', () => {
    const of = (type: StoredRule['type'], more: object, flag: 'NUMBER' | 'JSON' = 'NUMBER') => {
      const draft: RuleDraft = { ...ruleDraftOf(stored(type, {}), flag), ...more };
      return ruleInputOf(draft, flag).faults;
    };
    const { conditions } = ruleDraftOf(stored('USER_ATTRIBUTE', {}), 'NUMBER');
    expect(of('PERCENTAGE_ROLLOUT', { priority: '1.5' })).toEqual({
      priority: 'priority',
      'conditions.rollout_percentage': 'percentage',
    });
    expect(of('VEHICLE_TARGET', { value: { own: true, text: 'many' } })).toEqual({ value: 'number' });
    expect(of('VEHICLE_TARGET', { value: { own: true, text: '{"a":' } }, 'JSON')).toEqual({ value: 'json' });
    expect(of('VEHICLE_TARGET', { value: { own: true, text: 'null' } }, 'JSON')).toEqual({ value: 'null' });
    const wrong = { attribute: 'age', operator: 'eq', values: [{ kind: 'number', text: '' }] } as const;
    expect(of('USER_ATTRIBUTE', { conditions: { ...conditions, comparisons: [wrong] } })).toEqual({
      'conditions.values.0': 'number',
    });
    expect(of('USER_ATTRIBUTE', { conditions: { ...conditions, comparisons: [NEW_COMPARISON, wrong] } })).toEqual({
      'conditions.all.1.values.0': 'number',
    });
  });

  test('shows a rule that it cannot read whole, and says so', () => {
    expect(hasUnknownMembers(stored('VEHICLE_TARGET', { regions: ['EU'], trim: ['GT'] }))).toBe(true);
    expect(hasUnknownMembers(stored('VEHICLE_TARGET', null))).toBe(true);
  });

  test('is new behind the others, and holds its flag as a kill switch alone', () => {
    expect(newRuleDraft('VEHICLE_TARGET', []).priority).toBe('100');
    expect(newRuleDraft('VEHICLE_TARGET', [stored('VEHICLE_TARGET', {}, { priority: 40 })]).priority).toBe('30');
    expect(isHolding(ruleDraftOf(stored('KILL_SWITCH', { force_disabled: true }), 'BOOLEAN'))).toBe(true);
    expect(isHolding(ruleDraftOf(stored('KILL_SWITCH', { force_disabled: true }, { enabled: false }), 'BOOLEAN'))).toBe(
      false,
    );
    expect(isHolding(newRuleDraft('VEHICLE_TARGET', []))).toBe(false);
  });

  test('reads VINs from lines, commas and blanks', () => {
    expect(vinsIn(` ${VIN},\nA;B  C\r\n`)).toEqual([VIN, 'A', 'B', 'C']);
  });
});

test('VINs that two people have listed stay beside each other, and what one has removed is gone', () => {
  const listed = (vins: readonly string[]) => ruleDraftOf(stored('VEHICLE_WHITELIST', { vins }), 'BOOLEAN');
  const merged = mergedRule(listed(['A', 'B']), listed(['A', 'B', 'C']), listed(['B', 'D']));
  expect(vinsIn(merged.conditions.vins)).toEqual(['B', 'D', 'C']);
  expect(mergedRule(listed(['A']), listed(['A', 'B']), listed(['A'])).conditions.vins).toBe('A\nB');
});
