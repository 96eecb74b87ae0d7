import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Installed {
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** The name and licence of each package that `npm ci --omit=dev` installs, on every platform. */
const installed = Object.entries(
  (JSON.parse(read('package-lock.json')) as { packages: Record<string, Installed> }).packages,
)
  .filter(([path, { dev, link }]) => path.includes('node_modules/') && dev !== true && link !== true)
  .map(([path, { license }]) => ({ name: path.split('node_modules/').at(-1) ?? '', license: license ?? 'none' }));

const [, licences = '', , , bundled = ''] = read('docs/reference/licences.md').split('\n## ');
const rowsOf = (section: string) =>
  section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
const unquoted = (cell = '') => Array.from(cell.matchAll(/`([^`]+)`/g), ([, text = '']) => text);

describe('docs/reference/licences.md', () => {
  test('has a row for each licence that production dependencies have, and for no other', () => {
    expect(installed.length).toBeGreaterThan(500);
    const rows = rowsOf(licences).flatMap(([, licence]) => unquoted(licence));
    expect([...new Set(installed.map(({ license }) => license))].sort()).toEqual([...rows].sort());
  });

  test('names every package that is under the Elastic License', () => {
    const row = rowsOf(licences).find(([, licence]) => licence === '`Elastic-2.0`');
    expect(installed.filter(({ license }) => license === 'Elastic-2.0').map(({ name }) => name)).toEqual(
      unquoted(row?.[2]),
    );
  });

  test("lists what is bundled into the agent's package, each with its licence", () => {
    const rows = rowsOf(bundled).map(([, name, licence]) => ({
      name: unquoted(name)[0],
      license: unquoted(licence)[0],
    }));
    const libraries = (JSON.parse(read('agent/package.json')) as { devDependencies: Record<string, string> })
      .devDependencies;
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(libraries)));
    for (const row of rows) expect(installed).toContainEqual(row);
  });

  test('and LICENSE say that FleetFlag has no licence for as long as its packages say so', () => {
    for (const path of ['package.json', 'agent/package.json'])
      expect(JSON.parse(read(path))).toMatchObject({ license: 'UNLICENSED' });
    expect(read('LICENSE')).toContain('No licence has been chosen');
  });
});
