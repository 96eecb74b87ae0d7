import { describe, expect, it } from '@jest/globals';
import { FleetFlagError } from '../errors.ts';
import type { FlagType, JsonValue, RuleType } from '../model.ts';
import { validateRuleInput, type RuleDraft } from './validate-rule.ts';

const VIN = 'KMH1234567890ABCD';
const OTHER_VIN = 'KMH9876543210ZYXW';

function refusal(draft: RuleDraft, flagType: FlagType = 'boolean'): Pick<FleetFlagError, 'code' | 'details'> {
  try {
    validateRuleInput(draft, flagType, 'input');
  } catch (error) {
    if (error instanceof FleetFlagError) return { code: error.code, details: error.details };
    throw error;
  }
  throw new Error('not refused');
}

const at = (field: string) => ({ code: 'BAD_USER_INPUT', details: { field } });
const over = (field: string, limit: number) => ({ code: 'LIMIT_EXCEEDED', details: { field, limit } });

function vins(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `KMH${String(index).padStart(14, '0')}`);
}

describe('validateRuleInput', () => {
  it('completes a rule with the default priority, enabled, without value and variant', () => {
    expect(validateRuleInput({ type: 'vehicle_whitelist', conditions: { vins: [VIN] } }, 'boolean', 'input')).toEqual({
      type: 'vehicle_whitelist',
      priority: 100,
      enabled: true,
      conditions: { vins: [VIN] },
      value: null,
      variant: null,
    });
  });

  it('keeps what is given', () => {
    const draft = {
      type: 'percentage_rollout',
      priority: -5,
      enabled: false,
      conditions: { rollout_percentage: 0.5 },
      value: 'eco',
      variant: 'arm-b_2.0',
    };
    expect(validateRuleInput(draft, 'string', 'input')).toEqual(draft);
  });

  it('takes null for absent', () => {
    const rule = validateRuleInput(
      {
        type: 'kill_switch',
        priority: null,
        enabled: null,
        conditions: { force_disabled: true },
        value: null,
        variant: null,
      },
      'boolean',
      'input',
    );
    expect(rule).toMatchObject({ priority: 100, enabled: true, value: null, variant: null });
  });

  it('refuses null as the value of a JSON flag, which it would otherwise be taken for', () => {
    const draft = { type: 'vehicle_whitelist', conditions: { vins: [VIN] } };
    expect(() => validateRuleInput({ ...draft, value: null }, 'json', 'input')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'input.value' } }),
    );
    expect(validateRuleInput(draft, 'json', 'input').value).toBeNull();
    expect(validateRuleInput({ ...draft, value: { a: null } }, 'json', 'input').value).toEqual({ a: null });
  });

  it('refuses a model with the name of the partition of all other models', () => {
    for (const [type, more] of [
      ['vehicle_target', {}],
      ['percentage_rollout', { rollout_percentage: 5 }],
    ] as const)
      expect(() =>
        validateRuleInput({ type, conditions: { ...more, models: ['EV9', ' *'] } }, 'json', 'input'),
      ).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: 'input.conditions.models.1' } }));
  });

  it('stores models and regions without the blanks around them', () => {
    const conditions = { regions: ['EU ', 'NA'], sw_version: ' >=2 ', models: ['\tIoniq 6'] };
    expect(validateRuleInput({ type: 'vehicle_target', conditions }, 'json', 'input').conditions).toEqual({
      regions: ['EU', 'NA'],
      sw_version: ' >=2 ',
      models: ['Ioniq 6'],
    });
    const rollout = { rollout_percentage: 5, models: ['Ioniq 6'], regions: ['KR\n'], salt: ' s ' };
    expect(validateRuleInput({ type: 'percentage_rollout', conditions: rollout }, 'json', 'input').conditions).toEqual({
      ...rollout,
      regions: ['KR'],
    });
    expect(() =>
      validateRuleInput({ type: 'vehicle_target', conditions: { regions: ['EU', ' EU'] } }, 'json', 'input'),
    ).toThrow(expect.objectContaining({ details: { field: 'input.conditions.regions.1' } }));
  });

  const whitelist = { type: 'vehicle_whitelist', conditions: { vins: [VIN] } };
  it.each<[string, RuleDraft, string]>([
    ['an unknown type', { type: 'lottery', conditions: {} }, 'input.type'],
    ['a fractional priority', { ...whitelist, priority: 1.5 }, 'input.priority'],
    ['a priority over 32 bits', { ...whitelist, priority: 2 ** 31 }, 'input.priority'],
    ['a priority that is text', { ...whitelist, priority: '1' }, 'input.priority'],
    ['enabled that is no boolean', { ...whitelist, enabled: 'yes' }, 'input.enabled'],
    ['a value of another type', { ...whitelist, value: 'true' }, 'input.value'],
    ['a variant with a blank', { ...whitelist, variant: 'arm b' }, 'input.variant'],
    ['an empty variant', { ...whitelist, variant: '' }, 'input.variant'],
    ['a variant of 51 characters', { ...whitelist, variant: 'x'.repeat(51) }, 'input.variant'],
    ['a variant that is no text', { ...whitelist, variant: 1 }, 'input.variant'],
    ['missing conditions', { type: 'vehicle_whitelist', conditions: undefined }, 'input.conditions'],
  ])('refuses %s', (_, draft, field) => {
    expect(refusal(draft)).toEqual(at(field));
  });
});

describe('conditions as written', () => {
  it.each<[RuleType, JsonValue]>([
    ['percentage_rollout', { rollout_percentage: 75, sticky: true }],
    ['percentage_rollout', { rollout_percentage: 0 }],
    [
      'percentage_rollout',
      {
        rollout_percentage: 100,
        sticky: false,
        salt: 'blau-größe',
        models: ['Ioniq 6'],
        sw_version: '^2',
        regions: ['EU'],
      },
    ],
    ['vehicle_target', { models: ['Ioniq 5 Gen2', 'Ioniq 6'], sw_version: '>= 2.5.0', regions: ['NA', 'EU'] }],
    ['vehicle_target', { regions: ['NA'] }],
    ['vehicle_whitelist', { vins: [VIN, OTHER_VIN] }],
    ['kill_switch', { force_disabled: true, reason: 'Safety issue' }],
    ['kill_switch', { force_disabled: false }],
    ['kill_switch', { force_disabled: true, reason: 'x'.repeat(1_000) }],
    ['user_attribute', { attribute: 'subscription', operator: 'in', values: ['premium'] }],
    ['user_attribute', { attribute: 'a.b', operator: 'eq', values: [''] }],
    ['user_attribute', { attribute: 'age', operator: 'gte', values: [18] }],
    ['user_attribute', { attribute: 'map', operator: 'semver', values: ['>=2', '1.x'] }],
    ['user_attribute', { attribute: 'trial', operator: 'exists' }],
    ['user_attribute', { attribute: 'trial', operator: 'exists', values: [false] }],
    ['user_attribute', { attribute: 'trial', exists: false }],
    [
      'user_attribute',
      {
        all: [
          { attribute: 'a', operator: 'ne', values: [true] },
          { attribute: 'b', exists: true },
        ],
      },
    ],
  ])('accepts %s %j unchanged', (type, conditions) => {
    expect(validateRuleInput({ type, conditions }, 'boolean', 'input').conditions).toEqual(conditions);
  });

  it.each<[RuleType, unknown, string]>([
    ['percentage_rollout', null, ''],
    ['percentage_rollout', [], ''],
    ['percentage_rollout', {}, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: -0.001 }, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: 100.001 }, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: NaN }, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: Infinity }, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: '50' }, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: null }, '.rollout_percentage'],
    ['percentage_rollout', { rollout_percentage: 50, percent: 50 }, '.percent'],
    ['percentage_rollout', { rollout_percentage: 50, sticky: 'no' }, '.sticky'],
    ['percentage_rollout', { rollout_percentage: 50, salt: '' }, '.salt'],
    ['percentage_rollout', { rollout_percentage: 50, salt: 7 }, '.salt'],
    ['percentage_rollout', { rollout_percentage: 50, models: [] }, '.models'],
    ['percentage_rollout', { rollout_percentage: 50, sw_version: '>=3 <2' }, '.sw_version'],
    ['vehicle_target', {}, ''],
    ['vehicle_target', { models: 'Ioniq 6' }, '.models'],
    ['vehicle_target', { models: ['Ioniq 6', 6] }, '.models.1'],
    ['vehicle_target', { models: ['Ioniq 6', ' '] }, '.models.1'],
    ['vehicle_target', { regions: ['EU', 'NA', 'EU'] }, '.regions.2'],
    ['vehicle_target', { regions: ['EU'], vins: [VIN] }, '.vins'],
    ['vehicle_target', { sw_version: 'newest' }, '.sw_version'],
    ['vehicle_target', { sw_version: 2.5 }, '.sw_version'],
    ['vehicle_target', { sw_version: '' }, '.sw_version'],
    ['vehicle_whitelist', {}, '.vins'],
    ['vehicle_whitelist', { vins: [] }, '.vins'],
    ['vehicle_whitelist', { vins: VIN }, '.vins'],
    ['vehicle_whitelist', { vins: [VIN, OTHER_VIN, VIN.toLowerCase()] }, '.vins.2'],
    ['vehicle_whitelist', { vins: ['KMH1234567890ABCI'] }, '.vins.0'],
    ['vehicle_whitelist', { vins: [VIN.slice(1)] }, '.vins.0'],
    ['vehicle_whitelist', { vins: [12345678901234567] }, '.vins.0'],
    ['vehicle_whitelist', { vins: [VIN, OTHER_VIN, VIN] }, '.vins.2'],
    ['vehicle_whitelist', { digests: ['AAAAAAAAAAA'] }, '.digests'],
    ['vehicle_whitelist', { vins: [VIN], note: 'x' }, '.note'],
    ['kill_switch', {}, '.force_disabled'],
    ['kill_switch', { force_disabled: 'true' }, '.force_disabled'],
    ['kill_switch', { force_disabled: true, reason: '' }, '.reason'],
    ['kill_switch', { force_disabled: true, reason: 'x'.repeat(1_001) }, '.reason'],
    ['kill_switch', { force_disabled: true, until: 'noon' }, '.until'],
    ['user_attribute', 'premium', ''],
    ['user_attribute', {}, '.attribute'],
    ['user_attribute', { attribute: '', operator: 'eq', values: [1] }, '.attribute'],
    ['user_attribute', { attribute: 'a', values: [1] }, '.operator'],
    ['user_attribute', { attribute: 'a', operator: 'matches', values: ['x'] }, '.operator'],
    ['user_attribute', { attribute: 'a', operator: 'constructor', values: ['x'] }, '.operator'],
    ['user_attribute', { attribute: 'a', operator: 7, values: ['x'] }, '.operator'],
    ['user_attribute', { attribute: 'a', operator: 'eq' }, '.values'],
    ['user_attribute', { attribute: 'a', operator: 'eq', values: 'x' }, '.values'],
    ['user_attribute', { attribute: 'a', operator: 'eq', values: [1, 2] }, '.values'],
    ['user_attribute', { attribute: 'a', operator: 'eq', values: [null] }, '.values.0'],
    ['user_attribute', { attribute: 'a', operator: 'eq', values: [1], value: 1 }, '.value'],
    ['user_attribute', { attribute: 'a', operator: 'in', values: [] }, '.values'],
    ['user_attribute', { attribute: 'a', operator: 'in', values: ['x', ['y']] }, '.values.1'],
    ['user_attribute', { attribute: 'a', operator: 'not_in', values: ['x', 'x'] }, '.values.1'],
    ['user_attribute', { attribute: 'a', operator: 'lt', values: [true] }, '.values.0'],
    ['user_attribute', { attribute: 'a', operator: 'gt', values: [1, 2] }, '.values'],
    ['user_attribute', { attribute: 'a', operator: 'contains', values: [1] }, '.values.0'],
    ['user_attribute', { attribute: 'a', operator: 'starts_with', values: [''] }, '.values.0'],
    ['user_attribute', { attribute: 'a', operator: 'semver', values: ['>=2', '>=3 <2'] }, '.values.1'],
    ['user_attribute', { attribute: 'a', operator: 'exists', values: ['yes'] }, '.values.0'],
    ['user_attribute', { attribute: 'a', operator: 'exists', values: [true, false] }, '.values'],
    ['user_attribute', { attribute: 'a', exists: 'no' }, '.exists'],
    ['user_attribute', { attribute: 'a', exists: true, operator: 'eq' }, '.operator'],
    ['user_attribute', { exists: true }, '.attribute'],
    ['user_attribute', { all: [] }, '.all'],
    ['user_attribute', { all: {} }, '.all'],
    ['user_attribute', { all: [{ attribute: 'a', exists: true }, { all: [] }] }, '.all.1.all'],
    ['user_attribute', { all: [{ attribute: 'a', operator: 'eq', values: [1] }], any: [] }, '.any'],
    ['user_attribute', { all: [{ attribute: 'a', operator: 'in', values: [1, {}] }] }, '.all.0.values.1'],
    ['user_attribute', { attribute: 'a', operator: 'eq', values: ['\0'] }, '.values.0'],
    ['user_attribute', { attribute: 'a', operator: 'eq', values: ['\ud800'] }, '.values.0'],
    ['user_attribute', { '\0': 1 }, ''],
    ['user_attribute', { attribute: undefined }, '.attribute'],
  ])('refuses %s %j at its path', (type, conditions, below) => {
    expect(refusal({ type, conditions })).toEqual(at(`input.conditions${below}`));
  });

  it('refuses nesting that would exhaust a stack', () => {
    const deep = JSON.parse('{"a":'.repeat(50_000) + '1' + '}'.repeat(50_000)) as JsonValue;
    expect(refusal({ type: 'user_attribute', conditions: deep })).toEqual(at(`input.conditions${'.a'.repeat(32)}`));
  });

  it('accepts 10,000 VINs and no more', () => {
    expect(
      validateRuleInput({ type: 'vehicle_whitelist', conditions: { vins: vins(10_000) } }, 'boolean', 'input').enabled,
    ).toBe(true);
    expect(refusal({ type: 'vehicle_whitelist', conditions: { vins: vins(10_001) } })).toEqual(
      over('input.conditions.vins', 10_000),
    );
  });

  it('accepts 100 comparisons and no more', () => {
    const all = (count: number) => ({
      all: Array.from({ length: count }, (_, index) => ({ attribute: `a${index}`, exists: true })),
    });
    expect(validateRuleInput({ type: 'user_attribute', conditions: all(100) }, 'boolean', 'input').enabled).toBe(true);
    expect(refusal({ type: 'user_attribute', conditions: all(101) })).toEqual(over('input.conditions.all', 100));
  });

  it('accepts 256 KB of UTF-8 and not a byte more', () => {
    const bytes = (count: number) => ({
      models: ['é' + 'x'.repeat(count - Buffer.byteLength(JSON.stringify({ models: ['é'] })))],
    });
    expect(validateRuleInput({ type: 'vehicle_target', conditions: bytes(262_144) }, 'boolean', 'input').enabled).toBe(
      true,
    );
    expect(refusal({ type: 'vehicle_target', conditions: bytes(262_145) })).toEqual(over('input.conditions', 262_144));
  });
});
