import { describe, expect, test } from '@jest/globals';
import { is, readRows } from './shape.ts';

describe('a guard', () => {
  const now = new Date();
  test.each([
    ['a string', is.string, ['', 'a'], [1, null, undefined]],
    ['a number', is.number, [0, 1.5], ['1', 1n, null]],
    ['a bigint', is.bigint, [1n], [1, '1']],
    ['a boolean', is.boolean, [true, false], [1, 'true', null]],
    ['a date', is.date, [now], [now.toISOString(), now.getTime()]],
    ['JSON', is.json, [null, 'a', 1, true, [1], { a: 1 }], [undefined, 1n, Symbol('a'), () => 1]],
    ['a JSON object', is.jsonObject, [{}, { a: 1 }], [null, [1], 'a']],
    ['a value that may be null', is.nullable(is.string), [null, 'a'], [undefined, 1]],
    ['a member that may be missing', is.optional(is.string), [undefined, 'a'], [null, 1]],
    ['either of two', is.either(is.string, is.date), ['a', now], [1, null]],
    ['one of several words', is.oneOf(['a', 'b']), ['a', 'b'], ['c', '', null]],
    ['a list', is.listOf(is.number), [[], [1, 2]], [[1, '2'], {}, null]],
    ['a map', is.recordOf(is.number), [{}, { a: 1, b: 2 }], [{ a: 1, b: '2' }, [1], null]],
    ['an object of a shape', is.shape({ a: is.number }), [{ a: 1 }, { a: 1, b: 2 }], [{}, { a: '1' }, null, [1]]],
  ] as const)('of %s accepts that and nothing else', (_name, guard, accepted, refused) => {
    for (const value of accepted) expect({ value, fits: guard(value) }).toEqual({ value, fits: true });
    for (const value of refused) expect({ value, fits: guard(value) }).toEqual({ value, fits: false });
  });
});

describe('readRows', () => {
  const shape = { vin: is.string, revision: is.bigint };
  const read = (rows: unknown) => () => readRows(shape, rows, 'A row of a statement');

  test('gives the rows that fit', () => {
    const rows = [{ vin: 'V', revision: 1n, further: true }];
    expect(read(rows)()).toBe(rows);
    expect(read([])()).toEqual([]);
  });

  test.each([
    [{ vin: 'V', revision: 1 }, 'A row of a statement holds number in revision, which its reader does not accept'],
    [{ vin: null, revision: 1n }, 'A row of a statement holds null in vin, which its reader does not accept'],
    [{ vin: [], revision: 1n }, 'A row of a statement holds a list in vin, which its reader does not accept'],
    [{ revision: 1n }, 'A row of a statement holds undefined in vin, which its reader does not accept'],
    [null, 'A row of a statement: expected an object, got null'],
  ])('refuses %j, and names the member but not its value', (row, message) => {
    expect(read([{ vin: 'V', revision: 1n }, row])).toThrow(message);
  });

  test('refuses what is no list', () => {
    expect(read({ vin: 'V' })).toThrow('A row of a statement: expected a list of rows, got object');
  });
});
