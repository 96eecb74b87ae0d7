import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { LocalServer } from '../api/local-server.ts';
import { eventually } from '../../core/testing/eventually.ts';
import type { FlagDefinition } from '../../core/model.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { nodeFileSystem } from '../store/files/durable-file.ts';
import { EU, KILL, ON } from '../testing/rules.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';

const PARKED = { ignition: 'off', moving: false } as const;
const DRIVING = { ignition: 'on', moving: true } as const;
const MESSAGE = 'The display stays dark.';
const DAY_MS = 86_400_000;

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('eco', { rules: [] });
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

async function drive(agent: FleetFlagAgent): Promise<void> {
  await agent.setVehicleState(DRIVING);
  await agent.setVehicleState(PARKED);
}

/** Starts an agent whose flags have served a whole drive. */
async function startProven(options: Parameters<TestVehicle['start']>[0] = {}): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ ...options, timings: { faultsSpreadMs: 1, ...options.timings } });
  await agent.ready();
  await eventually(() => agent.status().revision === plane.revision, 'it holds everything');
  await drive(agent);
  return agent;
}

const returned = (agent: FleetFlagAgent) =>
  agent.status().lastKnownGood.returned.map(({ key, revision, leftRevision }) => [key, revision, leftRevision]);

/** Reports a fatal fault, and waits until the return of the flag is on disk. */
async function goBack(agent: FleetFlagAgent, key = 'eco'): Promise<void> {
  agent.reportFault(key, MESSAGE, 'fatal');
  await agent.faultsWritten();
  expect(returned(agent).map(([name]) => name)).toContain(key);
}

/** Starts another agent on a copy of the files as they are now, as after `kill -9`. */
async function startAfterKill(name: string, isDamaged = false): Promise<FleetFlagAgent> {
  const databaseFile = join(vehicle.folder, name);
  await copyFile(vehicle.databaseFile, databaseFile);
  await copyFile(`${vehicle.databaseFile}.previous`, `${databaseFile}.previous`);
  if (isDamaged) await writeFile(databaseFile, 'no database');
  return vehicle.start({ databaseFile });
}

describe('a fatal fault', () => {
  test('takes its flag back without a connection, over kills and a damaged file, until other content comes', async () => {
    const agent = await startProven();
    await put(agent, 'eco', { rules: [ON] });
    await agent.setVehicleState(DRIVING);
    expect(agent.booleanValue('eco', false)).toBe(true);
    await plane.stop();
    const heard: unknown[] = [];
    agent.onChange((change) => heard.push(change));
    await goBack(agent);
    expect(agent.booleanDetails('eco', true)).toMatchObject({ value: false, flagMetadata: { revision: 1 } });
    expect(heard).toEqual([{ key: 'eco', revision: 1, removed: false }]);
    expect(agent.status().lastKnownGood).toMatchObject({
      kept: 1,
      dropped: [],
      returned: [{ key: 'eco', revision: 1, leftRevision: 2, cause: 'fatal' }],
    });
    const [fault] = agent.status().faults.latest;
    expect(fault).toMatchObject({
      revision: 2,
      kind: 'returned',
      message: `This vehicle has gone back to revision 1. ${MESSAGE}`,
    });
    // The definition that was left does not prove itself by the end of this drive.
    await drive(agent);
    for (const isDamaged of [false, true]) {
      const next = await startAfterKill(`${isDamaged}.db`, isDamaged);
      expect([next.booleanValue('eco', true), returned(next)]).toEqual([false, [['eco', 1, 2]]]);
      await next.close();
    }
    await plane.listen();
    await eventually(() => agent.status().faults.waiting === 0, 'the control plane knows');
    expect(plane.faultReports.flat()).toMatchObject([
      { flagKey: 'eco', revision: 2, kind: 'REPORTED_BY_PROGRAM', message: MESSAGE },
      { flagKey: 'eco', revision: 2, kind: 'RETURNED', message: fault?.message },
    ]);
    // Neither a signature, nor a stage that has not reached the vehicle, is other content.
    await put(agent, 'eco', {
      rules: [ON],
      release: { id: 'r', percentage: 0, next: { defaultValue: true, rules: [] } },
    });
    expect([agent.booleanValue('eco', true), returned(agent)]).toEqual([false, [['eco', 1, 3]]]);
    await put(agent, 'eco', { rules: [ON, { ...EU, enabled: false }] });
    expect([agent.booleanValue('eco', false), returned(agent)]).toEqual([true, []]);
    // It may be faulty, too.
    await goBack(agent);
    expect([agent.booleanValue('eco', true), returned(agent)]).toEqual([false, [['eco', 1, 4]]]);
  });

  test('of content that has proven itself takes nothing back, nor does an error', async () => {
    const agent = await startProven();
    agent.reportFault('eco', MESSAGE, 'fatal');
    await put(agent, 'eco', { rules: [ON] });
    agent.reportFault('eco', MESSAGE);
    await put(agent, 'other', {});
    expect([agent.booleanValue('eco', false), returned(agent)]).toEqual([true, []]);
  });

  test('waits for the end of the drive where the kill switch does', async () => {
    await plane.put('eco', { activation: 'PARKED', killActivation: 'PARKED' });
    const agent = await startProven();
    await put(agent, 'eco', { rules: [ON], activation: 'PARKED', killActivation: 'PARKED' });
    await agent.setVehicleState(DRIVING);
    await goBack(agent);
    expect(agent.booleanDetails('eco', false)).toMatchObject({ value: true, flagMetadata: { pendingRevision: 2 } });
    for (const isDamaged of [false, true]) {
      const next = await startAfterKill(`${isDamaged}.db`, isDamaged);
      expect([next.booleanValue('eco', false), returned(next)]).toEqual([true, [['eco', 2, 3]]]);
      await next.close();
    }
    await agent.setVehicleState(PARKED);
    expect(agent.booleanDetails('eco', true)).toMatchObject({ value: false, flagMetadata: { revision: 2 } });
  });

  test('takes back what a drive has latched, though other content waits for its end', async () => {
    await plane.put('eco', { activation: 'NEXT_DRIVE' });
    const agent = await startProven();
    await put(agent, 'eco', { rules: [ON], activation: 'NEXT_DRIVE' });
    await agent.setVehicleState(DRIVING);
    await put(agent, 'eco', { rules: [ON, EU], activation: 'NEXT_DRIVE' });
    agent.reportFault('eco', MESSAGE, 'fatal');
    await eventually(() => !agent.booleanValue('eco', true), 'it has gone back');
    await put(agent, 'other', {});
    expect(agent.booleanValue('eco', true)).toBe(false);
    const next = await startAfterKill('latched.db');
    expect(next.booleanDetails('eco', true)).toMatchObject({
      value: false,
      reason: 'DEFAULT',
      flagMetadata: { revision: 2, pendingRevision: 4 },
    });
    await agent.setVehicleState(PARKED);
    expect(agent.booleanDetails('eco', false)).toMatchObject({ value: true, flagMetadata: { revision: 4 } });
  });

  test('leads past no kill switch, and not below what the control plane rules out', async () => {
    for (const key of ['killed', 'barred', 'later']) await plane.put(key, { rules: [] });
    const agent = await startProven();
    const first = plane.revision;
    await put(agent, 'killed', { rules: [ON, KILL] });
    await put(agent, 'killed', { rules: [ON] });
    await put(agent, 'barred', { rules: [ON], noReturnBelow: first + 1 });
    for (const key of ['killed', 'barred']) agent.reportFault(key, MESSAGE, 'fatal');
    await put(agent, 'later', { rules: [ON] });
    await goBack(agent, 'later');
    expect(['killed', 'barred', 'later'].map((key) => agent.booleanValue(key, false))).toEqual([true, true, false]);
    // A kill switch acts in a flag that has gone back, and so does a bound that comes later.
    await put(agent, 'later', { rules: [ON], noReturnBelow: plane.revision });
    expect([agent.booleanValue('later', false), returned(agent)]).toEqual([true, []]);
    await put(agent, 'eco', { rules: [ON] });
    await goBack(agent);
    await put(agent, 'eco', { rules: [ON, KILL] });
    expect(agent.booleanDetails('eco', true)).toMatchObject({ value: false, reason: 'DISABLED' });
    expect(returned(agent)).toEqual([]);
  });

  test('goes by the dependencies of what is left', async () => {
    await plane.put('eco', { rules: [ON] });
    await plane.put('base', { rules: [] });
    const agent = await startProven();
    await put(agent, 'eco', { rules: [ON, EU], requires: [{ flag: 'base' }] });
    await goBack(agent);
    expect(agent.booleanDetails('eco', true)).toMatchObject({ value: false, reason: 'PREREQUISITE_FAILED' });
    await put(agent, 'base', { rules: [ON] });
    expect(agent.booleanDetails('eco', false)).toMatchObject({ value: true, flagMetadata: { revision: 2 } });
    await agent.setVehicleState(DRIVING);
    const next = await startAfterKill('base.db');
    expect(next.booleanDetails('eco', false)).toMatchObject({ value: true, flagMetadata: { revision: 2 } });
  });

  test('comes over HTTP, and a severity of another name is refused', async () => {
    const agent = await startProven();
    await put(agent, 'eco', { rules: [ON] });
    const server = new LocalServer({ host: '127.0.0.1', port: 0, agent });
    const url = await server.listen();
    try {
      const response = await fetch(`${url}/v1/fault`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ flagKey: 'eco', message: MESSAGE, severity: 'fatal' }),
      });
      expect(response.status).toBe(202);
      expect(agent.booleanValue('eco', true)).toBe(false);
      const status = (await (await fetch(`${url}/v1/status`)).json()) as { lastKnownGood: { returned: unknown[] } };
      expect(status.lastKnownGood.returned).toHaveLength(1);
    } finally {
      await server.close();
    }
    expect(() => agent.reportFault('eco', MESSAGE, 'mild' as never)).toThrow('A severity must be "error" or "fatal".');
  });
});

describe('faults of many flags', () => {
  const KEYS = Array.from({ length: 20 }, (_, n) => `flag_${n}`);
  const { writes, lines } = { writes: [] as string[], lines: [] as string[] };

  async function startDriving(change: Partial<FlagDefinition> | null): Promise<FleetFlagAgent> {
    for (const key of KEYS) await plane.put(key, { rules: [] });
    const agent = await startProven({
      files: {
        ...nodeFileSystem,
        write: (path, bytes) => (writes.push(path), nodeFileSystem.write(path, bytes)),
      },
      log: (_level, line) => void lines.push(line),
    });
    if (change !== null) for (const key of KEYS) await plane.put(key, change);
    await eventually(() => agent.status().revision === plane.revision, 'it holds everything');
    await agent.setVehicleState(DRIVING);
    [writes.length, lines.length] = [0, 0];
    return agent;
  }

  const written = () => writes.filter((path) => path === `${vehicle.databaseFile}.next`).length;
  const report = (agent: FleetFlagAgent) => KEYS.forEach((key) => agent.reportFault(key, MESSAGE, 'fatal'));

  test('write the file once, so that a kill switch does not wait for as many writes, and are logged once each', async () => {
    const agent = await startDriving(null);
    for (let round = 0; round < 50; round++) report(agent);
    await agent.faultsWritten();
    expect(written()).toBe(1);
    report(agent);
    await agent.faultsWritten();
    expect(written()).toBe(1);
    expect(lines.filter((line) => line.includes('cannot go back'))).toHaveLength(KEYS.length);
  });

  test('take all of them back with one write of each generation', async () => {
    const agent = await startDriving({ rules: [ON] });
    report(agent);
    await agent.faultsWritten();
    expect(returned(agent).map(([key]) => key)).toEqual(KEYS);
    expect(written()).toBe(2);
    const next = await startAfterKill('damaged.db', true);
    expect(returned(next).map(([key]) => key)).toEqual(KEYS);
  });
});

test('a control plane that does not know returns gets one in the message of the fault that has caused it', async () => {
  plane.onFaults = (faults) => {
    const position = faults.findIndex(({ kind }) => kind === 'RETURNED');
    if (position === -1) return;
    throw new GraphQLError('refused', {
      extensions: { code: 'BAD_USER_INPUT', field: `input.faults.${position}.kind` },
    });
  };
  const agent = await startProven();
  await put(agent, 'eco', { rules: [ON] });
  await goBack(agent);
  await eventually(() => agent.status().faults.waiting === 0, 'the control plane has what it accepts');
  expect(agent.status().faults.latest).toMatchObject([{ kind: 'reported_by_program', sent: true }]);
  expect(plane.faultReports.at(-1)).toMatchObject([
    { kind: 'REPORTED_BY_PROGRAM', message: `This vehicle has gone back to revision 1. ${MESSAGE}` },
  ]);
});

test('the third start within ten minutes of an activation takes the flag back before a program can ask for it', async () => {
  const agent = await startProven();
  await put(agent, 'eco', { rules: [ON] });
  await agent.close();
  await plane.stop();
  for (let starts = 1; starts < 3; starts++) {
    const next = await vehicle.start();
    expect(next.booleanValue('eco', false)).toBe(true);
    await next.close();
  }
  const last = await vehicle.start();
  expect(last.booleanValue('eco', true)).toBe(false);
  expect(last.status().lastKnownGood.returned).toMatchObject([{ key: 'eco', cause: 'restarts' }]);
  expect(last.status().faults.latest).toMatchObject([
    { kind: 'returned', message: expect.stringMatching(/^This vehicle has gone back to revision 1\. The agent/) },
    { kind: 'restarts', message: expect.stringMatching(/^The agent/) },
  ]);
});

describe('content proves itself', () => {
  test('by no standstill that nobody has reported, and by no drive with a fault', async () => {
    const agent = await vehicle.start({ timings: { faultsSpreadMs: 1 } });
    await agent.ready();
    // The agent knew of no drive: the vehicle was parked when it started.
    await agent.setVehicleState(PARKED);
    expect(agent.status().lastKnownGood.kept).toBe(0);
    await agent.setVehicleState(DRIVING);
    agent.reportFault('eco', MESSAGE);
    await agent.setVehicleState(PARKED);
    expect(agent.status().lastKnownGood.kept).toBe(0);
    // The next drive is without one.
    await drive(agent);
    expect(agent.status().lastKnownGood.kept).toBe(1);
  });

  test('by no part of a drive', async () => {
    const agent = await vehicle.start();
    await agent.ready();
    await agent.setVehicleState(DRIVING);
    await put(agent, 'eco', { rules: [ON] });
    await put(agent, 'new', {});
    await agent.setVehicleState(PARKED);
    expect(agent.status().lastKnownGood.kept).toBe(0);
  });

  test('and is forgotten when it is past its TTL', async () => {
    let offsetMs = 0;
    const agent = await startProven({ now: () => Date.now() + offsetMs });
    await put(agent, 'eco', { rules: [ON] });
    await plane.stop();
    await goBack(agent);
    offsetMs = 8 * DAY_MS;
    expect(agent.booleanDetails('eco', true)).toMatchObject({ value: false, reason: 'STALE' });
  });
});
