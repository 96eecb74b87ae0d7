/**
 * Every command of package.json and every administrative one: help, version and what they do not know. They are found,
 * not listed.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { rounds } from '../core/testing/rounds.ts';
import { ProjectProcess, ROOT } from './harness/process.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-commands-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The built programs by their sources. Tests run the build where there is one, because it starts in half the time. */
const BUILT: Readonly<Record<string, string>> = {
  'commands/start.ts': 'start',
  'commands/service.ts': 'service',
  'commands/admin.ts': 'admin',
  'agent/command/main.ts': 'agent',
};

/** Our own programs among the scripts of package.json, by their names. */
async function commands(): Promise<[string, string][]> {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const own = Object.entries(scripts).flatMap(([name, script]): [string, string][] => {
    const file = /^node --import tsx (\S+\.ts)$/.exec(script)?.[1];
    return file === undefined ? [] : [[name, BUILT[file] ?? file]];
  });
  expect(own.length).toBeGreaterThan(9);
  return own;
}

async function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const command = new ProjectProcess(args, { FLEETFLAG_DATA_DIR: join(folder, 'data'), PORT: '0' });
  const code = await command.ended();
  return { code, stdout: command.stdout, stderr: command.stderr };
}

/** Some of `items` in `npm test`, all of them in the gate: each costs the start of a process. */
const few = <T>(items: readonly T[]): readonly T[] => items.slice(0, rounds(3, items.length));

/** Runs something for each, two at a time. */
async function each<T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await use(item);
  };
  await Promise.all([worker(), worker()]);
}

test('every command says what it takes and which version it is, and makes nothing', async () => {
  await each(await commands(), async ([name, command]) => {
    const help = await run(command, '--help');
    expect([name, help.code, help.stderr]).toEqual([name, 0, '']);
    expect(help.stdout).toMatch(/Usage:[^]*--help[^]*--version/);
  });
  await each(few(await commands()), async ([name, command]) => {
    const version = await run(command, '--version');
    expect([name, version.code, version.stderr, version.stdout]).toEqual([
      name,
      0,
      '',
      expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    ]);
  });
  expect(await readdir(folder)).toEqual([]);
});

test('every command refuses an option that it does not know by its name, with exit code 2, and makes nothing', async () => {
  await each(few(await commands()), async ([name, command]) => {
    // Where an option needs a place: a role, a command.
    const place = { service: ['flags'], migrate: ['deploy'], admin: ['create-user'] }[name] ?? [];
    const refused = await run(command, ...place, '--verbsoe');
    expect([name, refused.code, refused.stdout]).toEqual([name, 2, '']);
    expect(refused.stderr).toContain('--verbsoe');
  });
  expect(await readdir(folder)).toEqual([]);
});

test('administrative commands say what they take, and in a folder without data say so and make none', async () => {
  const { stdout } = await run('admin', '--help');
  const names = [...new Set(Array.from(stdout.matchAll(/npm run admin -- ([a-z-]+)/g), ([, name = '']) => name))];
  expect(names.length).toBeGreaterThan(8);
  await each(few(names), async (name) => {
    expect(await run('admin', name, '--help')).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining(`npm run admin -- ${name}`),
    });
  });
  expect(await run('admin', 'api-kye')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Did you mean api-key?'),
  });
  expect(await run('admin', 'api-key', '--lits')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Did you mean --list?'),
  });
  for (const args of [
    ['api-key', '--list'],
    ['vehicle-token', '--vin', 'KMHK281HGNU000001'],
    ['rotate-signing-key'],
    ['resign-definitions'],
  ]) {
    const { code, stderr } = await run('admin', ...args);
    expect([args, code]).toEqual([args, 1]);
    expect(stderr).toContain(join(folder, 'data'));
  }
  expect(await readdir(folder)).toEqual([]);
});
