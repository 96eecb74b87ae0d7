/** The pictures of docs/architecture.md say what the lint rule and the tree say. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

const ROOT = new URL('../../', import.meta.url);
const { ROOMS } = (await import(new URL('tests/lint-rules/arrows.js', ROOT).href)) as {
  ROOMS: Record<string, string[]>;
};
const source = (name: string) => readFileSync(new URL(`docs/pictures/${name}.dot`, ROOT), 'utf8');

/** Arrows as `from -> to`, in order. */
function arrows(dot: string): string[] {
  return [...dot.matchAll(/^\s*"([^"]+)" -> "([^"]+)"/gm)].map(([, from, to]) => `${from} -> ${to}`).sort();
}

function boxes(dot: string): string[] {
  return [...dot.matchAll(/^\s*"([^"]+)" \[label=/gm)].map(([, name]) => name!).sort();
}

/** Folders at the root, or in subgraphs/, that hold TypeScript of ours. */
function codeFolders(): string[] {
  const folders = readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .filter((name) => !['node_modules', 'coverage', 'dist', 'docs', 'docker'].includes(name));
  const subgraphs = readdirSync(new URL('subgraphs/', ROOT)).map((name) => `subgraphs/${name}`);
  return [...folders.filter((name) => name !== 'subgraphs'), ...subgraphs].sort();
}

const ruled = new Map(Object.entries(ROOMS));

describe('the picture of the rooms', () => {
  it('has a box for each room that there is', () => {
    expect(boxes(source('rooms'))).toEqual(codeFolders());
  });

  it('has the arrows that the lint rule allows, and no others', () => {
    const allowed = [...ruled].flatMap(([room, targets]) => targets.map((target) => `${room} -> ${target}`));
    const drawn = arrows(source('rooms')).filter((arrow) => ruled.has(arrow.split(' -> ')[0]!));
    expect(drawn).toEqual(allowed.sort());
  });

  it('has the rooms without a rule among those that may import every room', () => {
    const free = /cluster_free \{([\s\S]*?)\n {2}\}/.exec(source('rooms'))![1]!;
    expect(boxes(free)).toEqual(codeFolders().filter((room) => !ruled.has(room)));
  });
});

describe('the picture of the way of a change', () => {
  const paths = [...source('change').matchAll(/\\n([a-z][a-z0-9./-]*\/[a-z0-9./-]*)"/g)].map(([, path]) => path!);

  it('names a place for each box', () => {
    expect(paths).toHaveLength([...source('change').matchAll(/\[label="[^"]*\\n/g)].length);
    expect(paths.length).toBeGreaterThan(10);
  });

  it.each(paths)('names %s, which is there', (path) => {
    expect(existsSync(new URL(path, ROOT))).toBe(true);
  });
});
