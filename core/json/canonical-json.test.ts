import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from './canonical-json.ts';

describe('canonicalJson', () => {
  it('orders members and writes numbers as RFC 8785 does', () => {
    expect(canonicalJson({ b: [1e21, 0.1, -0], a: { z: null, é: '\u0007' } })).toBe(
      '{"a":{"z":null,"é":"\\u0007"},"b":[1e+21,0.1,0]}',
    );
  });

  it('is JSON of the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 200, seed: 20_260_101 },
    );
  });

  it('writes values that JSON does not have as null', () => {
    expect(canonicalJson(undefined)).toBe('null');
  });

  it('refuses numbers that JSON cannot carry', () => {
    expect(() => canonicalJson([NaN])).toThrow();
  });
});
