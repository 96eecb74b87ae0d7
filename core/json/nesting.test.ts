import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isNestedDeeper } from './nesting.ts';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test('the depth of nesting is found in every JSON text', () => {
  const strings = fc.string({ unit: fc.constantFrom('"', '\\', '[', '{', ']', '}', 'a') });
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }), strings, (value, text) => {
      const written = JSON.stringify([value, { [text]: [text] }]);
      const depth = Math.max(3, 1 + depthOf(value));
      expect([isNestedDeeper(written, depth - 1), isNestedDeeper(written, depth)]).toEqual([true, false]);
    }),
  );
});

test('looks to the end of what is no JSON', () => {
  expect(isNestedDeeper('["\\"', 1)).toBe(false);
  expect(isNestedDeeper(']]]][[', 1)).toBe(false);
  expect(isNestedDeeper('[[[[', 1)).toBe(true);
});

test('passes by a text that is too short to be JSON of more levels', () => {
  expect(isNestedDeeper('[[', 1)).toBe(false);
  expect(isNestedDeeper('[[[', 1)).toBe(true);
});
