import { rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { membersOf, parseJson } from '../../core/json/json-value.ts';
import { eventually } from '../../core/testing/eventually.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import type { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { nodeFileSystem } from '../store/files/durable-file.ts';
import { TestControlPlane, TEST_VIN } from '../testing/control-plane.ts';
import { createSigningKey } from '../testing/signing.ts';
import { TestVehicle, vehicleToken } from '../testing/test-vehicle.ts';
import { decodeBackup, encodeBackup, type BackupContent } from './backup-content.ts';

const IDENTITY = { vin: TEST_VIN, environment: 'production' } as const;
const AGENT = 'flags.db';
/**
 * Timings with which the agent sends measurements at once, and checks every few milliseconds for a backup that is due.
 */
const QUICK = { resyncMs: 20, metricsIntervalMs: 15, metricsWriteMs: 5 };

let plane: TestControlPlane;
let vehicle: TestVehicle;
/** The content of the metrics store: one value for each batch and position, as counting-once.md (docs/) describes. */
let stored: Map<string, number>;
let logged: string[];
let storeIsDown: boolean;

beforeEach(async () => {
  plane = await TestControlPlane.start();
  vehicle = await TestVehicle.create(plane);
  stored = new Map();
  logged = [];
  storeIsDown = false;
  plane.onReport = ({ batchId, items }) => {
    if (storeIsDown) throw new Error('the metrics store is down');
    for (const [position, { flagKey, metricName, timestamp, value }] of items.entries()) {
      const key = JSON.stringify([flagKey, metricName, timestamp, batchId, position]);
      if (!stored.has(key)) stored.set(key, value);
    }
  };
  await plane.put('eco', { defaultValue: true });
});
afterEach(async () => {
  await vehicle.dispose();
  await plane.stop();
});

const start = (options: Partial<FleetFlagAgentOptions> = {}) =>
  vehicle.start({
    log: (_level, message) => logged.push(message),
    ...options,
    timings: { ...QUICK, ...options.timings },
  });
const backup = async (): Promise<BackupContent | null> => {
  const content = plane.backups.get(AGENT);
  return content === undefined ? null : decodeBackup(Buffer.from(content, 'base64'), IDENTITY);
};
const put = async (content: BackupContent) =>
  void plane.backups.set(AGENT, (await encodeBackup(content)).toString('base64'));
const loseFile = async (agent: FleetFlagAgent) => {
  await agent.close();
  for (const suffix of ['', '.previous', '.queue', '.queue.previous'])
    await rm(`${vehicle.databaseFile}${suffix}`, { force: true });
};
const sum = () => [...stored.values()].reduce((total, value) => total + value, 0);
const values = () => [...stored.values()].sort((a, b) => a - b);

async function backedUp(rows: number): Promise<void> {
  await eventually(async () => (await backup())?.queue.rows.length === rows, `a backup has ${rows} rows`);
}

/** Lets requests of a backup fail until the returned function is called. */
function unanswered(): () => void {
  let fails = true;
  plane.onBackup = (content) => {
    if (fails) throw new Error('the vehicles subgraph is down');
    return content;
  };
  return () => (fails = false);
}

test('a lost file comes back: queue, counts and revision, and everything counts once', async () => {
  storeIsDown = true;
  let agent = await start();
  await agent.ready();
  for (let n = 1; n <= 20; n++) agent.track('minutes', n, { flagKey: 'eco' });
  plane.onProof = () => 'no proof';
  await eventually(() => (agent.status().refusals.malformed ?? 0) > 0, 'something is refused');
  plane.onProof = (proof) => proof;
  await backedUp(20);
  await eventually(async () => ((await backup())?.lifetime.refusals['malformed'] ?? 0) > 0, 'the counts are backed up');
  const before = await backup();

  await loseFile(agent);
  agent = await start();
  await agent.ready();
  expect(agent.status()).toMatchObject({ metrics: { queued: 20 }, flags: 1, revision: plane.revision });
  expect(agent.status().lifetime.refusals['malformed']).toBeGreaterThanOrEqual(before!.lifetime.refusals['malformed']!);
  expect(agent.status().syncCount).toBeGreaterThan(before!.syncCount);
  agent.track('minutes', 21, { flagKey: 'eco' });
  storeIsDown = false;
  await eventually(() => agent.status().metrics.queued === 0, 'all is delivered');
  expect(values()).toEqual(Array.from({ length: 21 }, (_, n) => n + 1));
});

test('a backup is of one moment, though the queue goes on while it is made', async () => {
  storeIsDown = true;
  let tracked = 0;
  const agent = await start({
    files: {
      ...nodeFileSystem,
      // The backup seals the queue by such a write, and waits for it.
      append: async (path, bytes) => {
        if (agent.isReady && tracked++ < 50) agent.track('minutes', tracked, { flagKey: 'eco' });
        await nodeFileSystem.append(path, bytes);
      },
    },
  });
  await agent.ready();
  agent.track('minutes', 0, { flagKey: 'eco' });
  await eventually(async () => {
    const { queue } = (await backup()) ?? {};
    return queue?.rows.length === 51;
  }, 'each backup until the last one can be read');
});

test('what was delivered after the backup is not counted again, and later evaluations are not lost in its rows', async () => {
  storeIsDown = true;
  let agent = await start({ timings: { metricsIntervalMs: 30_000 } });
  await agent.ready();
  agent.track('minutes', 5, { flagKey: 'eco' });
  for (let n = 0; n < 3; n++) agent.evaluate('eco');
  await agent.close();
  // The sender opens the batch only after the backup, with what has come meanwhile.
  agent = await start({ timings: { metricsIntervalMs: 30_000 } });
  await backedUp(2);
  const old = plane.backups.get(AGENT)!;
  await agent.close();
  storeIsDown = false;
  agent = await start({ timings: { resyncMs: 600_000 } });
  for (let n = 0; n < 4; n++) agent.evaluate('eco');
  agent.track('minutes', 6, { flagKey: 'eco' });
  await eventually(() => sum() === 5 + 3 + 4 + 6, 'all is delivered');

  await loseFile(agent);
  plane.backups.set(AGENT, old);
  agent = await start();
  await agent.ready();
  for (let n = 0; n < 100; n++) agent.evaluate('eco');
  await eventually(() => sum() >= 5 + 3 + 4 + 6 + 100, 'the later evaluations are delivered');
  await eventually(() => agent.status().metrics.queued === 0, 'the queue is empty');
  expect(sum()).toBe(5 + 3 + 4 + 6 + 100);
});

test('an emptied agent accepts no revision below the one that its backup proves, and nothing unsigned raises it', async () => {
  let agent = await start();
  await agent.ready();
  const restorePlane = plane.backup();
  await plane.put('eco', { defaultValue: false });
  await eventually(async () => {
    const { proof = null } = (await backup()) ?? {};
    if (proof === null) return false;
    return membersOf(parseJson(Buffer.from(proof.split('.')[1] ?? '', 'base64url').toString())).revision === 2;
  }, 'the backup has the proof of revision 2');
  await loseFile(agent);
  restorePlane();
  agent = await start({ timings: { resyncMs: 600_000 } });
  await eventually(() => agent.status().refusals['revision-below-own'] === 1, 'the old state is refused');
  expect([agent.isReady, agent.status().flags]).toEqual([false, 0]);
  // A restart forgets nothing of it.
  await agent.close();
  plane.backups.clear();
  agent = await start({ timings: { resyncMs: 600_000 } });
  await eventually(() => agent.status().refusals['revision-below-own'] === 1, 'the old state is refused again');
  await loseFile(agent);

  await put({
    identity: IDENTITY,
    proof: await plane.proof({ revision: 1_000, key: await createSigningKey() }),
    syncCount: 3,
    lifetime: { refusals: {}, dropped: { evaluations: 0, measurements: 0 } },
    queue: { origin: 'q', rows: [], inBatch: 0, nextId: 1 },
  });
  agent = await start({ timings: { resyncMs: 600_000 } });
  await agent.ready();
  expect(agent.status()).toMatchObject({ revision: 1, flags: 1, refusals: { 'unknown-key': 1 } });
});

test('a backup of another vehicle, and one of another environment, is not used; only the first is refused', async () => {
  const other = {
    proof: null,
    syncCount: 0,
    lifetime: { refusals: {}, dropped: { evaluations: 0, measurements: 9 } },
    queue: { origin: 'q', rows: [], inBatch: 0, nextId: 1 },
  };
  await put({ ...other, identity: { ...IDENTITY, vin: 'KMHL14JA5PA000002' } });
  let agent = await start();
  await agent.ready();
  expect(agent.status()).toMatchObject({
    refusals: { 'wrong-vehicle': 1 },
    lifetime: { dropped: { measurements: 0 } },
  });
  await loseFile(agent);
  await put({ ...other, identity: { ...IDENTITY, environment: 'staging' } });
  agent = await start();
  await agent.ready();
  expect(agent.status()).toMatchObject({ refusals: {}, lifetime: { dropped: { measurements: 0 } } });
  // Its own backup takes the place of that of the other environment.
  await eventually(async () => (await backup().catch(() => null)) !== null, 'it has a backup of its own');
});

test('an agent with its file asks for no backup, and sends none as long as nothing changes', async () => {
  let asked = 0;
  plane.onBackup = (content) => {
    asked += 1;
    return content;
  };
  let agent = await start();
  await agent.ready();
  await eventually(() => plane.backupCount === 1, 'it has a backup');
  expect(asked).toBe(1);
  // Syncs are as frequent as the checks for a backup that is due, so that many checks have been made by then.
  const { syncCount } = agent.status();
  await eventually(() => agent.status().syncCount > syncCount + 20, 'it has synced often');
  expect(plane.backupCount).toBe(1);
  await plane.put('eco', { defaultValue: false });
  await eventually(() => plane.backupCount === 2, 'a new revision is backed up');
  await agent.close();
  agent = await start();
  await eventually(() => plane.backupCount === 3, 'a start makes one');
  expect(asked).toBe(1);
});

test('no backup is sent before the first sync, nor while the answer is not known', async () => {
  const rows = [{ id: 1, flagKey: 'eco', variant: 'control', metricName: 'minutes', value: 4, at: 1_000, tags: null }];
  await put({
    identity: IDENTITY,
    proof: null,
    syncCount: 3,
    lifetime: { refusals: {}, dropped: { evaluations: 0, measurements: 0 } },
    queue: { origin: 'q', rows, inBatch: 0, nextId: 2 },
  });
  const answers = unanswered();
  const agent = await start();
  await agent.ready();
  const { syncCount } = agent.status();
  await eventually(() => agent.status().syncCount > syncCount + 20, 'it has synced often');
  expect(plane.backupCount).toBe(0);
  // It goes on meanwhile, and what it has measured comes after what is restored.
  agent.track('minutes', 7, { flagKey: 'eco' });
  await eventually(() => sum() === 7, 'it reports what it measures');
  answers();
  await eventually(() => sum() === 7 + 4, 'the restored row is delivered');
  await eventually(() => plane.backupCount > 0, 'backups are sent now');
  expect(logged.filter((message) => message.includes('cannot ask for a backup'))).toHaveLength(1);
});

test('a control plane that does not answer the question holds the first sync up for seconds only', async () => {
  // All requests wait for the same answer: on a slow machine the agent may have given up the first and sent another.
  let answer = () => {};
  const answered = new Promise<null>((resolve) => (answer = () => resolve(null)));
  plane.onBackup = () => answered;
  const agent = await start();
  await agent.ready();
  expect(agent.booleanValue('eco', false)).toBe(true);
  answer();
  await eventually(() => plane.backupCount > 0, 'with the answer backups begin');
});

test('a backup that comes after the first sync and proves a later revision is refused, and the sync stays in effect', async () => {
  await put({
    identity: IDENTITY,
    proof: await plane.proof({ revision: 1_000 }),
    syncCount: 3,
    lifetime: { refusals: {}, dropped: { evaluations: 0, measurements: 0 } },
    queue: { origin: 'q', rows: [], inBatch: 0, nextId: 1 },
  });
  const answers = unanswered();
  const agent = await start();
  await agent.ready();
  answers();
  await eventually(() => Object.keys(agent.status().refusals).length > 0, 'it is refused');
  expect(agent.status()).toMatchObject({ revision: 1, flags: 1, refusals: { 'revision-below-backup': 1 } });
  expect(agent.booleanValue('eco', false)).toBe(true);
  expect(logged).toContainEqual(
    expect.stringMatching(
      /^revision 1000 of the backup refused: it is later than the sync that this vehicle has applied/,
    ),
  );
});

test('a control plane older than backups gets one request and then few, and nothing else suffers', async () => {
  await plane.stop();
  plane.sdl = plane.sdl
    .replace(' vehicleBackup(agent: String!): VehicleBackup', '')
    .replace(' backUpVehicleState(input: VehicleBackupInput!): Boolean!', '');
  await plane.listen();
  const agent = await start();
  await agent.ready();
  agent.track('minutes', 3, { flagKey: 'eco' });
  await eventually(() => sum() === 3, 'it reports what it measures');
  expect(agent.status().refusals).toEqual({});
  expect(logged.filter((message) => message.includes('backup'))).toHaveLength(1);
});

test('a journal that outlived its database is not taken for the later part of a restored queue', async () => {
  storeIsDown = true;
  let agent = await start();
  await agent.ready();
  for (let n = 1; n <= 5; n++) {
    agent.track('minutes', n, { flagKey: 'eco' });
    await eventually(() => agent.status().metrics.queued === n, 'it is in the queue');
  }
  await backedUp(5);
  await agent.close();
  for (const suffix of ['', '.previous']) await rm(`${vehicle.databaseFile}${suffix}`, { force: true });
  for (let restart = 0; restart < 3; restart++) {
    agent = await start();
    await agent.ready();
    expect(agent.status().metrics.queued).toBe(5);
    await agent.close();
  }
});

test('the token of another vehicle gets an agent of its own', async () => {
  const agent = await start();
  await agent.ready();
  await eventually(() => plane.backupCount === 1, 'it has a backup');
  await loseFile(agent);
  await writeFile(vehicle.tokenFile, await vehicleToken('KMHL14JA5PA000002'));
  const other = await start();
  await other.ready();
  expect(other.status().refusals).toMatchObject({ 'wrong-vehicle': 1 });
});
