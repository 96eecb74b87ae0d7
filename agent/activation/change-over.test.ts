import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import type { FlagDefinition, RuleDefinition } from '../../core/model.ts';
import { LocalServer } from '../api/local-server.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { EU, KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';

const PARKED = { ignition: 'off', moving: false } as const;
const DRIVING = { ignition: 'on', moving: true } as const;
const RANDOM: RuleDefinition = { ...ON, id: 'random', conditions: { rollout_percentage: 50, sticky: false } };

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

/** Puts a flag, and waits until the agent has stored it. */
async function put(agent: FleetFlagAgent, key: string, change: Partial<FlagDefinition>): Promise<void> {
  await plane.put(key, change);
  await eventually(() => agent.status().revision === plane.revision, 'the change is stored');
}

/**
 * Starts another agent on a copy of the files as they are now, as after `kill -9`.
 *
 * @param isDamaged whether the newer of the two files cannot be read
 */
async function startAfterKill(
  name: string,
  options: Parameters<TestVehicle['start']>[0] = {},
  isDamaged = false,
): Promise<FleetFlagAgent> {
  const databaseFile = join(vehicle.folder, name);
  await copyFile(vehicle.databaseFile, databaseFile);
  await copyFile(`${vehicle.databaseFile}.previous`, `${databaseFile}.previous`);
  if (isDamaged) await writeFile(databaseFile, 'no database');
  return vehicle.start({ databaseFile, ...options });
}

describe('a flag with NEXT_DRIVE', () => {
  test('waits for the end of the drive, which is shown everywhere, and is heard of when it is active', async () => {
    await plane.put('eco', { activation: 'NEXT_DRIVE' });
    const agent = await vehicle.start({ timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 } });
    await agent.ready();
    await agent.setVehicleState(DRIVING);
    const heard: unknown[] = [];
    agent.onChange((change) => heard.push(change));
    await put(agent, 'eco', { rules: [ON] });
    expect(agent.booleanDetails('eco', true)).toMatchObject({
      value: false,
      flagMetadata: { revision: 1, pendingRevision: 2 },
    });
    const pending = [{ key: 'eco', activeRevision: 1, revision: 2, removed: false }];
    expect(agent.status().drive).toMatchObject({ ...DRIVING, parked: false, reported: true, pending });
    await eventually(() => plane.heartbeats.at(-1)?.pending?.[0]?.key === 'eco', 'the control plane knows');
    expect(plane.heartbeats.at(-1)).toMatchObject({ appliedRevision: 2, pending: [{ key: 'eco', revision: 2 }] });
    expect(heard).toEqual([]);

    await agent.setVehicleState(PARKED);
    expect(agent.booleanDetails('eco', false)).toMatchObject({ value: true, flagMetadata: { revision: 2 } });
    expect(agent.booleanDetails('eco', false).flagMetadata).not.toHaveProperty('pendingRevision');
    expect(heard).toEqual([{ key: 'eco', revision: 2, removed: false }]);
    expect(agent.status().drive).toMatchObject({ ...PARKED, parked: true, pending: [] });
    await eventually(() => plane.heartbeats.at(-1)?.pending === undefined, 'the control plane knows that, too');
    // While it is parked, changes are active at once.
    await put(agent, 'eco', { rules: [] });
    expect(agent.booleanValue('eco', true)).toBe(false);
  });

  test('waits for the next start where nobody reports the state of the vehicle', async () => {
    await plane.put('eco', { activation: 'NEXT_DRIVE' });
    const agent = await vehicle.start();
    await agent.ready();
    await put(agent, 'eco', { rules: [ON] });
    expect(agent.booleanValue('eco', true)).toBe(false);
    const next = await startAfterKill('next.db');
    expect(next.booleanValue('eco', false)).toBe(true);
    expect(next.status().drive).toMatchObject({ ignition: null, moving: null, reported: false, pending: [] });
  });

  test('keeps its value over a kill in mid-drive, and over the loss of the newer file', async () => {
    await plane.put('eco', { activation: 'NEXT_DRIVE' });
    const agent = await vehicle.start();
    await agent.ready();
    await agent.setVehicleState(DRIVING);
    // Nothing has been written since the drive began.
    const early = await startAfterKill('early.db', {}, true);
    expect(early.status().store).toMatchObject({ source: 'previous' });
    expect(early.status().drive).toMatchObject({ parked: false, reported: true });
    await early.close();
    await put(agent, 'eco', { rules: [ON] });
    await put(agent, 'new', { rules: [ON], activation: 'PARKED' });
    await plane.remove('eco');
    await eventually(() => agent.status().revision === plane.revision, 'the removal is stored');
    for (const isDamaged of [false, true]) {
      const next = await startAfterKill(`${isDamaged}.db`, {}, isDamaged);
      await eventually(() => next.status().revision === plane.revision, 'it has synced');
      expect(next.booleanDetails('eco', true)).toMatchObject({ value: false, flagMetadata: { revision: 1 } });
      expect(next.flagKeys()).toEqual(['eco']);
      await next.setVehicleState(PARKED);
      expect(next.flagKeys()).toEqual(['new']);
      expect(next.booleanValue('new', false)).toBe(true);
      await next.close();
    }
  });

  test('keeps the facts and the draw of its drive, over a restart with others', async () => {
    const keys = Array.from({ length: 12 }, (_, index) => `draw_${index}`);
    await plane.inOneLook(async () => {
      for (const key of keys) await plane.put(key, { rules: [RANDOM], activation: 'NEXT_DRIVE' });
      await plane.put('region', { rules: [EU], activation: 'NEXT_DRIVE' });
      await plane.put('free', { rules: [EU] });
    });
    const agent = await vehicle.start({ vehicle: { region: 'EU' } });
    await agent.ready();
    await eventually(() => agent.status().revision === plane.revision, 'it holds everything');
    await agent.setVehicleState(DRIVING);
    const values = (of: FleetFlagAgent) => keys.map((key) => of.booleanValue(key, false));
    const drawn = values(agent);
    const next = await startAfterKill('moved.db', { vehicle: { region: 'KR' } });
    expect(values(next)).toEqual(drawn);
    expect([next.booleanValue('region', false), next.booleanValue('free', true)]).toEqual([true, false]);
    await next.setVehicleState(PARKED);
    expect(next.booleanValue('region', true)).toBe(false);
  });

  test('does not wait for a kill switch, unless that waits itself', async () => {
    await plane.put('eco', { rules: [ON], activation: 'NEXT_DRIVE' });
    await plane.put('brake', { rules: [ON], activation: 'NEXT_DRIVE', killActivation: 'PARKED' });
    const agent = await vehicle.start();
    await agent.ready();
    await eventually(() => agent.status().revision === plane.revision, 'it holds everything');
    await put(agent, 'eco', { rules: [ON, KILL] });
    await put(agent, 'brake', { rules: [ON, KILL] });
    expect([agent.booleanValue('eco', true), agent.booleanValue('brake', false)]).toEqual([false, true]);
    await agent.setVehicleState(PARKED);
    expect(agent.booleanValue('brake', true)).toBe(false);
  });

  test('takes what the first sync brings, though a drive has begun', async () => {
    await plane.put('eco', { rules: [ON], activation: 'NEXT_DRIVE' });
    const agent = await vehicle.start();
    await agent.setVehicleState(DRIVING);
    await agent.ready();
    expect(agent.booleanValue('eco', false)).toBe(true);
  });
});

test('a report that is valid for some time no longer means parked after it, by either clock', async () => {
  await plane.put('eco', { activation: 'PARKED' });
  let offsetMs = 0;
  const agent = await vehicle.start({ now: () => Date.now() + offsetMs });
  await agent.ready();
  await agent.setVehicleState({ ...PARKED, validForSeconds: 3600 });
  expect(agent.status().drive.parked).toBe(true);
  offsetMs = 3_601_000;
  await put(agent, 'eco', { rules: [ON] });
  expect(agent.booleanValue('eco', true)).toBe(false);
  expect(agent.status().drive).toMatchObject({ ignition: null, parked: false, reported: true });
  await agent.setVehicleState({ ...PARKED, validForSeconds: 0.05 });
  expect(agent.booleanValue('eco', false)).toBe(true);
  await eventually(() => !agent.status().drive.parked, 'it has expired');
});

test('an older control plane, which knows no pending flags, gets the rest of the heartbeat', async () => {
  const older = await TestControlPlane.silent();
  older.sdl = older.sdl.replace(' pending: [PendingFlagInput!]', '');
  await older.listen();
  const other = await TestVehicle.create(older);
  try {
    await older.put('eco', { activation: 'PARKED' });
    const agent = await other.start({ timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 } });
    await agent.ready();
    await older.put('eco', { rules: [ON] });
    await eventually(() => older.heartbeats.at(-1)?.appliedRevision === 2, 'the revision is reported');
    expect(older.heartbeats.at(-1)).not.toHaveProperty('pending');
    expect(agent.status().drive.pending).toHaveLength(1);
  } finally {
    await other.dispose();
    await older.stop();
  }
});

test('programs of any language report the state of the vehicle over HTTP', async () => {
  const agent = await vehicle.start();
  const server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
  try {
    const url = `${await server.listen()}/v1/vehicle-state`;
    const report = (body: string) =>
      fetch(url, { method: 'PUT', headers: { 'content-type': 'application/json' }, body });
    expect((await report(JSON.stringify(PARKED))).status).toBe(204);
    expect(agent.status().drive).toMatchObject({ ...PARKED, parked: true });
    for (const [body, errorCode, field] of [
      ['{"ignition":"off"}', 'BAD_USER_INPUT', 'moving'],
      ['{"ignition":"off","moving":false,"validForSeconds":0}', 'BAD_USER_INPUT', 'validForSeconds'],
      ['[]', 'PARSE_ERROR', undefined],
      ['{', 'PARSE_ERROR', undefined],
    ] as const) {
      const answer = await report(body);
      const refusal = (await answer.json()) as Record<string, unknown>;
      expect([answer.status, refusal['errorCode'], refusal['field']]).toEqual([400, errorCode, field]);
    }
    expect(agent.status().drive.parked).toBe(true);
    await agent.close();
    expect((await report(JSON.stringify(DRIVING))).status).toBe(503);
  } finally {
    await server.close();
  }
});
