/** The promise of docs/architecture.md about folders and files: a reader sees at a glance what one holds. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** The most lines that a source file has; beyond them it has several subjects. */
const MOST_LINES = 400;

/** The files that may have more, each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  'e2e/console/administration.long.test.ts': 'A second suite would start a second control plane and browser.',
  'e2e/console/console-forms.long.test.ts': 'A second suite would start a second control plane and browser.',
  'gateway/transports/http/graphql/graphql-route.test.ts': 'Its answers come from one gateway whose state tests set.',
  'tests/asil-d.property.long.db.test.ts': 'One law, and the book by which it is checked.',
  'tests/permission-matrix.long.db.test.ts': 'A second suite would start a second control plane.',
};

const sources = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: REPOSITORY,
  encoding: 'utf8',
})
  .split('\0')
  .filter((file) => file !== '' && !/(?:^|\/)generated\//.test(file));

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
    const entries = entriesOf(sources);
    expect(entries.size).toBeGreaterThan(200);
    const long = Array.from(entries).filter(([, count]) => count > MOST_ENTRIES);
    expect(Object.fromEntries(long.filter(([folder]) => !(folder in LONG)))).toEqual({});
    // A folder that has become short needs no reason.
    expect(Object.keys(LONG).filter((folder) => !long.some(([name]) => name === folder))).toEqual([]);
  });
});

describe('a file', () => {
  test(`of sources has at most ${MOST_LINES} lines, so that it has one subject`, () => {
    const files = sources.filter((file) => /\.(?:ts|tsx|js|cjs|mjs|css|sh)$/.test(file));
    expect(files.length).toBeGreaterThan(1_000);
    const long = files.filter(
      (file) => readFileSync(join(REPOSITORY, file), 'utf8').split('\n').length - 1 > MOST_LINES,
    );
    expect(long.filter((file) => !(file in LONG_FILES))).toEqual([]);
    // A file that has become short needs no reason.
    expect(Object.keys(LONG_FILES).filter((file) => !long.includes(file))).toEqual([]);
  });
});
