import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const EXAMPLE = join(ROOT, 'examples/dashboard');

interface Package {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const packageOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Package;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetflag-example-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the pages of the example are without a fault of types', () => {
  const compiler = join(ROOT, 'node_modules/typescript-7/bin/tsc');
  const { stdout, status } = spawnSync(process.execPath, [compiler, '-p', EXAMPLE], { encoding: 'utf8' });
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
});

test.each(['urql', 'apollo'])('the page with %s is built by the command of its readers', (client) => {
  execFileSync('npm', ['run', '-s', 'build', '--', `--outdir=${folder}`, '--log-level=warning'], { cwd: EXAMPLE });
  const script = readFileSync(join(folder, client, 'main.js'), 'utf8');
  // React in its production form, and the operations of the example.
  expect(script).not.toContain('react-dom-client.development');
  for (const operation of ['Flags', 'FlagChanges', 'RequestChanges', 'Enable', 'Approve'])
    expect(script).toContain(`value:"${operation}"`);
  expect(readFileSync(join(EXAMPLE, `${client}.html`), 'utf8')).toContain(`src="dist/${client}/main.js"`);
});

test('a copy of the example installs the packages that are tested here', () => {
  const own = packageOf(ROOT);
  const example = packageOf(EXAMPLE);
  const tested = { ...own.dependencies, ...own.devDependencies };
  const installed = Object.entries({ ...example.dependencies, ...example.devDependencies });
  expect(installed.length).toBeGreaterThan(10);
  expect(installed.filter(([name, version]) => tested[name] !== version)).toEqual([]);
});
