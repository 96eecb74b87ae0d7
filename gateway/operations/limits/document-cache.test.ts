import { describe, expect, test } from '@jest/globals';
import { buildSchema } from 'graphql';
import { settledHeap } from '../../../core/testing/settled-heap.ts';
import { DocumentCache } from './document-cache.ts';

const schema = buildSchema('type Query { a: Int b(n: [Int]): Int }');
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

  // Many equal fields would take quadratic time to validate.
  const textOf = (tokens: number, index: number) => `{ b(n: [${'1 '.repeat(tokens)}]) } # ${index}`;

  test('is bounded in the memory of its documents too, whatever the number and the kind of texts', () => {
    const sizes = [10, 100, 900].map((tokens) => {
      const cache = cacheOf(1_000, 400_000);
      for (let index = 0; index < 70; index++) cache.prepare(textOf(tokens, index), schema);
      return cache.size;
    });
    // A token takes some 500 bytes, and each entry some more.
    expect(sizes).toEqual([34, 7, 0]);
    const cache = cacheOf(1_000, 50_000);
    expect(cache.prepare(`{ a } # ${'x'.repeat(100_000)}`, schema).errors).toEqual([]);
    expect(cache.size).toBe(0);
  });

  test('takes about as much memory as it counts', async () => {
    const maxBytes = 10_000_000;
    const cache = cacheOf(1_000, maxBytes);
    cache.prepare('{ a }', schema);
    const before = await settledHeap();
    for (let index = 0; index < 60; index++) cache.prepare(textOf(900, index), schema);
    const grown = (await settledHeap()) - before;
    expect(cache.size).toBeLessThan(30);
    expect(grown / maxBytes).toBeLessThan(1.2);
    expect(grown / maxBytes).toBeGreaterThan(0.4);
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
