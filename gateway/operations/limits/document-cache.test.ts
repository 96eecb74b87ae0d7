import { describe, expect, test } from '@jest/globals';
import { buildSchema } from 'graphql';
import { DocumentCache, type CachedDocument } from './document-cache.ts';

const schema = buildSchema('type Query { a: Int b(n: [Int]): Int }');
const cacheOf = (maxDocuments: number, maxBytes = 1_000_000) =>
  new DocumentCache({ maxDocuments, maxBytes, introspection: true });

/** Counts the objects that a prepared document holds: its nodes, its tokens and their places. */
function objectsOf({ document }: CachedDocument): number {
  const found = new Set<object>();
  const waiting: unknown[] = [document];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null || found.has(next)) continue;
    found.add(next);
    for (const key of Reflect.ownKeys(next)) waiting.push(Reflect.get(next, key) ?? null);
  }
  return found.size;
}

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
    expect(cache.find(b.hash)).toBeUndefined();
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

  test('holds no more bytes than it may, and always the newest document that fits', () => {
    const maxBytes = 400_000;
    const cache = cacheOf(20, maxBytes);
    const prepared: CachedDocument[] = [];
    for (const tokens of [10, 700, 1, 300, 40, 900, 2, 2, 100, 500]) {
      for (let index = 0; index < 8; index++) prepared.push(cache.prepare(textOf(tokens, prepared.length), schema));
      const held = prepared.filter(({ hash }) => cache.find(hash) !== undefined);
      expect(held).toHaveLength(cache.size);
      expect(cache.size).toBeLessThanOrEqual(20);
      expect(held.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(maxBytes);
      const newest = prepared.at(-1)!;
      expect(held.includes(newest)).toBe(newest.bytes <= maxBytes);
    }
  });

  test.each([
    ['many short tokens', textOf(900, 0)],
    ['tokens without blanks', `{ b(n: [${Array(900).fill('1').join(',')}]) }`],
    ['long names', `{ ${'long_name_of_a_field_that_nobody_has: a '.repeat(20)} }`],
    ['fields within fields', `{ ${'... { '.repeat(9)} a ${'} '.repeat(9)} }`],
    ['comments alone', `{ a } ${'# nothing\n'.repeat(900)}`],
  ])('counts bytes for every object of a document: %s', (_, text) => {
    const entry = cacheOf(1).prepare(text, schema);
    expect(entry.document).not.toBeNull();
    const bytesOfObject = entry.bytes / objectsOf(entry);
    // Each is a token, a node or its place, of three to eight members of eight bytes, and there is a string beside
    // some.
    expect(bytesOfObject).toBeGreaterThan(100);
    expect(bytesOfObject).toBeLessThan(300);
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
