import { describe, expect, test } from '@jest/globals';
import { Prisma } from '../../../prisma/generated/client.ts';
import { jsonColumn, oneOf, oneOfOrNull, storedObject } from './column-values.ts';

const readStatus = oneOf('vehicles.status', ['online', 'offline']);

describe('a reader of a column of words', () => {
  test('gives the words that the domain knows', () => {
    expect(readStatus('offline')).toBe('offline');
  });

  test('names column, value and known words where the column holds another', () => {
    expect(() => readStatus('lost')).toThrow('vehicles.status holds "lost", which is none of online, offline');
  });

  test('lets null pass where the column may be null', () => {
    const read = oneOfOrNull('vehicles.environment', ['staging']);
    expect([read(null), read('staging')]).toEqual([null, 'staging']);
    expect(() => read('')).toThrow('vehicles.environment holds ""');
  });
});

test('a column of objects holds an object, or an error names the column', () => {
  expect(storedObject('change_requests.proposed', { key: 'a' })).toEqual({ key: 'a' });
  for (const other of [null, [], 'text'])
    expect(() => storedObject('change_requests.proposed', other)).toThrow('change_requests.proposed holds');
});

test("JSON's null is written as a value", () => {
  expect(jsonColumn(null)).toBe(Prisma.JsonNull);
  expect(jsonColumn([null])).toEqual([null]);
});
