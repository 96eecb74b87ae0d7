/** The promise of docs/architecture.md about folders: a reader sees at a glance what one holds. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { REPOSITORY } from '../testing/sources.ts';

/** The most files and folders that a folder of sources has; beyond them it wants to be several. */
const MOST_ENTRIES = 25;

/** The folders that may have more, each with its reason. */
const LONG: Readonly<Record<string, string>> = {
  '.': 'Tools look for their files at the top.',
  e2e: 'Each suite is a process test of its own, and all are alike.',
  tests: 'Suites that belong to no single room stand here side by side.',
  'prisma/migrations': 'Each migration is a folder, in the order of time.',
};

/** Gives the number of files and folders of each folder. */
function entriesOf(files: readonly string[]): ReadonlyMap<string, number> {
  const entries = new Map<string, Set<string>>();
  for (const file of files) {
    const parts = file.split('/');
    for (const [depth, name] of parts.entries()) {
      const folder = parts.slice(0, depth).join('/') || '.';
      entries.set(folder, (entries.get(folder) ?? new Set()).add(name));
    }
  }
  return new Map(Array.from(entries, ([folder, names]) => [folder, names.size]));
}

describe('a folder', () => {
  test('counts what stands in it, and not what stands below that', () => {
    expect(Object.fromEntries(entriesOf(['a/b/c.ts', 'a/b/d.ts', 'a/e.ts', 'f.ts']))).toEqual({
      '.': 2,
      a: 2,
      'a/b': 2,
    });
  });

  test(`of sources has at most ${MOST_ENTRIES} entries, so that each has rooms by feature`, () => {
    const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
    })
      .split('\0')
      .filter((file) => file !== '' && !/(?:^|\/)generated\//.test(file));
    const entries = entriesOf(files);
    expect(entries.size).toBeGreaterThan(200);
    const long = Array.from(entries).filter(([, count]) => count > MOST_ENTRIES);
    expect(Object.fromEntries(long.filter(([folder]) => !(folder in LONG)))).toEqual({});
    // A folder that has become short needs no reason.
    expect(Object.keys(LONG).filter((folder) => !long.some(([name]) => name === folder))).toEqual([]);
  });
});
