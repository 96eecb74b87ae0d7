import { describe, expect, test } from '@jest/globals';
import { buildSchema } from 'graphql';
import { DocumentCache } from './document-cache.ts';

const schema = buildSchema('type Query { a: Int b: Int }');
const cacheOf = (maxDocuments: number, maxBytes = 1_000_000) =>
  new DocumentCache({ maxDocuments, maxBytes, introspection: true });

describe('the document cache', () => {
  test('parses and validates a text once', () => {
    const cache = cacheOf(10);
    const first = cache.prepare('{ a }', schema);
    expect(first.errors).toEqual([]);
    expect(cache.prepare('{ a }', schema)).toBe(first);
  });

  test('keeps what is used and forgets what was used longest ago', () => {
    const cache = cacheOf(2);
    const a = cache.prepare('{ a }', schema);
    const b = cache.prepare('{ b }', schema);
    cache.prepare('{ a }', schema);
    cache.prepare('{ a b }', schema);
    expect(cache.size).toBe(2);
    expect(cache.prepare('{ a }', schema)).toBe(a);
    expect(cache.prepare('{ b }', schema)).not.toBe(b);
  });

  test('is bounded in bytes too, whatever the number of texts', () => {
    const cache = cacheOf(1_000, 500);
    for (let index = 0; index < 50; index++) cache.prepare(`{ a } # ${'x'.repeat(90)} ${index}`, schema);
    expect(cache.size).toBeLessThanOrEqual(5);
    expect(cache.size).toBeGreaterThan(1);
    expect(cache.prepare(`{ a } # ${'x'.repeat(10_000)}`, schema).errors).toEqual([]);
    expect(cache.size).toBe(0);
  });

  test('validates again against another schema', () => {
    const cache = cacheOf(10);
    expect(cache.prepare('{ b }', schema).errors).toEqual([]);
    const other = buildSchema('type Query { a: Int }');
    expect(cache.prepare('{ b }', other).errors).toHaveLength(1);
    expect(cache.size).toBe(1);
  });

  test('gives errors instead of throwing', () => {
    const cache = cacheOf(10);
    expect(cache.prepare('{', schema)).toMatchObject({
      document: null,
      errors: [expect.objectContaining({ name: 'GraphQLError' })],
    });
    expect(cache.prepare(`{ ${'a '.repeat(3_000)} }`, schema).document).toBeNull();
  });
});
