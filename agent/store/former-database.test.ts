import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import initSqlJs from 'sql.js';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import { writeFormerDatabase, type FormerState } from '../testing/former-database.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { ON } from '../testing/rules.ts';

const DAY_SECONDS = 86_400;
const NOWHERE = { url: 'ws://127.0.0.1:1/graphql' };

let plane: TestControlPlane;
let vehicle: TestVehicle;
/** The time of the last contact, in Unix seconds. */
const contact = Math.floor(Date.UTC(2026, 5, 15) / 1000);
let now: number;

beforeEach(async () => {
  now = contact;
  plane = await TestControlPlane.start();
  plane.now = () => now * 1000;
  vehicle = await TestVehicle.create(plane);
  await plane.put('a', { rules: [ON] });
  await plane.put('b', { rules: [ON] });
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

/** Writes the database that an older agent left at `contact`. */
async function former(changes: Partial<FormerState> = {}): Promise<void> {
  await writeFormerDatabase(vehicle.databaseFile, {
    vin: TEST_VIN,
    revision: 2,
    statement: await plane.statement(2, contact),
    pinnedKeys: { keys: plane.keySet.keys.map(({ kty, crv, kid, x }) => ({ kty, crv, kid, x })) },
    cachedAt: contact,
    ageingTime: contact,
    flags: plane.published,
    ...changes,
  });
}
const start = (options = {}) => vehicle.start({ now: () => now * 1000, ...options });

test('the database of an older agent opens, and keeps its age until the first sync', async () => {
  await former();
  now = contact + 6 * DAY_SECONDS;
  const agent = await start(NOWHERE);
  expect(agent.status()).toMatchObject({
    ready: true,
    revision: 2,
    flags: 2,
    staleFlags: 0,
    proof: { revision: 2, set: null, held: true },
    refusals: {},
    store: { source: 'current', faults: [] },
  });
  expect(agent.booleanDetails('a', false)).toMatchObject({ value: true, reason: 'SPLIT' });
  now = contact + 7 * DAY_SECONDS + 1;
  expect(agent.status().staleFlags).toBe(2);
  await agent.close();
});

test('its revision is not reported before a proof has named its set, and its first sync requests changes only', async () => {
  await former();
  const agent = await start({ timings: { heartbeatSpreadMs: 1 } });
  await eventually(() => agent.status().proof?.set != null, 'a proof is there');
  await eventually(() => plane.heartbeats.at(-1)?.appliedRevision === 2, 'its revision is reported');
  expect(plane.syncs).toEqual([2]);
  await agent.close();
  const database = new (await initSqlJs()).Database(await readFile(vehicle.databaseFile));
  const keys = database.exec('SELECT key FROM agent_state')[0]!.values.flat();
  database.close();
  expect(keys).toContain('proof');
  expect(keys).not.toContain('statement');
});

test('a flag that a relay had withheld from the older agent is found at the first sync', async () => {
  await former({ flags: plane.published.slice(1) });
  const agent = await start();
  await eventually(() => agent.status().flags === 2 && agent.status().proof?.set != null, 'everything is held');
  // Its partition is proven for the first time, so that nobody can tell what it should have had.
  expect(agent.status().refusals).toEqual({});
  expect(plane.syncs).toEqual([2, 0]);
});

test('the old form is accepted only from the file: over the wire, a statement is not a proof', async () => {
  await former();
  now = contact + 8 * DAY_SECONDS;
  plane.onSync = async (answer) => ({ ...answer, proof: await plane.statement(2) });
  plane.onProof = () => plane.statement(2);
  const agent = await start();
  await eventually(() => (agent.status().refusals['wrong-type'] ?? 0) > 1, 'it was refused');
  expect(agent.status()).toMatchObject({ staleFlags: 2, proof: { set: null } });
});
