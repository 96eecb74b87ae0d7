import { describe, expect, test } from '@jest/globals';
import { en } from '../../words/en.ts';
import { formatsOf } from '../../words/formats.ts';
import { ruleSentences, servedValue } from './rule-words.ts';

const english = { words: en, formats: formatsOf('en-GB', 'UTC') };
const sentences = (type: string, conditions: unknown) => ruleSentences(type, conditions, english);

describe('a rule in words', () => {
  test.each([
    ['PERCENTAGE_ROLLOUT', { rollout_percentage: 12.5 }, ['12.5% of all vehicles.']],
    [
      'percentage_rollout',
      { rollout_percentage: 100, models: ['Ioniq 6', 'EV9'], sw_version: '>=2.5.0', salt: 'winter', sticky: false },
      [
        '100% of the vehicles with model Ioniq 6 or EV9 and software >=2.5.0.',
        'Drawn with the salt “winter”.',
        'Drawn again at each start of the vehicle.',
      ],
    ],
    ['VEHICLE_TARGET', { regions: ['NA', 'EU'] }, ['Vehicles with region NA or EU.']],
    ['VEHICLE_WHITELIST', { vins: ['A', 'B'] }, ['2 vehicles: A, B.']],
    ['VEHICLE_WHITELIST', { vins: ['A', 'B', 'C', 'D', 'E', 'F'] }, ['6 vehicles: A, B, C, D, E and 1 more.']],
    [
      'USER_ATTRIBUTE',
      { attribute: 'subscription', operator: 'in', values: ['premium', 'trial'] },
      ['Where subscription is one of "premium" or "trial".'],
    ],
    [
      'USER_ATTRIBUTE',
      {
        all: [
          { attribute: 'age', operator: 'gte', values: [21] },
          { attribute: 'valet', exists: false },
        ],
      },
      ['Where age is at least 21 and valet is missing.'],
    ],
    ['USER_ATTRIBUTE', { attribute: 'a', operator: 'exists' }, ['Where a is present.']],
    ['USER_ATTRIBUTE', { attribute: 'a', operator: 'exists', values: [false] }, ['Where a is missing.']],
    ['KILL_SWITCH', { force_disabled: true, reason: 'INC-4711' }, ['Holds the flag at its default value. INC-4711']],
    ['KILL_SWITCH', { force_disabled: false }, ['Released; it does nothing.']],
  ])('%s %j', (type, conditions, expected) => expect(sentences(type, conditions)).toEqual(expected));

  test('shows what it cannot read as it is', () => {
    expect(sentences('VEHICLE_TARGET', [1])).toEqual(['[1]']);
    expect(sentences('NOVEL_RULE', { a: 1 })).toEqual(['{"a":1}']);
    expect(sentences('USER_ATTRIBUTE', { attribute: 'a', operator: 'near', values: [1] })).toEqual([
      'Where a "near" 1.',
    ]);
  });

  test('says what is served: true for a boolean flag without a value, the default for others', () => {
    const rule = { type: 'VEHICLE_TARGET', value: null, variant: 'enabled' };
    expect(servedValue(rule, 'BOOLEAN', english)).toBe('true (enabled)');
    expect(servedValue(rule, 'NUMBER', english)).toBe('the default value (enabled)');
    expect(servedValue({ ...rule, value: 'sport' }, 'STRING', english)).toBe('"sport" (enabled)');
    expect(servedValue({ ...rule, type: 'KILL_SWITCH' }, 'BOOLEAN', english)).toBeNull();
  });
});
