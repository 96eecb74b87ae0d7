import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import initSqlJs from 'sql.js';
import type { RuleDefinition } from '../../core/model.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FlagChange } from '../assembly/agent-events.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';

const FOR_IONIQ_6: RuleDefinition = {
  id: 'target',
  type: 'vehicle_target',
  priority: 1,
  enabled: true,
  conditions: { models: ['Ioniq 6'], sw_version: '>=2.5.0' },
};
const IONIQ_6 = { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' };
const SOON = { heartbeatSpreadMs: 1, resyncMs: 30 };
const OFFLINE = { url: 'ws://127.0.0.1:1/graphql' };

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  await plane.put('heated-wheel', { rules: [FOR_IONIQ_6] });
  await plane.put('other', {});
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

async function start(options: Partial<FleetFlagAgentOptions> = {}): Promise<FleetFlagAgent> {
  const agent = await vehicle.start({ timings: SOON, ...options });
  await agent.ready();
  return agent;
}

async function storedFacts(): Promise<unknown> {
  const database = new (await initSqlJs()).Database(await readFile(vehicle.databaseFile));
  const value = database.exec("SELECT value FROM agent_state WHERE key = 'registered_facts'")[0]?.values[0]?.[0];
  database.close();
  return value;
}

test('an agent without settings evaluates by the registered facts, stores them, and notifies its listeners of the flags that change', async () => {
  plane.registered = IONIQ_6;
  const agent = await start();
  const changes: FlagChange[] = [];
  agent.onChange((change) => changes.push(change));
  await eventually(() => agent.status().vehicle.model === 'Ioniq 6', 'the facts are known');
  await eventually(() => agent.booleanValue('heated-wheel', false), 'they are evaluated');
  if (changes.length > 0) expect(changes.map(({ key }) => key)).toEqual(['heated-wheel']);
  // The vehicle is registered again while it drives.
  plane.registered = { ...IONIQ_6, model: 'Ioniq 5' };
  await eventually(
    () => changes.at(-1)?.key === 'heated-wheel' && !agent.booleanValue('heated-wheel', true),
    'its listener is notified',
  );
  expect(changes.map(({ key }) => key)).not.toContain('other');
  plane.registered = IONIQ_6;
  await eventually(() => agent.booleanValue('heated-wheel', false), 'it is as before');
  await agent.close();
  const offline = await vehicle.start(OFFLINE);
  expect(offline.booleanDetails('heated-wheel', false)).toMatchObject({ value: true, reason: 'TARGETING_MATCH' });
  expect(offline.status().vehicle).toEqual({ ...IONIQ_6, registeredAt: null, differences: [] });
});

test('a vehicle whose registration changed while it was off learns that soon after its start', async () => {
  plane.registered = IONIQ_6;
  const first = await start();
  await eventually(() => first.booleanValue('heated-wheel', false), 'it is known');
  await first.close();
  plane.registered = { ...IONIQ_6, model: 'Ioniq 5' };
  const second = await start({ timings: { heartbeatSpreadMs: 1, resyncMs: 600_000 } });
  await eventually(() => !second.booleanValue('heated-wheel', true), 'it is known');
});

test("a vehicle's own settings win, and the difference is shown", async () => {
  plane.registered = IONIQ_6;
  const warnings: string[] = [];
  const agent = await start({
    vehicle: { swVersion: '2.4.0' },
    log: (level, message) => level === 'warn' && warnings.push(message),
  });
  await eventually(() => agent.status().vehicle.model === 'Ioniq 6', 'the facts are known');
  expect(agent.status().vehicle).toEqual({
    model: 'Ioniq 6',
    swVersion: '2.4.0',
    region: 'EU',
    registeredAt: expect.any(String),
    differences: [{ fact: 'swVersion', own: '2.4.0', registered: '2.5.0' }],
  });
  expect(agent.booleanValue('heated-wheel', true)).toBe(false);
  expect(warnings).toContainEqual(
    expect.stringMatching(/swVersion is "2\.4\.0" in this vehicle's settings but "2\.5\.0" in the registry/),
  );
});

test.each([
  [
    'signed for another vehicle',
    'wrong-vehicle',
    (plane_: TestControlPlane) => plane_.facts('AAAAAAAAAAAAAAAAAAAAAA', 'KMHL14JA5PA000002'),
  ],
  [
    'an answer to an earlier question',
    'wrong-question',
    (plane_: TestControlPlane) => plane_.facts('AAAAAAAAAAAAAAAAAAAAAA'),
  ],
  ['a statement', 'wrong-type', (plane_: TestControlPlane) => plane_.proof()],
  ['no signature at all', 'malformed', () => Promise.resolve('{"model":"Ioniq 6"}')],
])('facts are refused that are %s', async (_what, reason, forge) => {
  plane.registered = IONIQ_6;
  const forged = await forge(plane);
  plane.onFacts = () => forged;
  const agent = await start();
  await eventually(() => (agent.status().refusals[reason as 'wrong-type'] ?? 0) > 0, 'it is refused');
  expect(agent.status().vehicle).toEqual({ registeredAt: null, differences: [] });
  expect(agent.booleanValue('heated-wheel', true)).toBe(false);
});

test('facts that were changed in the file are noticed and requested again', async () => {
  plane.registered = IONIQ_6;
  const agent = await start();
  await eventually(() => agent.status().vehicle.model === 'Ioniq 6', 'they are known');
  await eventually(async () => (await storedFacts()) !== undefined, 'they are stored');
  await agent.close();
  const stored = String(await storedFacts());
  const sql = await initSqlJs();
  const database = new sql.Database(await readFile(vehicle.databaseFile));
  const [header, , signature] = stored.split('.');
  const payload = Buffer.from(
    JSON.stringify({ v: 1, vin: 'KMHL14JA5PA000001', ...IONIQ_6, model: 'Ioniq 5', nonce: 'AAAAAAAAAAAAAAAAAAAAAA' }),
  ).toString('base64url');
  database.run("UPDATE agent_state SET value = ? WHERE key = 'registered_facts'", [
    `${header}.${payload}.${signature}`,
  ]);
  await writeFile(vehicle.databaseFile, database.export());
  database.close();
  const restarted = await start();
  expect(restarted.status().refusals).toMatchObject({ signature: 1 });
  await eventually(() => restarted.booleanValue('heated-wheel', false), 'they are known again');
});
