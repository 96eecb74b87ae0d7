import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const REALM = join(ROOT, 'tests/testing/worker-realm');

/** A file that counts, in a module of its own and in a package, how many files have loaded it, and leaves traces. */
const COUNTING_TEST = `
import { expect, test } from '@jest/globals';
import { own } from './own.mjs';
import counted, { loads } from 'counted';
import { createRequire } from 'node:module';
import { AsyncLocalStorage } from 'node:async_hooks';
test('sees no trace of the other file', () => {
  expect(own.count++).toBe(0);
  expect(process.env.TRACE).toBeUndefined();
  expect(process.stderr.listenerCount('error')).toBe(globalThis.listeners ??= process.stderr.listenerCount('error'));
  process.env.TRACE = 'left';
  process.stderr.on('error', () => {});
  globalThis.console = null;
});
test('is not slowed down by what the other file has stored along its promises', () => {
  const disabled = (globalThis.disabled ??= []);
  expect(disabled).toEqual(globalThis.uses === undefined ? [] : ['run', 'enterWith']);
  const stored = (how) => Object.assign(new AsyncLocalStorage(), { disable: () => disabled.push(how) });
  stored('run').run('left', () => undefined);
  stored('enterWith').enterWith('left');
});
test('finds no tests of the other file in memory', () => {
  const states = Object.getOwnPropertySymbols(globalThis).filter(({ description }) => description === 'JEST_STATE_SYMBOL');
  expect(states).toHaveLength(1);
});
test('shares the package', () => {
  globalThis.uses = (globalThis.uses ?? 0) + 1;
  expect(++counted.uses).toBe(globalThis.uses);
  expect(loads).toBe(1);
  expect(createRequire(import.meta.url)('counted')).toBe(counted);
});
`;

/** A file that leaves a promise and a timer behind, by which its tests and their modules could stay in memory. */
const LASTING_TEST = `
import { beforeAll, expect, test } from '@jest/globals';
const left = (globalThis.left ??= []);
const storedWith = (of) => Object.getOwnPropertySymbols(of).map((symbol) => of[symbol]).filter((value) => typeof value === 'object');
const before = left.flatMap(storedWith);
const leave = () => left.push(Promise.resolve(), setTimeout(() => undefined, 3_600_000).unref());
beforeAll(() => void leave());
test('finds nothing of other files by what they have left', () => {
  leave();
  expect(left.flatMap(storedWith).some((store) => store?.test !== undefined)).toBe(true);
  expect(before.filter((store) => store?.test !== undefined || store?.hook !== undefined)).toEqual([]);
});
`;

let folder: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'fleetflag-realm-')));
  const files = {
    'package.json': '{}',
    'node_modules/counted/package.json': '{ "name": "counted", "main": "index.js" }',
    'node_modules/counted/index.js':
      'globalThis.loads = (globalThis.loads ?? 0) + 1; exports.loads = globalThis.loads; exports.uses = 0;',
    'own.mjs': 'export const own = { count: 0 };',
    'one.test.mjs': COUNTING_TEST,
    'two.test.mjs': COUNTING_TEST,
    ...Object.fromEntries([1, 2].map((n) => [`lasting${n}.test.mjs`, LASTING_TEST])),
    'hanging.test.mjs': `
import { expect, test } from '@jest/globals';
test('hangs', () => new Promise(() => {}), 50);
test('fails', () => expect([new Date(0)]).toEqual([new Date(1)]));
`,
    'open.test.mjs': `
import { createServer } from 'node:net';
import { test } from '@jest/globals';
test('opens a server', () => new Promise((resolve) => createServer().listen(0, resolve)));
`,
  };
  await mkdir(join(folder, 'node_modules/counted'), { recursive: true });
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs Jest on the files of the folder whose names match, in one process; gives its exit code and output. */
async function runJest(pattern: string): Promise<{ code: number; output: string }> {
  const config = {
    rootDir: folder,
    testMatch: ['<rootDir>/*.test.mjs'],
    runtime: join(REALM, 'runtime.cjs'),
    testRunner: join(REALM, 'runner.cjs'),
    reporters: ['default', join(ROOT, 'tests/testing/cost-reporter.js')],
    testEnvironment: join(REALM, 'environment.cjs'),
    injectGlobals: false,
    transform: {},
    cacheDirectory: join(folder, 'cache'),
  };
  const args = [
    '--experimental-vm-modules',
    join(ROOT, 'node_modules/jest/bin/jest.js'),
    '--runInBand',
    // A file that leaves something open would keep Jest itself.
    '--forceExit',
    '--config',
    JSON.stringify(config),
    pattern,
  ];
  return promisify(execFile)(process.execPath, args, { cwd: folder }).then(
    ({ stderr }) => ({ code: 0, output: stderr }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, output: stderr }),
  );
}

test('files of one worker share a package, and neither our modules nor what a file changes of the process', async () => {
  expect(await runJest('one|two')).toEqual({ code: 0, output: expect.stringContaining('Tests:       8 passed') });
});

test('a file does not stay in memory by the promises and timers that it leaves', async () => {
  expect(await runJest('lasting')).toEqual({ code: 0, output: expect.stringContaining('Tests:       2 passed') });
});

test('a test that hangs and one that fails are reported as Jest reports them', async () => {
  const { code, output } = await runJest('hanging');
  expect(code).toBe(1);
  expect(output).toContain('Exceeded timeout of 50 ms for a test');
  expect(output).toMatch(/Expected +- 1[\s\S]*1970-01-01T00:00:00.001Z/);
  expect(output).toContain('hanging.test.mjs:4');
});

test('a file that leaves something open is named, with what it is', async () => {
  const { code, output } = await runJest('one|open');
  expect(code).toBe(0);
  expect(output).toContain('keeps a worker from ending:\n  open.test.mjs: TCPServerWrap\n');
});

test('fake timers leave process.nextTick to the streams of Node', async () => {
  const nextTick: unknown = Reflect.get(process, 'nextTick');
  jest.useFakeTimers();
  try {
    expect(Reflect.get(process, 'nextTick')).toBe(nextTick);
    expect(setTimeout).toHaveProperty('clock');
    await new Promise<void>((resolve) => process.nextTick(resolve));
  } finally {
    jest.useRealTimers();
  }
});

test('a supergraph is built once for all files of a worker', async () => {
  const { Supergraph } = await import('@apollo/federation-internals');
  const source = await readFile(join(ROOT, 'gateway/composition/supergraph.graphql'), 'utf8');
  const build = (validateSupergraph: boolean) => Supergraph.build(source, { validateSupergraph });
  expect(build(false)).toBe(build(false));
  expect(build(true)).not.toBe(build(false));
});

test('a package is the same for an import and for a require', async () => {
  const { default: pg } = await import('pg');
  expect(createRequire(import.meta.url)('pg')).toBe(pg);
});
