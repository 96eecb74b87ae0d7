import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { connectionOf, isUuid, readPage } from './pagination.ts';

const refused = (args: Parameters<typeof readPage>[0]) => {
  try {
    readPage(args);
  } catch (error) {
    return error;
  }
  return null;
};

describe('reading the arguments of a page', () => {
  test('takes 20 items from the start where nothing is said', () => {
    for (const args of [{}, { first: null, after: null }]) expect(readPage(args)).toEqual({ first: 20, after: null });
  });

  test.each([1, 100])('takes %d items', (first) => {
    expect(readPage({ first }).first).toBe(first);
  });

  test.each([0, -1, 101])('refuses %d items', (first) => {
    expect(refused({ first })).toMatchObject({ code: 'BAD_USER_INPUT', details: { field: 'first' } });
  });

  test.each(['', 'nonsense', randomUUID(), Buffer.from('1').toString('base64url')])('refuses the cursor %j', (after) => {
    expect(refused({ after })).toMatchObject({ code: 'BAD_USER_INPUT', details: { field: 'after' } });
  });
});

describe('a page', () => {
  const nodes = [randomUUID(), randomUUID(), randomUUID()].map((id) => ({ id }));

  test('has cursors that name its items to readPage', () => {
    const { edges, pageInfo } = connectionOf(nodes, { first: 3, after: null }, true, 7);
    expect(edges.map(({ cursor }) => readPage({ after: cursor }).after)).toEqual(nodes.map(({ id }) => id));
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([edges[0]?.cursor, edges[2]?.cursor]);
  });

  test('says what is before and after it', () => {
    const info = (after: string | null, more: boolean) => connectionOf(nodes, { first: 3, after }, more, 7).pageInfo;
    expect(info(null, true)).toMatchObject({ hasPreviousPage: false, hasNextPage: true });
    expect(info(randomUUID(), false)).toMatchObject({ hasPreviousPage: true, hasNextPage: false });
  });

  test('without items has no cursors', () => {
    expect(connectionOf([], { first: 3, after: null }, false, 0)).toEqual({
      edges: [],
      nodes: [],
      pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
      totalCount: 0,
    });
  });

  test('does not count by itself where counting is a function', () => {
    let counted = false;
    connectionOf(nodes, { first: 3, after: null }, false, async () => {
      counted = true;
      return 3;
    });
    expect(counted).toBe(false);
  });
});

test('an id is a UUID in either case and nothing around it', () => {
  const id = randomUUID();
  expect([id, id.toUpperCase(), ` ${id}`, `${id}\n`, id.slice(1), ''].map(isUuid)).toEqual([true, true, false, false, false, false]);
});
