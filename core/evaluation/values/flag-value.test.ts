import { describe, expect, it } from '@jest/globals';
import type { FlagType } from '../../model.ts';
import { checkFlagValue, fitsFlagType, presentDefault } from './flag-value.ts';

describe('checkFlagValue', () => {
  it.each<[FlagType, unknown]>([
    ['boolean', false],
    ['string', ''],
    ['number', -0.5],
    ['number', 9_007_199_254_740_991],
    ['json', { mode: ['eco', 1, true, null] }],
    ['json', 'text'],
  ])('accepts for %s: %j', (type, value) => {
    expect(checkFlagValue(type, value, 'input.defaultValue')).toEqual(value);
  });

  it.each<[FlagType, unknown, string]>([
    ['boolean', 'false', ''],
    ['boolean', null, ''],
    ['string', 1, ''],
    ['string', null, ''],
    ['number', '1', ''],
    ['number', NaN, ''],
    ['number', Infinity, ''],
    ['json', undefined, ''],
    ['json', null, ''],
    ['json', JSON.parse('{"a": {"__proto__": 1}}'), '.a.__proto__'],
    ['number', 2 ** 53, ''],
    ['json', { a: [-1e300] }, '.a.0'],
    ['json', { a: [1, { b: -Infinity }] }, '.a.1.b'],
    ['json', { a: () => 1 }, '.a'],
    ['json', 10n, ''],
    ['string', 'a\0b', ''],
  ])('refuses for %s: %p', (type, value, below) => {
    expect(() => checkFlagValue(type, value, 'input.value')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field: `input.value${below}` } }),
    );
  });

  it('accepts 256 KB as JSON and not a byte more', () => {
    expect(checkFlagValue('string', 'x'.repeat(262_142), 'input.value')).toHaveLength(262_142);
    expect(() => checkFlagValue('string', 'x'.repeat(262_143), 'input.value')).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', details: { field: 'input.value', limit: 262_144 } }),
    );
  });

  it('accepts 32 levels of nesting and not one more', () => {
    const nested = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels)) as unknown;
    expect(checkFlagValue('json', nested(32), 'input.value')).toEqual(nested(32));
    expect(() => checkFlagValue('json', nested(33), 'input.value')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT' }),
    );
  });
});

describe('fitsFlagType', () => {
  it('fits nothing to a type that is not known', () => {
    expect(fitsFlagType('duration', 1)).toBe(false);
    expect(fitsFlagType('object', {})).toBe(false);
  });
});

describe('presentDefault', () => {
  it('is the stored one, and the empty object for null of a JSON flag', () => {
    expect(presentDefault('json', null)).toEqual({});
    expect(presentDefault('json', [null])).toEqual([null]);
    expect(presentDefault('boolean', null)).toBeNull();
    expect(presentDefault('string', '')).toBe('');
  });
});
