/** The store where there is room for the flags, but not for the measurements in the same file. */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KILL } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { nodeFileSystem, type FileSystem } from './files/durable-file.ts';

const MEASUREMENTS = 600;

let plane: TestControlPlane;
let vehicle: TestVehicle;
let limitBytes: number;
let code: string;
const files: FileSystem = {
  ...nodeFileSystem,
  async write(path, bytes) {
    if (path.startsWith(vehicle.databaseFile) && bytes.byteLength > limitBytes)
      throw Object.assign(new Error(`${code}: there is no room`), { code });
    await nodeFileSystem.write(path, bytes);
  },
};

beforeEach(async () => {
  [limitBytes, code] = [Infinity, 'ENOSPC'];
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('brakes', { defaultValue: false, rules: [] });
  plane.onReport = () => Promise.reject(new Error('not now'));
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

const flag = { flagKey: 'brakes' };
const track = (agent: FleetFlagAgent, from: number) => {
  for (let n = 0; n < MEASUREMENTS; n++) agent.track('minutes', from + n, flag);
};

/** Starts an agent whose file, with all measurements, is at its limit, and gives it more of them. */
async function startWithoutRoom(): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ files, timings: { metricsWriteMs: 1, metricsIntervalMs: 5 } });
  await eventually(() => agent.status().revision === 1, 'the flag is stored');
  limitBytes = agent.status().cacheBytes + 16_384;
  track(agent, 0);
  return agent;
}

/** Starts an agent without network on a copy of the file, as after a power cut at this moment. */
async function afterPowerCut(): Promise<FleetFlagAgent> {
  const databaseFile = join(vehicle.folder, 'copy.db');
  await copyFile(vehicle.databaseFile, databaseFile);
  return vehicle.start({ databaseFile, url: 'ws://127.0.0.1:1/graphql' });
}

test.each(['ENOSPC', 'EDQUOT', 'EFBIG'])(
  'a kill switch reaches the disk, however many measurements wait (%s)',
  async (lack) => {
    code = lack;
    const agent = await startWithoutRoom();
    await plane.put('brakes', { rules: [KILL] });
    await eventually(() => agent.status().revision === 2, 'the kill switch is on disk');
    await eventually(() => agent.status().store.writeFault?.includes(lack), 'the fault is reported');
    const restarted = await afterPowerCut();
    expect(restarted.evaluate('brakes')?.evaluation.reason).toBe('DISABLED');
    expect(restarted.status()).toMatchObject({ revision: 2, store: { faults: [] }, metrics: { queued: 0 } });
  },
);

test('measurements that had no room are stored and sent once there is room, each of them once', async () => {
  const agent = await startWithoutRoom();
  await plane.put('brakes', { rules: [KILL] });
  await eventually(() => agent.status().revision === 2, 'the kill switch is on disk');
  track(agent, MEASUREMENTS);
  limitBytes = Infinity;
  plane.onReport = () => undefined;
  await eventually(() => agent.status().metrics.queued === 0, 'all measurements are sent');
  await eventually(() => agent.status().store.writeFault === null, 'all is written');
  const accepted = new Map(plane.batches.map(({ batchId, items }) => [batchId, items]));
  const values = [...accepted.values()].flat().filter(({ metricName }) => metricName === 'minutes');
  expect(values.map(({ value }) => value)).toEqual(Array.from({ length: 2 * MEASUREMENTS }, (_, n) => n));
});

test('without room for the flags alone, the former file stays, and the revision is that of the file', async () => {
  const agent = await startWithoutRoom();
  limitBytes = 0;
  await plane.put('brakes', { rules: [KILL] });
  await eventually(() => agent.status().evaluatedRevision === 2, 'the kill switch is in effect');
  await eventually(() => agent.status().store.writeFault !== null, 'the fault is reported');
  expect(agent.status().revision).toBe(1);
  expect((await afterPowerCut()).status()).toMatchObject({ revision: 1, store: { faults: [] } });
});
