import { describe, expect, test } from '@jest/globals';
import type { FlagDefinition, JsonValue, RuleDefinition, RuleType } from '../model.ts';
import { explainFlag } from './explain.ts';

const VIN = 'KMHK281HGNU000001';
const VEHICLE = { vin: VIN, model: 'EV9', swVersion: '2.5.0', region: 'EU', attributes: { plan: 'basic', __proto: 1 } };

const rule = (id: string, priority: number, type: RuleType, conditions: JsonValue): RuleDefinition => ({
  id,
  type,
  priority,
  enabled: true,
  conditions,
});
const flag = (rules: readonly RuleDefinition[], change: Partial<FlagDefinition> = {}): FlagDefinition => ({
  key: 'lane_keep',
  environment: 'production',
  type: 'boolean',
  safetyLevel: 'ASIL-B',
  enabled: true,
  defaultValue: false,
  revision: 4,
  rules,
  ...change,
});

describe('an explanation', () => {
  test('shows each condition of each rule beside what the vehicle has, in the order of trying', () => {
    const explained = explainFlag(
      flag([
        rule('rollout', 1, 'percentage_rollout', { rollout_percentage: 100, regions: ['EU'] }),
        rule('list', 9, 'vehicle_whitelist', { vins: ['KMHK281HGNU000002', 'KMHK281HGNU000003'] }),
        rule('target', 8, 'vehicle_target', { models: ['EV9'], regions: ['KR'], sw_version: '>=2' }),
        rule('plan', 7, 'user_attribute', {
          all: [
            { attribute: 'plan', operator: 'in', values: ['premium'] },
            { attribute: 'beta', exists: false },
          ],
        }),
        rule('last', 0, 'user_attribute', { attribute: 'plan', operator: 'exists' }),
        { ...rule('off', 6, 'vehicle_target', { models: ['EV9'] }), enabled: false },
        rule('broken', 5, 'vehicle_target', { colour: 'red' }),
        rule('record', 4, 'kill_switch', { force_disabled: false }),
      ]),
      VEHICLE,
    );
    expect(explained.evaluation).toMatchObject({ value: true, ruleId: 'rollout', reason: 'SPLIT', revision: 4 });
    const bucket = explained.rules[6]?.checks[1]?.actual;
    expect(bucket).toEqual(expect.any(Number));
    expect(explained.rules.map(({ rule: { id }, ...rest }) => ({ id, ...rest }))).toEqual([
      {
        id: 'list',
        outcome: 'NOT_MATCHED',
        checks: [{ about: 'VIN', attribute: null, expected: 2, actual: VIN, holds: false }],
      },
      {
        id: 'target',
        outcome: 'NOT_MATCHED',
        checks: [
          { about: 'MODEL', attribute: null, expected: ['EV9'], actual: 'EV9', holds: true },
          { about: 'REGION', attribute: null, expected: ['KR'], actual: 'EU', holds: false },
          { about: 'SW_VERSION', attribute: null, expected: '>=2', actual: '2.5.0', holds: true },
        ],
      },
      {
        id: 'plan',
        outcome: 'NOT_MATCHED',
        checks: [
          {
            about: 'ATTRIBUTE',
            attribute: 'plan',
            expected: { operator: 'in', values: ['premium'] },
            actual: 'basic',
            holds: false,
          },
          { about: 'ATTRIBUTE', attribute: 'beta', expected: { exists: false }, actual: null, holds: true },
        ],
      },
      { id: 'off', outcome: 'DISABLED', checks: [] },
      { id: 'broken', outcome: 'UNREADABLE', checks: [] },
      { id: 'record', outcome: 'NOT_MATCHED', checks: [] },
      {
        id: 'rollout',
        outcome: 'DECIDED',
        checks: [
          { about: 'REGION', attribute: null, expected: ['EU'], actual: 'EU', holds: true },
          { about: 'BUCKET', attribute: null, expected: 100, actual: bucket, holds: true },
        ],
      },
      {
        id: 'last',
        outcome: 'NOT_REACHED',
        checks: [
          { about: 'ATTRIBUTE', attribute: 'plan', expected: { operator: 'exists' }, actual: 'basic', holds: true },
        ],
      },
    ]);
  });

  test('says that a killed flag was settled by its kill switch, and a disabled one by no rule', () => {
    const rules = [
      rule('target', 9, 'vehicle_target', { models: ['EV9'] }),
      rule('kill', 1, 'kill_switch', { force_disabled: true, reason: 'recall' }),
    ];
    const outcomes = (change: Partial<FlagDefinition>) =>
      explainFlag(flag(rules, change), VEHICLE).rules.map(({ rule: { id }, outcome }) => `${id} ${outcome}`);
    expect(outcomes({})).toEqual(['target NOT_REACHED', 'kill DECIDED']);
    expect(outcomes({ enabled: false, rules: rules.slice(0, 1) })).toEqual(['target NOT_REACHED']);
  });

  test('has nothing to compare with where the context is empty', () => {
    const { rules } = explainFlag(
      flag([
        rule('a', 3, 'percentage_rollout', { rollout_percentage: 100, salt: 's', sticky: false }),
        rule('b', 2, 'user_attribute', { attribute: 'plan', operator: 'eq', values: ['x'] }),
      ]),
      {},
    );
    expect(rules.flatMap(({ checks }) => checks)).toMatchObject([
      { about: 'BUCKET', expected: 100, actual: null, holds: false },
      { about: 'ATTRIBUTE', expected: { operator: 'eq', values: ['x'] }, actual: null, holds: false },
    ]);
  });
});
