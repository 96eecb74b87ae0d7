/**
 * The law that a change which waits is active as soon as its condition is met: the change-over waits for the write of
 * the report and for no timer. How long that takes is measured by `npm run bench -- activation`.
 */
import { EventEmitter, once } from 'node:events';
import { get } from 'node:http';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { LocalServer } from '../api/local-server.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { nodeFileSystem, type FileSystem } from '../store/files/durable-file.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';

const KEYS = Array.from({ length: 20 }, (_, index) => `flag_${index}`);
const PARKED = { ignition: 'off', moving: false } as const;
const DRIVING = { ignition: 'on', moving: true } as const;

let plane: TestControlPlane;
let vehicle: TestVehicle;
let isStopped = false;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});
afterEach(async () => {
  startTimers();
  await vehicle.dispose();
  await plane.stop();
});

/** Gives all flags a content, and waits until the agent has it. */
async function putAll(agent: FleetFlagAgent, isOn: boolean): Promise<void> {
  await plane.inOneLook(async () => {
    for (const [index, key] of KEYS.entries())
      await plane.put(key, { rules: isOn ? [ON] : [], activation: index % 2 === 0 ? 'PARKED' : 'NEXT_DRIVE' });
  });
  await eventually(() => agent.status().revision === plane.revision, 'the flags are stored');
}

/** Stops all timers: what waits for one stays where it is. */
function stopTimers(): void {
  jest.useFakeTimers({ doNotFake: ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate'] });
  isStopped = true;
}

/** Has timers run again, those first that have been set meanwhile, so that nothing waits for ever. */
function startTimers(): void {
  if (isStopped) jest.runOnlyPendingTimers();
  isStopped = false;
  jest.useRealTimers();
}

const valuesOf = (agent: FleetFlagAgent) => new Set(KEYS.map((key) => agent.booleanValue(key, false)));

test('changes that wait are active together when the report of the standstill is answered, without any timer', async () => {
  const agent = await vehicle.start();
  await putAll(agent, false);
  const server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  const base = await server.listen();
  const events = new EventEmitter<{ change: [] }>();
  const stream = get(`${base}/v1/events`, (response) =>
    response.on('data', (data: Buffer) => data.includes('refetchEvaluation') && events.emit('change')),
  );
  try {
    await once(events, 'change');
    await agent.setVehicleState(DRIVING);
    await putAll(agent, true);
    expect(agent.status().drive.pending).toHaveLength(KEYS.length);
    expect(valuesOf(agent)).toEqual(new Set([false]));
    const heard: string[] = [];
    agent.onChange(({ key }) => heard.push(key));
    stopTimers();
    const announced = once(events, 'change');
    await agent.setVehicleState(PARKED);
    expect(valuesOf(agent)).toEqual(new Set([true]));
    expect(heard.sort()).toEqual(KEYS.toSorted());
    await announced;
    // While it is parked, its changes are active as soon as they are stored.
    startTimers();
    await putAll(agent, false);
    expect(valuesOf(agent)).toEqual(new Set([false]));
  } finally {
    startTimers();
    stream.on('error', () => undefined).destroy();
    await server.close();
  }
});

test('a disk that cannot be written puts no change off', async () => {
  let isBroken = false;
  const files: FileSystem = {
    ...nodeFileSystem,
    async write(path, bytes) {
      if (isBroken) throw new Error('no space left on device');
      await nodeFileSystem.write(path, bytes);
    },
  };
  const agent = await vehicle.start({ files });
  await putAll(agent, false);
  await agent.setVehicleState(DRIVING);
  await putAll(agent, true);
  expect(valuesOf(agent)).toEqual(new Set([false]));
  stopTimers();
  isBroken = true;
  await agent.setVehicleState(PARKED);
  expect(valuesOf(agent)).toEqual(new Set([true]));
  isBroken = false;
});
