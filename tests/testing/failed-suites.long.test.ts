import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

const AGAIN = fileURLToPath(new URL('../../.ci/again.js', import.meta.url));
const REPORTER = fileURLToPath(new URL('failed-suites-reporter.js', import.meta.url));

/**
 * Jest in a few lines: the suites that are named in the file `broken` fail, and the reporter of this folder hears of
 * them.
 */
const JEST = `
  import { existsSync, readFileSync } from 'node:fs';
  import Reporter from ${JSON.stringify(REPORTER)};
  const reporter = new Reporter({ rootDir: process.cwd() });
  const suites = process.argv.slice(2).filter((argument) => argument.endsWith('.test.ts'));
  const broken = readFileSync('broken', 'utf8').split(' ');
  const testResults = suites.map((suite) => ({
    testFilePath: process.cwd() + '/' + suite,
    numFailingTests: broken.includes(suite) ? 1 : 0,
    testExecError: broken.includes('dead:' + suite) ? new Error('The worker died') : undefined,
  }));
  reporter.onRunStart();
  if (existsSync('died')) process.exit(1);
  reporter.onRunComplete([], { testResults });
  process.exit(testResults.some(({ numFailingTests, testExecError }) => numFailingTests > 0 || testExecError) ? 1 : 0);
`;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-failed-suites-'));
  await mkdir(join(folder, 'node_modules'));
  await writeFile(join(folder, 'jest.mjs'), JEST);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ scripts: { jest: 'node jest.mjs' } }));
});
afterEach(() => rm(folder, { recursive: true }));

const exitCode = (command: string, args: string[]) =>
  promisify(execFile)(command, args, { cwd: folder }).then(
    () => 0,
    ({ code }: { code: number }) => code,
  );
const breaks = (...suites: string[]) => writeFile(join(folder, 'broken'), suites.join(' '));
const run = (...suites: string[]) => exitCode('node', ['jest.mjs', ...suites]);
const again = () => exitCode('node', [AGAIN, join(folder, 'loaded')]);
const loaded = () => readFile(join(folder, 'loaded'), 'utf8').catch(() => '');

test('a suite that passes alone is named', async () => {
  await breaks('a.test.ts', 'dead:b.test.ts');
  expect(await run('a.test.ts', 'b.test.ts', 'c.test.ts')).toBe(1);
  await breaks();
  expect(await again()).toBe(0);
  expect(await loaded()).toBe('a.test.ts\nb.test.ts\n');
});

test('a suite that fails twice fails the gate', async () => {
  await breaks('a.test.ts', 'b.test.ts');
  expect(await run('a.test.ts', 'b.test.ts')).toBe(1);
  await breaks('b.test.ts');
  expect(await again()).toBe(1);
  expect(await loaded()).toBe('');
});

test('more failed suites than the load of a machine explains fail the gate', async () => {
  const suites = ['a.test.ts', 'b.test.ts', 'c.test.ts', 'd.test.ts'];
  await breaks(...suites);
  await run(...suites);
  await breaks();
  expect(await again()).toBe(1);
});

test('a run that fails without a failed suite fails the gate, whatever the run before it has left', async () => {
  await breaks('a.test.ts');
  await run('a.test.ts');
  await writeFile(join(folder, 'died'), '');
  await run('a.test.ts');
  await breaks();
  expect(await again()).toBe(1);
  await rm(join(folder, 'died'));
  await run('a.test.ts');
  expect(await again()).toBe(1);
});
