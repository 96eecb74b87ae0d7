import { readdirSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { SUBGRAPH_NAMES, bySubgraph } from './subgraph.ts';

describe('SUBGRAPH_NAMES', () => {
  it('names a folder of subgraphs/ each, and leaves out none but shared', () => {
    const folder = new URL('../../subgraphs/', import.meta.url);
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
