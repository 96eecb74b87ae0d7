/** The law that a disk which does not answer holds up no change for long: the vehicle goes on from memory. */
import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { nodeFileSystem, type FileSystem } from '../store/files/durable-file.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { ChangeOver } from './change-over.ts';

let plane: TestControlPlane;
let vehicle: TestVehicle;
/** Lets the disk answer again; null while it does. */
let answer: (() => void) | null = null;
let answers: Promise<void> = Promise.resolve();

const files: FileSystem = {
  ...nodeFileSystem,
  write: async (path, bytes) => {
    await answers;
    await nodeFileSystem.write(path, bytes);
  },
};

function hang(): void {
  answers = new Promise((resolve) => (answer = resolve));
}

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});
afterEach(async () => {
  jest.restoreAllMocks();
  answer?.();
  await vehicle.dispose();
  await plane.stop();
});

test('a kill switch is active within seconds and is reported as stored once it is, and the next change as well', async () => {
  const logged: string[] = [];
  await plane.put('eco', { rules: [ON] });
  const agent = await vehicle.start({ files, log: (_level, message) => logged.push(message) });
  await agent.ready();
  await eventually(() => agent.status().store.faults.length === 0 && agent.status().revision === 1, 'it is stored');
  hang();
  await plane.put('eco', { rules: [KILL, ON] });
  await eventually(() => !agent.booleanValue('eco', false), 'the first change is active');
  await plane.put('eco', { rules: [ON] });
  await eventually(() => agent.booleanValue('eco', false), 'the next change is active');
  expect(agent.status()).toMatchObject({ revision: 1, evaluatedRevision: 3 });
  expect(logged.filter((message) => message.startsWith('the disk has not answered'))).toHaveLength(1);
  answer?.();
  await eventually(() => agent.status().revision === 3, 'both are stored');
});

test('an agent that starts evaluates what it has', async () => {
  await plane.put('eco', {});
  const first = await vehicle.start();
  await eventually(() => first.status().revision === 1, 'it is stored');
  // The next start is counted for a recent change.
  await plane.put('eco', { rules: [ON] });
  await eventually(() => first.status().revision === 2, 'the change is stored');
  await first.close();
  hang();
  const agent = await vehicle.start({ files });
  expect([agent.isReady, agent.booleanValue('eco', false)]).toEqual([true, true]);
});

test('a vehicle that has lost its connection meanwhile connects again, and gets a kill switch', async () => {
  await plane.put('eco', { rules: [ON] });
  const agent = await vehicle.start({ files, timings: { heartbeatSpreadMs: 5, resyncMs: 20 } });
  await agent.ready();
  await eventually(() => agent.status().revision === 1, 'it is stored');
  hang();
  plane.registered = { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' };
  await eventually(() => agent.status().vehicle.model === 'Ioniq 6', 'the registered facts wait for their write');
  const { length } = plane.tokens;
  plane.disconnect(1012);
  await eventually(() => plane.tokens.length > length && agent.status().connected, 'it is connected again');
  await plane.put('eco', { rules: [KILL, ON] });
  await eventually(() => !agent.booleanValue('eco', false), 'the kill switch is active');
});

test('several changes that wait for it together wait no longer than one', async () => {
  await plane.put('eco', { rules: [ON] });
  const agent = await vehicle.start({ files });
  await agent.ready();
  await eventually(() => agent.status().revision === 1, 'it is stored');
  hang();
  for (const moving of [false, true, false, true, false, true])
    void agent.setVehicleState({ ignition: moving ? 'on' : 'off', moving });
  await plane.put('eco', { rules: [KILL, ON] });
  // Each write with a wait of its own would take sixteen seconds and more.
  await eventually(() => !agent.booleanValue('eco', true), 'the kill switch is active', 8_000);
});

test('a restored backup that is written late takes back nothing of the sync after it', async () => {
  await plane.put('eco', { rules: [ON] });
  const first = await vehicle.start({ files, timings: { resyncMs: 20 } });
  await first.ready();
  await eventually(() => plane.backupCount > 0, 'there is a backup');
  await first.close();
  for (const end of ['', '.previous', '.queue', '.queue.previous'])
    await rm(vehicle.databaseFile + end, { force: true });
  hang();
  const agent = await vehicle.start({ files });
  await eventually(() => agent.isReady && agent.booleanValue('eco', false), 'it is in sync');
  await plane.put('eco', { rules: [KILL, ON] });
  await eventually(() => !agent.booleanValue('eco', true), 'the kill switch is active');
  const changed: string[] = [];
  agent.onChange(({ key, revision, removed }) => changed.push(`${key} ${revision} ${removed}`));
  answer?.();
  await eventually(() => agent.status().revision === 2 && agent.status().store.writeFault === null, 'all is stored');
  expect(agent.booleanValue('eco', true)).toBe(false);
  expect([agent.status().evaluatedRevision, changed]).toEqual([2, []]);
});

test('the next connection undoes no kill switch of the last one that waits for its turn', async () => {
  await plane.put('eco', { rules: [ON] });
  await plane.put('sport', { rules: [ON] });
  const agent = await vehicle.start({ files });
  await agent.ready();
  await eventually(() => agent.status().revision === 2, 'both are stored');
  let answerSyncs = () => {};
  const syncs = new Promise<void>((resolve) => (answerSyncs = resolve));
  plane.onSync = async (content) => {
    await syncs;
    return content;
  };
  hang();
  void agent.setVehicleState({ ignition: 'off', moving: false });
  const commits = jest.spyOn(ChangeOver.prototype, 'commit');
  await plane.put('eco', { rules: [KILL, ON] });
  await eventually(() => commits.mock.calls.length > 0, 'the kill switch waits for its turn');
  const { length } = plane.tokens;
  plane.disconnect(1012);
  await eventually(() => plane.tokens.length > length, 'it connects again');
  await plane.put('sport', { rules: [KILL, ON] });
  await eventually(() => !agent.booleanValue('sport', true), 'the second kill switch is active');
  expect(agent.booleanValue('eco', true)).toBe(false);
  answerSyncs();
});
