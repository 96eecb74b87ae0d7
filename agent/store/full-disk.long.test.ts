/**
 * Runs the agent as a process of its own whose disk is full, or whose folder is read only. The system itself enforces
 * these limits and rights.
 */
import { spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { KillableProcess, VehicleProgram, type StartOptions } from '../testing/killable-vehicle.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { testUnless } from '../../core/testing/unless.ts';

/** A value of which some make the database larger than the limits here. */
const LARGE = 'x'.repeat(60_000);
const NOBODY = 65_534;
const asRoot = process.getuid?.() === 0;

let program: VehicleProgram;
let plane: TestControlPlane;
let vehicle: TestVehicle;
let running: KillableProcess | null;

beforeAll(async () => {
  program = await VehicleProgram.build();
});

afterAll(() => program?.dispose());

beforeEach(async () => {
  running = null;
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('eco', { type: 'string', defaultValue: 'first' });
});

afterEach(async () => {
  if (running !== null && !running.ended) await running.kill();
  await vehicle.dispose();
  await plane.stop();
});

function start(options: StartOptions = {}, databaseFile = vehicle.databaseFile): KillableProcess {
  const { tokenFile, keysFile } = vehicle;
  running = new KillableProcess(program, [{ url: plane.url, tokenFile, keysFile, databaseFile, round: 0 }], options);
  return running.begin();
}

/** Expects that a start without network has `revision`, and the value that it gives to `eco`. */
async function expectOnDisk(databaseFile: string, revision: number, value: string): Promise<void> {
  const agent = await vehicle.start({ databaseFile, url: 'ws://127.0.0.1:1/graphql' });
  expect(agent.status()).toMatchObject({ ready: true, revision, store: { faults: [] } });
  expect(agent.stringValue('eco', '')).toBe(value);
  await agent.close();
}

test('where a file can grow no further, changes are evaluated, what is reported is what is on disk, and it recovers by itself', async () => {
  // 512 blocks of 512 bytes: POSIX's unit. The kernel answers EFBIG. The measurements that come meanwhile have room.
  const car = start({ wrapper: ['/bin/sh', '-c', 'ulimit -f 512 && exec "$0" "$@"'] });
  await car.saying('revision', (revision) => revision === '1');
  const large = Array.from({ length: 6 }, (_, n) => `large_${n}`);
  for (const key of large) await plane.put(key, { type: 'string', defaultValue: LARGE });
  await plane.put('eco', { defaultValue: 'second' });
  await car.saying('evaluated', (revision) => revision === '8');
  await car.saying('fault', (fault) => fault.includes('EFBIG'));
  expect(Number(car.said('revision'))).toBeLessThan(8);
  for (const key of large) await plane.remove(key);
  await car.saying('revision', (revision) => revision === '14');
  await car.saying('fault', (fault) => fault === '');
  await car.kill();
  await expectOnDisk(vehicle.databaseFile, 14, 'second');
});

// The next test mounts a file system, which not every system allows. The test above and vehicle-store.test.ts run
// anywhere.
const mounting = ['unshare', '--mount', ...(asRoot ? [] : ['--user', '--map-root-user'])];
const canMount =
  spawnSync(mounting[0]!, [...mounting.slice(1), 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', '/tmp']).status ===
  0;

testUnless(canMount ? null : 'this system does not allow mounting a file system')(
  'on a full disk changes are evaluated, what is reported is what is on disk, and it recovers when there is room',
  async () => {
    const disk = join(vehicle.folder, 'disk');
    await mkdir(disk);
    const script = `mount -t tmpfs -o size=512k none '${disk}' && exec "$0" "$@"`;
    const car = start({ wrapper: [...mounting, '/bin/sh', '-c', script] }, join(disk, 'flags.db'));
    await car.saying('revision', (revision) => revision === '1');
    const seen = join(`/proc/${car.child.pid!}/root`, disk);
    const filler = join(seen, 'filler');
    await writeFile(filler, Buffer.alloc(600_000)).catch((error: unknown) =>
      expect(error).toMatchObject({ code: 'ENOSPC' }),
    );
    await plane.put('large', { type: 'string', defaultValue: LARGE });
    await plane.put('eco', { defaultValue: 'second' });
    await car.saying('evaluated', (revision) => revision === '3');
    await car.saying('fault', (fault) => fault.includes('ENOSPC'));
    expect(car.said('revision')).toBe('1');
    await rm(filler);
    await car.saying('revision', (revision) => revision === '3');
    await car.saying('fault', (fault) => fault === '');
    const copy = join(vehicle.folder, 'copy.db');
    await writeFile(copy, await readFile(join(seen, 'flags.db')));
    await car.kill();
    await expectOnDisk(copy, 3, 'second');
  },
);

test('in a folder that is read only, changes are evaluated, what is reported is what is on disk, and it recovers when it may write', async () => {
  const folder = join(vehicle.folder, 'data');
  await mkdir(folder);
  const databaseFile = join(folder, 'flags.db');
  // Root may write anywhere, so as root the test runs the agent as another user.
  if (asRoot) {
    await chmod(vehicle.folder, 0o755);
    for (const path of [folder, vehicle.tokenFile, vehicle.keysFile]) await chown(path, NOBODY, NOBODY);
  }
  const car = start(asRoot ? { uid: NOBODY, gid: NOBODY } : {}, databaseFile);
  await car.saying('revision', (revision) => revision === '1');
  await chmod(folder, 0o500);
  try {
    await plane.put('eco', { defaultValue: 'second' });
    await car.saying('evaluated', (revision) => revision === '2');
    await car.saying('fault', (fault) => fault.includes('EACCES'));
    expect(car.said('revision')).toBe('1');
  } finally {
    await chmod(folder, 0o700);
  }
  await car.saying('revision', (revision) => revision === '2');
  await car.kill();
  await expectOnDisk(databaseFile, 2, 'second');
});
