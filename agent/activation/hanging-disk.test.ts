/** The law that a disk which does not answer holds up no change for long: the vehicle goes on from memory. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { nodeFileSystem, type FileSystem } from '../store/files/durable-file.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';

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
