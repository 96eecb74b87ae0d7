import { describe, expect, it } from '@jest/globals';
import { isCount, isJsonObject, isObject, isOneOf, membersOf, parseJson } from './json-value.ts';

describe('json values', () => {
  it.each([[null], [[]], ['text'], [1], [true], [undefined]])('%j is no object and has no members', (value) => {
    expect(isObject(value)).toBe(false);
    expect(isJsonObject(value)).toBe(false);
    expect(membersOf(value)).toEqual({});
  });

  it('gives the members of an object', () => {
    expect(isObject({ a: 1 })).toBe(true);
    expect(isJsonObject({ a: 1 })).toBe(true);
    expect(membersOf({ a: 1 }).a).toBe(1);
  });

  it('takes only whole numbers from 0 to 2^53 - 1 for counts', () => {
    expect([0, 7, Number.MAX_SAFE_INTEGER].every(isCount)).toBe(true);
    expect([-1, 0.5, Number.MAX_SAFE_INTEGER + 1, NaN, '1', null].some(isCount)).toBe(false);
  });

  it('says whether a value is in a list', () => {
    expect(isOneOf(['a', 'b'], 'b')).toBe(true);
    expect(isOneOf(['a', 'b'], 'c')).toBe(false);
  });

  it('reads JSON and refuses anything else', () => {
    expect(parseJson('{"a":[1,null]}')).toEqual({ a: [1, null] });
    expect(() => parseJson('{a}')).toThrow(SyntaxError);
  });
});
