import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { connectionOf, firstPage, isUuid, pageOf, readPage, pageAfter } from './pagination.ts';

const refused = (args: Parameters<typeof readPage>[0]) => {
  try {
    readPage(args);
  } catch (error) {
    return error;
  }
  return null;
};

describe('reading the arguments of a page', () => {
  test('gives 20 items from the start by default', () => {
    for (const args of [{}, { first: null, after: null }])
      expect(readPage(args)).toEqual({ limit: 20, cursor: null, backwards: false });
  });

  test.each([1, 100])('accepts %d items', (first) => {
    expect(readPage({ first }).limit).toBe(first);
  });

  test.each([0, -1, 101])('refuses %d items', (first) => {
    expect(refused({ first })).toMatchObject({ code: 'BAD_USER_INPUT', details: { field: 'first' } });
  });

  test.each(['', 'nonsense', randomUUID(), Buffer.from('1').toString('base64url')])(
    'refuses the cursor %j',
    (after) => {
      expect(refused({ after })).toMatchObject({ code: 'BAD_USER_INPUT', details: { field: 'after' } });
    },
  );
});

describe('reading the arguments of a page backwards', () => {
  const before = Buffer.from(randomUUID()).toString('base64url');

  test('takes the last 20 items by default', () => {
    expect(readPage({ before })).toMatchObject({ limit: 20, backwards: true });
    expect(readPage({ first: null, last: 7, after: null })).toEqual({ limit: 7, cursor: null, backwards: true });
  });

  test.each([
    [{ first: 1, last: 1 }, 'last'],
    [{ first: 20, last: 20, after: before }, 'last'],
    [{ last: 1, after: before }, 'after'],
    [{ first: 1, before }, 'before'],
    [{ after: before, before }, 'after'],
    [{ last: 0 }, 'last'],
    [{ last: 101 }, 'last'],
    [{ last: 1, before: 'nonsense' }, 'before'],
  ])('refuses %j at its field', (args, field) => {
    expect(refused(args)).toMatchObject({ code: 'BAD_USER_INPUT', details: { field } });
  });

  test('reverses rows that were read backwards', () => {
    expect(pageOf([3, 2, 1], { limit: 2, cursor: null, backwards: true })).toEqual({ items: [2, 3], more: true });
    expect(pageOf([1, 2], firstPage(2))).toEqual({ items: [1, 2], more: false });
  });
});

describe('a page', () => {
  const nodes = [randomUUID(), randomUUID(), randomUUID()].map((id) => ({ id }));

  test('has cursors that readPage accepts', () => {
    const { edges, pageInfo } = connectionOf(nodes, firstPage(3), true, 7);
    expect(edges.map(({ cursor }) => readPage({ after: cursor }).cursor)).toEqual(nodes.map(({ id }) => id));
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([edges[0]?.cursor, edges[2]?.cursor]);
  });

  test('says whether there are items before and after it', () => {
    const info = (cursor: string | null, backwards: boolean, more: boolean) =>
      connectionOf(nodes, { limit: 3, cursor, backwards }, more, 7).pageInfo;
    expect(info(null, false, true)).toMatchObject({ hasPreviousPage: false, hasNextPage: true });
    expect(info(randomUUID(), false, false)).toMatchObject({ hasPreviousPage: true, hasNextPage: false });
    expect(info(null, true, true)).toMatchObject({ hasPreviousPage: true, hasNextPage: false });
    expect(info(randomUUID(), true, false)).toMatchObject({ hasPreviousPage: false, hasNextPage: true });
  });

  test('without items has no cursors', () => {
    expect(connectionOf([], firstPage(3), false, 0)).toEqual({
      edges: [],
      nodes: [],
      pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
      totalCount: 0,
    });
  });

  test('does not count by itself when the count is a function', () => {
    let counted = false;
    connectionOf(nodes, firstPage(3), false, async () => {
      counted = true;
      return 3;
    });
    expect(counted).toBe(false);
  });
});

test('an id is a UUID in either case without surrounding text', () => {
  const id = randomUUID();
  expect([id, id.toUpperCase(), ` ${id}`, `${id}\n`, id.slice(1), ''].map(isUuid)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

describe('a page of a plain list', () => {
  const items = ['a', 'b', 'c'];
  const page = (first?: number | null, after?: string | null) => pageAfter(items, { first, after }, (item) => item);

  test.each<[number | null | undefined, string | null | undefined, string[]]>([
    [undefined, undefined, items],
    [null, null, items],
    [2, null, ['a', 'b']],
    [2, 'b', ['c']],
    [1, 'a', ['b']],
    [1, 'c', []],
    [1, 'no item', []],
  ])('of first %j after %j is what follows the item', (first, after, expected) => {
    expect(page(first, after)).toEqual(expected);
  });

  test.each([0, 101])('of the size %i is refused', (first) => {
    expect(() => page(first)).toThrow('first is ');
  });
});
