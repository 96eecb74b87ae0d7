import { readdirSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { SUBGRAPH_NAMES, bySubgraph, isSubgraphResponse } from './subgraph.ts';

describe('SUBGRAPH_NAMES', () => {
  it('names a folder of subgraphs/ each, and leaves out none but shared', () => {
    const folder = new URL('../../../subgraphs/', import.meta.url);
    const folders = readdirSync(folder).filter(
      (name) => statSync(new URL(name, folder)).isDirectory() && name !== 'shared',
    );
    expect([...SUBGRAPH_NAMES].sort()).toEqual(folders.sort());
  });
});

describe('bySubgraph', () => {
  it('has a member for each subgraph', () => {
    expect(bySubgraph((name) => name.length)).toEqual(
      Object.fromEntries(SUBGRAPH_NAMES.map((name) => [name, name.length])),
    );
  });
});

describe('a response of a subgraph', () => {
  it.each([
    [{ data: { a: 1 } }, true],
    [{ data: null, errors: [{ message: 'no' }] }, true],
    [{ errors: [] }, true],
    [null, false],
    ['text', false],
    [{}, false],
    [{ data: 1 }, false],
    [{ data: {}, errors: [{}] }, false],
  ])('%j is recognised: %j', (value, expected) => {
    expect(isSubgraphResponse(value)).toBe(expected);
  });
});
