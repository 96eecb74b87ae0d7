import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { TEST_VIN, TestControlPlane } from '../../testing/control-plane.ts';
import { TestVehicle } from '../../testing/test-vehicle.ts';
import { databasePlace } from './database-place.ts';
import { DatabaseLock } from './database-lock.ts';

let folder: string;
let file: string;
const warnings: string[] = [];
const log = (_level: string, message: string) => void warnings.push(message);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-lock-'));
  file = join(folder, 'flags.db');
  warnings.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('the second agent is refused with the name of the first, and gets the lock once the first has released it', async () => {
  const first = await DatabaseLock.take(file, 'the first one', log);
  await expect(DatabaseLock.take(file, 'the second', log)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining('the first one'),
  });
  await first!.release();
  expect(await readdir(folder)).toEqual([]);
  const second = await DatabaseLock.take(file, 'the second', log);
  expect(second).not.toBeNull();
  await second!.release();
  expect(warnings).toEqual([]);
});

test('of many agents at once exactly one gets the lock, even where a killed owner has left its socket', async () => {
  const owner = spawn(
    process.execPath,
    ['-e', `require('net').createServer().listen(${JSON.stringify(`${file}.lock`)}, () => console.log('listening'))`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(owner.stdout, 'data');
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  expect(existsSync(`${file}.lock`)).toBe(true);
  const attempts = await Promise.allSettled(
    Array.from({ length: 8 }, (_, index) => DatabaseLock.take(file, `number ${index}`, log)),
  );
  const taken = attempts.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  expect(taken).toHaveLength(1);
  for (const each of attempts) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'CONFLICT' });
  await taken[0]!.release();
  expect(await readdir(folder)).toEqual([]);
});

test('on Linux, the folder may be deeper than a socket address can be long', async () => {
  const deep = join(folder, 'x'.repeat(120), 'flags.db');
  const lock = await DatabaseLock.take(deep, 'the first one', log);
  if (process.platform !== 'linux') return expect(warnings).toHaveLength(lock === null ? 1 : 0);
  await expect(DatabaseLock.take(deep, 'the second', log)).rejects.toMatchObject({ code: 'CONFLICT' });
  await lock!.release();
});

test('where no lock can be acquired, the agent goes on and logs that', async () => {
  await mkdir(`${file}.lock`);
  await writeFile(join(`${file}.lock`, 'in the way'), '');
  await writeFile(join(folder, 'no folder'), '');
  expect(await DatabaseLock.take(join(folder, 'no folder', 'flags.db'), 'somebody', log)).toBeNull();
  expect(warnings).toEqual([expect.stringContaining('cannot lock the database')]);
});

test('a link to a database is the database: one lock, and the link stays', async () => {
  await writeFile(file, 'content');
  const links = ['link.db', 'link-of-link.db'].map((name) => join(folder, name));
  await symlink('flags.db', links[0]!);
  await symlink(links[0]!, links[1]!);
  await symlink('nowhere.db', join(folder, 'dangling.db'));
  await symlink('loop.db', join(folder, 'loop.db'));
  expect([file, ...links].map((path) => databasePlace(path))).toEqual(
    [file, file, file].map((path) => databasePlace(path)),
  );
  expect(databasePlace(join(folder, 'dangling.db'))).toBe(databasePlace(join(folder, 'nowhere.db')));
  expect(basename(databasePlace(join(folder, 'loop.db')))).toBe('loop.db');
  expect(databasePlace('/no/such/folder/flags.db')).toBe('/no/such/folder/flags.db');
});

test('a second agent on one database does not start, names the first, and leaves it alone', async () => {
  const plane = await TestControlPlane.start();
  const vehicle = await TestVehicle.create(plane);
  try {
    await plane.put('eco', { defaultValue: true });
    const first = await vehicle.start();
    await first.ready();
    await expect(vehicle.start()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(new RegExp(`of ${TEST_VIN} with process id ${process.pid}`)),
    });
    expect(first.status()).toMatchObject({ connected: true });
    await first.close();
    const second = await vehicle.start();
    expect(second.booleanValue('eco', false)).toBe(true);
  } finally {
    await vehicle.dispose();
    await plane.stop();
  }
});
