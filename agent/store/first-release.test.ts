/**
 * The store that an agent of the first release of the schema (docs/reference/schema-changes.md, 0.1.0) left: written by
 * that agent, with three flags, and with three counts of evaluations and a measurement that wait.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../../core/testing/eventually.ts';
import { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import { vehicleToken } from '../testing/test-vehicle.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';

const STORE = new URL('../testing/first-release.db.gz', import.meta.url);
const KEYS = {
  keys: [
    {
      crv: 'Ed25519',
      x: 'tRAf3dGMHNPGUQW0pRrMilSMllgfqAIijf-aoPGbW_o',
      kty: 'OKP',
      kid: 'S2sAvM-1A2YZ8FwXxPmMQ-ZurFHBuL9PCrZDqfAGj6I',
    },
  ],
};
const CONTACT = Date.UTC(2026, 10, 28, 14);
const DAY_MS = 86_400_000;

let folder: string;
let agent: FleetFlagAgent;

async function open(now: number, url = 'ws://127.0.0.1:1/graphql'): Promise<void> {
  const keys = await PinnedKeys.parse(KEYS);
  const [tokenFile, databaseFile] = [join(folder, 'token'), join(folder, 'flags.db')];
  agent = new FleetFlagAgent({
    url,
    tokenFile,
    databaseFile,
    keys,
    now: () => now,
    timings: { metricsIntervalMs: 50 },
  });
  await agent.start();
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-first-release-'));
  await writeFile(join(folder, 'flags.db'), gunzipSync(await readFile(STORE)));
  await writeFile(join(folder, 'token'), await vehicleToken(), { mode: 0o600 });
});
afterEach(async () => {
  await agent.close();
  await rm(folder, { recursive: true, force: true });
});

test('a database of the first release opens in the agent of today, which serves what it holds and keeps what waits', async () => {
  await open(CONTACT + DAY_MS);
  expect(agent.status()).toMatchObject({
    ...{ ready: true, revision: 3, flags: 3, staleFlags: 0, refusals: {} },
    proof: { revision: 3, held: true },
    metrics: { queued: 4, dropped: { evaluations: 0, measurements: 0 } },
    store: { source: 'current', faults: [] },
  });
  expect(agent.booleanDetails('lane_keep', false)).toMatchObject({
    ...{ value: true, reason: 'SPLIT', variant: 'treatment' },
    flagMetadata: { revision: 1, environment: 'production', ruleId: 'on' },
  });
  expect(agent.numberDetails('eco_mode', 0)).toMatchObject({ value: 3.25, reason: 'DEFAULT' });
  expect(agent.booleanDetails('parking', true)).toMatchObject({ value: false, reason: 'DISABLED' });
});

test('a database of the first release keeps its age: after a week without contact its flags are stale', async () => {
  await open(CONTACT + 8 * DAY_MS);
  expect(agent.status()).toMatchObject({ ready: true, flags: 3, staleFlags: 3 });
  expect(agent.booleanDetails('lane_keep', true)).toMatchObject({ value: false, reason: 'STALE' });
});

test('a vehicle of the first release sends what waits as soon as a control plane answers', async () => {
  const plane = await TestControlPlane.start();
  try {
    await open(CONTACT + DAY_MS, plane.url);
    await eventually(() => agent.status().metrics.queued === 0, 'what waited is stored');
    expect(agent.status().metrics.dropped).toEqual({ evaluations: 0, measurements: 0 });
  } finally {
    await plane.stop();
  }
});
