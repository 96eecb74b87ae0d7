/**
 * Last known goods with a control plane of before `noReturnBelow`, faults and releases: it signs definitions without
 * any of them, and the vehicle goes by what it has seen itself.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import type { FlagDefinition } from '../../core/model.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { wireVersions } from '../testing/wire-versions.ts';

/** The control plane of before partitions, the oldest one with which this version of the agent syncs. */
const OLDER = wireVersions().find(({ version }) => version === '1.1.0')!;
const KEYS = ['killed', 'disabled', 'faulty', 'barred'];

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.silent();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

type Changes = Readonly<Record<string, Partial<FlagDefinition>>>;

/** Puts flags, and waits until the agent has stored them. */
async function put(agent: FleetFlagAgent, changes: Changes): Promise<void> {
  for (const [key, change] of Object.entries(changes)) await plane.put(key, change);
  await eventually(() => agent.status().revision === plane.revision, 'the changes are stored');
}

async function reportFatal(agent: FleetFlagAgent, keys: readonly string[]): Promise<void> {
  for (const key of keys) agent.reportFault(key, 'The display stays dark.', 'fatal');
  await agent.faultsWritten();
}

test('a flag goes back, but not past a stop that the vehicle has seen', async () => {
  plane.sdl = OLDER.controlPlane.join('\n');
  await plane.listen();
  for (const key of KEYS) await plane.put(key, { rules: [] });
  // A change set that arrives in parts is whole with the proof of a heartbeat.
  const agent = await vehicle.start({ timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 } });
  await eventually(() => agent.status().revision === plane.revision, 'it holds everything');
  await agent.setVehicleState({ ignition: 'on', moving: true });
  await agent.setVehicleState({ ignition: 'off', moving: false });

  await put(agent, { killed: { rules: [ON, KILL] }, disabled: { enabled: false } });
  await put(agent, { killed: { rules: [ON] }, disabled: { enabled: true, rules: [ON] }, faulty: { rules: [ON] } });
  await reportFatal(agent, KEYS);
  expect(KEYS.map((key) => agent.booleanValue(key, false))).toEqual([true, true, false, false]);
  expect(agent.status().lastKnownGood.returned).toMatchObject([{ key: 'faulty', cause: 'fatal' }]);

  // A kill switch acts in a flag that has gone back. After its update the control plane signs bounds, and they hold.
  await put(agent, { faulty: { rules: [ON, KILL] }, barred: { rules: [ON], noReturnBelow: plane.revision } });
  expect(agent.booleanDetails('faulty', true)).toMatchObject({ value: false, reason: 'DISABLED' });
  await reportFatal(agent, ['barred']);
  expect(agent.booleanValue('barred', false)).toBe(true);
  expect(agent.status().lastKnownGood.returned).toEqual([]);
});
