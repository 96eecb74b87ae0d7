/** A vehicle gets the flags of its model and no others, whatever comes over the wire. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import initSqlJs from 'sql.js';
import { eventually } from '../../core/testing/eventually.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TEST_VIN, TestControlPlane } from '../testing/control-plane.ts';
import type { ChangeMessage, SyncMessage } from '../testing/wire-messages.ts';
import { KILL, ON } from '../testing/rules.ts';
import { createSigningKey } from '../testing/signing.ts';
import { TestVehicle } from '../testing/test-vehicle.ts';
import { wireVersions } from '../testing/wire-versions.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';

const OTHER_VIN = 'KMHL14JA5PA000002';
const NEVER_MS = 1_000_000;

let plane: TestControlPlane;
let vehicle: TestVehicle;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  plane.register('EV6');
  plane.register('Kona', OTHER_VIN);
  await plane.put('all', { rules: [ON] });
});

afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

const keysOf = (agent: FleetFlagAgent) => [...agent.flagKeys()].sort();
const at = (agent: FleetFlagAgent, partition: string) =>
  eventually(() => {
    const { evaluatedRevision, partition: own } = agent.status();
    return own === partition && evaluatedRevision === plane.revision;
  }, `it has partition ${partition} at the present revision`);

/** Starts an agent and waits until it has its partition. */
async function synced(timings: NonNullable<Parameters<TestVehicle['start']>[0]>['timings'] = {}) {
  const logged: string[] = [];
  const agent = await vehicle.start({ timings, log: (_level, message) => logged.push(message) });
  await at(agent, plane.partitionOf());
  return { agent, logged };
}

test('a scope that names its model gives a vehicle a partition of its own, with its first changes only', async () => {
  const { agent, logged } = await synced();
  expect(agent.status()).toMatchObject({ partition: '*', refusals: {} });
  plane.syncs.length = 0;
  await plane.put('only_ev6', { scope: ['EV6'], rules: [ON] });
  await at(agent, 'EV6');
  expect(keysOf(agent)).toEqual(['all', 'only_ev6']);
  expect(plane.syncs).toEqual([1]);
  expect(logged).toContain('this vehicle now gets the flags of partition "EV6", and no longer those of "*"');
});

test('flags of other models come and go without a message to it, and it moves on with the proof of a heartbeat', async () => {
  await plane.put('only_ev6', { scope: ['EV6'] });
  const { agent } = await synced({ heartbeatMs: 20, heartbeatSpreadMs: 1 });
  plane.syncs.length = 0;
  let messages = 0;
  plane.onChange = (change) => {
    messages += 1;
    return [change];
  };
  await plane.put('only_kona', { scope: ['Kona'] });
  await plane.put('only_kona', { enabled: false });
  await plane.remove('only_kona');
  await at(agent, 'EV6');
  expect([messages, plane.syncs, keysOf(agent)]).toEqual([0, [], ['all', 'only_ev6']]);
  // A proof that comes before its change is a reason to sync, so no more of them come.
  let isAsked = false;
  plane.onProof = () => {
    isAsked = true;
    return new Promise<never>(() => undefined);
  };
  await eventually(() => isAsked, 'the last proof has come');
  // The change before this one that concerned it is at revision 2.
  await plane.put('all', { enabled: false });
  await at(agent, 'EV6');
  expect([messages, plane.syncs, agent.status().refusals]).toEqual([1, [], {}]);
});

test('a narrowed scope takes a flag away by a tombstone of the partition, and a widened one brings it back', async () => {
  await plane.put('a', { scope: ['EV6', 'Kona'] });
  const { agent } = await synced();
  await plane.put('a', { scope: ['Kona'] });
  await at(agent, 'EV6');
  expect(keysOf(agent)).toEqual(['all']);
  await plane.put('a', { scope: null });
  await at(agent, 'EV6');
  expect(keysOf(agent)).toEqual(['a', 'all']);
});

test('registered as another model, it keeps what it has until the other partition is proven, and then replaces all in one write', async () => {
  await plane.put('only_ev6', { scope: ['EV6'], rules: [ON] });
  await plane.put('only_kona', { scope: ['Kona'], rules: [ON] });
  const { agent } = await synced();
  const seen: string[][] = [];
  agent.onChange(() => void seen.push(keysOf(agent)));
  let busy = true;
  plane.onNonce = () => {
    if (busy) throw new GraphQLError('Busy.', { extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 0 } });
  };
  const { length } = plane.nonces;
  plane.register('Kona');
  await eventually(() => plane.nonces.length > length, 'it asks which partition it has');
  await plane.put('all', { defaultValue: true });
  expect(keysOf(agent)).toEqual(['all', 'only_ev6']);
  expect(agent.booleanValue('only_ev6', false)).toBe(true);
  expect(agent.status()).toMatchObject({ partition: 'EV6', revision: 3 });
  busy = false;
  await at(agent, 'Kona');
  expect(keysOf(agent)).toEqual(['all', 'only_kona']);
  for (const keys of seen) expect([['all', 'only_ev6'].join(), ['all', 'only_kona'].join()]).toContain(keys.join());
  expect(agent.status().refusals).not.toHaveProperty('incomplete');
});

test('a kill switch of a flag in both partitions takes effect before the new one is proven, and one of another scope does not', async () => {
  await plane.put('only_ev6', { scope: ['EV6'], rules: [ON] });
  await plane.put('only_kona', { scope: ['Kona'], rules: [ON] });
  const { agent } = await synced();
  plane.onNonce = () => {
    throw new GraphQLError('Busy.', { extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 60 } });
  };
  plane.register('Kona');
  await eventually(() => plane.streams === 1, 'it has subscribed again');
  await plane.put('all', { rules: [KILL] });
  await eventually(() => agent.evaluate('all')?.evaluation.reason === 'DISABLED', 'it is killed');
  // The flag of its own partition is killed in a definition that is for another model by now.
  await plane.put('only_ev6', { scope: ['Kona'], rules: [KILL] });
  await eventually(() => (agent.status().refusals['wrong-partition'] ?? 0) > 1, 'it is refused');
  expect(agent.booleanDetails('only_ev6', false)).toMatchObject({ value: true, reason: 'SPLIT' });
  expect(agent.status()).toMatchObject({ partition: 'EV6', revision: 3 });
});

test('what belongs to another partition is refused however authentic it is, is no gap, and causes no sync', async () => {
  await plane.put('only_ev6', { scope: ['EV6'] });
  await plane.put('only_kona', { scope: ['Kona'] });
  const { agent } = await synced({ rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS });
  let foreign: ChangeMessage | null = null;
  plane.listeners.add((change, partition) => {
    if (partition === 'Kona') foreign = change;
  });
  await plane.put('only_kona', { enabled: false, scope: ['Kona'] });
  await eventually(() => foreign !== null, 'the other vehicle has its change');
  const own = await plane.proof();
  plane.syncs.length = 0;
  plane.onChange = (change) =>
    Array.from({ length: 5 }, (_, place) => ({ ...foreign!, revision: 5 + place, previousRevision: 4 + place }))
      .map((message) => ({
        ...message,
        revision: foreign!.revision,
        previousRevision: foreign!.revision - 1,
        proof: own,
      }))
      .concat([change]);
  await plane.put('all', { enabled: false });
  await at(agent, 'EV6');
  expect(agent.status().refusals).toEqual({ 'wrong-partition': 5 });
  expect([plane.syncs, keysOf(agent)]).toEqual([[], ['all', 'only_ev6']]);
});

test('without a scope in its partition, a definition with one is refused', async () => {
  const { agent } = await synced({ rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS });
  let foreign: ChangeMessage | null = null;
  plane.listeners.add((change, partition) => {
    if (partition === 'Kona') foreign = change;
  });
  plane.onChange = (change) => (foreign === null ? [change] : [foreign, change]);
  await plane.put('only_kona', { scope: ['Kona'] });
  await plane.put('all', { enabled: false });
  await at(agent, '*');
  expect(agent.status().refusals['wrong-partition']).toBeGreaterThan(0);
  expect(keysOf(agent)).toEqual(['all']);
});

test('an assignment counts with its own open nonce and its own VIN only', async () => {
  await plane.put('only_ev6', { scope: ['EV6'] });
  await plane.put('only_kona', { scope: ['Kona'] });
  const seen: SyncMessage[] = [];
  plane.onSync = (answer) => {
    seen.push(answer);
    return answer;
  };
  const { agent } = await synced();
  await agent.close();
  const older = seen.find(({ proof }) => proof.includes('.'))!;
  plane.register('Kona');
  const ofAnother = await plane.sync(0, 'A'.repeat(22), OTHER_VIN);
  for (const [recorded, reason] of [
    [older, 'wrong-question'],
    [ofAnother, 'wrong-vehicle'],
  ] as const) {
    plane.onSync = () => recorded;
    plane.onProof = () => recorded.proof;
    const again = await vehicle.start({ timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 } });
    await eventually(() => (again.status().refusals[reason] ?? 0) > 1, `it is refused as ${reason}`);
    expect(again.status()).toMatchObject({ partition: 'EV6', revision: 3, flags: 2 });
    await again.close();
  }
  plane.onSync = (answer) => answer;
  plane.onProof = (proof) => proof;
  const honest = await vehicle.start();
  await at(honest, 'Kona');
  expect(keysOf(honest)).toEqual(['all', 'only_kona']);
});

test('the form without a partition is refused once there is one', async () => {
  const { agent } = await synced({ heartbeatMs: 20, heartbeatSpreadMs: 1 });
  plane.onProof = () => plane.proof({ named: null });
  await plane.put('all', { enabled: false });
  await eventually(() => (agent.status().refusals['wrong-partition'] ?? 0) > 0, 'it is refused');
});

test('the partition is known after a restart without a network, and a file with that of another vehicle is noticed', async () => {
  await plane.put('only_ev6', { scope: ['EV6'] });
  const { agent } = await synced();
  await agent.close();
  const url = 'ws://127.0.0.1:1/graphql';
  const offline = await vehicle.start({ url });
  expect(offline.status()).toMatchObject({ partition: 'EV6', revision: 2, flags: 2, store: { faults: [] } });
  await offline.close();

  const ofAnother = await plane.proof({ partition: 'EV6', nonce: 'A'.repeat(22), vin: OTHER_VIN });
  const ofKona = await plane.proof({ partition: 'Kona', nonce: 'A'.repeat(22), vin: TEST_VIN });
  for (const [jws, refusals, partition] of [
    [ofAnother, { 'wrong-vehicle': 1 }, null],
    ['', { 'stored-flag': 1 }, null],
    // Its own former assignment: flags and proof are not of that partition.
    [ofKona, { 'wrong-partition': 1, 'stored-flag': 1 }, 'Kona'],
  ] as const) {
    const stored = await readFile(vehicle.databaseFile);
    const database = new (await initSqlJs()).Database(stored);
    database.run("UPDATE agent_state SET value = ? WHERE key = 'assignment'", [jws]);
    await writeFile(vehicle.databaseFile, database.export());
    database.close();
    const changed = await vehicle.start({ url });
    expect(changed.status()).toMatchObject({ partition, revision: 0, refusals });
    await changed.close();
    await writeFile(vehicle.databaseFile, stored);
  }
});

test('a relay that ends subscriptions gains one question for the partition, and the vehicle goes on', async () => {
  const { agent } = await synced({ rareBackoffMs: NEVER_MS, rareBackoffCapMs: NEVER_MS });
  const { length } = plane.nonces;
  for (let end = 0; end < 4; end++) {
    plane.endStreams();
    await eventually(() => plane.streams === 1, 'it has subscribed again');
  }
  await plane.put('all', { enabled: false });
  await at(agent, '*');
  expect(plane.tokens).toHaveLength(1);
  expect(plane.nonces.length - length).toBeLessThanOrEqual(1);
  // After the fifth end within a minute, the connection counts as broken.
  for (let end = 0; end < 3; end++) {
    plane.endStreams();
    await eventually(() => plane.streams === 1, 'it has subscribed again');
  }
  expect(plane.tokens.length).toBeGreaterThan(1);
});

test('with an older control plane, a vehicle with a partition keeps its flags and says why, and one without uses the older operations', async () => {
  const { agent } = await synced();
  await agent.close();
  await plane.stop();
  const current = plane.sdl;
  plane.sdl = wireVersions()
    .find(({ version }) => version === '1.1.0')!
    .controlPlane.join('\n');
  await plane.listen();
  await plane.put('all', { enabled: false });
  const logged: string[] = [];
  const again = await vehicle.start({ log: (_level, message) => logged.push(message) });
  await eventually(() => logged.some((line) => /does not know partitions/.test(line)), 'it says why');
  expect(again.booleanDetails('all', false)).toMatchObject({ value: true, reason: 'SPLIT' });
  expect(again.status()).toMatchObject({ partition: '*', revision: 1, connected: true });

  const other = await TestVehicle.create(plane);
  try {
    const unbound = await other.start();
    await eventually(() => unbound.status().revision === 2, 'it has its flags');
    expect(unbound.status()).toMatchObject({ partition: null, flags: 1, refusals: {} });
    await plane.stop();
    plane.sdl = current;
    await plane.listen();
    await eventually(() => unbound.status().partition === '*', 'it has its partition');
  } finally {
    await other.dispose();
  }
  await at(again, '*');
});

test('after the loss of its file, a vehicle gets its counts back and the flags of the partition that it has now', async () => {
  await plane.put('only_ev6', { scope: ['EV6'] });
  const { agent } = await synced({ resyncMs: 20 });
  await eventually(() => plane.backups.size === 1, 'a backup is kept');
  await agent.close();
  plane.register('Ioniq 5');
  const lost = await TestVehicle.create(plane);
  try {
    const restored = await lost.start();
    await at(restored, '*');
    expect(keysOf(restored)).toEqual(['all']);
    // Its own first sync is not the only one that it counts.
    expect(restored.status().syncCount).toBeGreaterThan(1);
    expect(restored.status().refusals).toEqual({});
  } finally {
    await lost.dispose();
  }
});

test('an event that stands for more changes than are sent makes it sync at random within the time that it names', async () => {
  await plane.put('only_ev6', { scope: ['EV6'] });
  const logged: string[] = [];
  const agent = await vehicle.start({
    random: () => 0.5,
    log: (_level, message) => logged.push(message),
    timings: { heartbeatMs: 5, heartbeatSpreadMs: 1 },
  });
  await at(agent, 'EV6');
  plane.syncs.length = 0;
  const from = agent.status().revision;
  // The proof of a heartbeat is not to bring the news before the event does.
  const before = await plane.proof();
  let isSent = false;
  plane.onProof = (proof) => (isSent ? proof : before);
  plane.onChange = (change) => {
    if (change.signed.key !== 'last') return [];
    isSent = true;
    return [{ ...change, previousRevision: change.revision - 1, spreadSeconds: 1 }];
  };
  const beganAtMs = performance.now();
  await plane.inOneLook(async () => {
    for (const key of ['first', 'second', 'last']) await plane.put(key);
  });
  // Neither the gap nor the proofs of heartbeats make it sync sooner.
  await at(agent, 'EV6');
  expect(performance.now() - beganAtMs).toBeGreaterThan(450);
  expect(plane.syncs).toEqual([from]);
  expect(logged.some((line) => /many changes at once/.test(line))).toBe(true);
  expect(keysOf(agent)).toEqual(['all', 'first', 'last', 'only_ev6', 'second']);
});

test('an assignment under a key that will be removed is requested again under the next one', async () => {
  const { agent } = await synced({ heartbeatMs: 20, heartbeatSpreadMs: 1 });
  const { length } = plane.nonces;
  const next = await createSigningKey();
  await agent.close();
  const keys = await PinnedKeys.parse({ keys: [plane.key.publicJwk, next.publicJwk] });
  plane.key = next;
  const again = await vehicle.start({ keys, timings: { heartbeatMs: 20, heartbeatSpreadMs: 1 } });
  await eventually(() => plane.nonces.length === length + 1, 'it asks again');
  await eventually(() => again.status().syncCount > 2, 'it has its answer');
});
