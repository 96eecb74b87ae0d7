/** Presence, heartbeats and the stream of statuses, with a real agent behind a real gateway. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AGENT_VERSION } from '../agent/version.ts';
import { Api, Listener } from './harness/api.ts';
import { DISTRIBUTED, Deployment, webSocketOf } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';
import { testUnless } from '../core/testing/unless.ts';

const VIN = 'KMHK281HGNU000001';
const ELSEWHERE = 'KMHK281HGNU000002';
/** Seconds. */
const GRACE_SECONDS = 4;
const METRICS_TOKEN = 'the-token-of-a-prometheus-server';

let deployment: Deployment;
let admin: Api;
let token: string;
let vehicle: VehicleProcess;
let changes: Listener;
let korea: Listener;

beforeAll(async () => {
  deployment = await Deployment.start({
    FLEETFLAG_PRESENCE_GRACE_SECONDS: String(GRACE_SECONDS),
    FLEETFLAG_METRICS_TOKEN: METRICS_TOKEN,
  });
  admin = await Api.admin(deployment);
  token = await admin.vehicle(VIN);
  // Without a token it belongs to no environment.
  await admin.ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
    input: [{ vin: ELSEWHERE, model: 'EV9', swVersion: '2.5.0', region: 'KR' }],
  });
  const socket = admin.socket();
  changes = new Listener(socket, 'subscription { vehicleStatusChanges { vin status lastSeenAt } }');
  korea = new Listener(
    socket,
    'subscription ($region: String) { vehicleStatusChanges(region: $region) { vin status } }',
    { region: 'KR' },
  );
  // Changes from now on arrive: both streams are established.
  await eventually(async () => {
    for (const maintenance of [true, false])
      await admin.ok(
        'mutation ($vin: String!, $maintenance: Boolean!) { setVehicleMaintenance(vin: $vin, maintenance: $maintenance) { vin } }',
        { vin: ELSEWHERE, maintenance },
      );
    return changes.events.length > 0 && korea.events.length > 0;
  }, 'the streams stand');
  vehicle = await VehicleProcess.start(deployment.wsUrl, token);
}, 120_000);

afterAll(async () => {
  changes?.stop();
  korea?.stop();
  await vehicle?.remove();
  await deployment?.remove();
}, 60_000);

const streamed = () =>
  changes.events
    .map(({ data }) => data?.['vehicleStatusChanges'] as { vin: string; status: string })
    .filter(({ vin }) => vin === VIN)
    .map(({ status }) => status);
const FACTS =
  'query ($vin: String!) { vehicle(vin: $vin) { status lastSeenAt swVersion agentVersion agentMemoryMb agentCpuPercent cacheSizeMb appliedRevision } }';
const facts = async () => (await admin.ok<{ vehicle: Record<string, unknown> }>(FACTS, { vin: VIN })).vehicle;
const progress = async () =>
  (
    await admin.ok<{ rolloutProgress: { applied: number; total: number; percent: number; revision: number } }>(
      '{ rolloutProgress(environment: PRODUCTION) { applied total percent revision } }',
    )
  ).rolloutProgress;

test('a vehicle that connects is online, says what it is, and the progress of a change follows what it has stored', async () => {
  await eventually(() => streamed().length > 0, 'the vehicle is online');
  expect(streamed()).toEqual(['ONLINE']);
  await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key: 'lane_keep',
      name: 'Lane keeping',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'ASIL_B',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  const reported = await eventually(async () => {
    const now = await progress();
    return now.percent === 100 && now;
  }, 'the revision is reported');
  expect(reported).toEqual({ revision: (await vehicle.status()).revision, applied: 1, total: 1, percent: 100 });
  const { agentMemoryMb, cacheSizeMb, lastSeenAt, ...rest } = await facts();
  expect(rest).toEqual({
    status: 'ONLINE',
    swVersion: '2.5.0',
    agentVersion: AGENT_VERSION,
    agentCpuPercent: expect.any(Number),
    appliedRevision: reported.revision,
  });
  expect(agentMemoryMb).toBeGreaterThan(10);
  expect(cacheSizeMb).toBeGreaterThan(0);
  expect(Math.abs(Date.now() - Date.parse(lastSeenAt as string))).toBeLessThan(60_000);
}, 90_000);

test('a Prometheus server gets the number of connected vehicles, and no other client does', async () => {
  const scrape = (headers: Record<string, string>) => fetch(`${deployment.url}/metrics`, { headers });
  const answer = await scrape({ authorization: `Bearer ${METRICS_TOKEN}` });
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  expect(text).toContain('\nfleetflag_sockets{caller="vehicle"} 1\n');
  expect(text).toContain('\nfleetflag_sockets{caller="user"} 1\n');
  expect(text).toMatch(/\nfleetflag_operations_total\{type="mutation",code="OK"\} [1-9]/);
  expect((await scrape({})).status).toBe(401);
  expect((await scrape({ authorization: `Bearer ${token}` })).status).toBe(401);
});

test('a vehicle is online until the grace after the last of its connections is over', async () => {
  const successor = await VehicleProcess.start(deployment.wsUrl, token);
  let killedAt: number;
  try {
    await eventually(async () => (await successor.status()).connected, 'there is a second connection');
    await vehicle.process.stop('SIGKILL');
    await eventually(
      async () => (await successor.status()).connected && (await facts())['status'] === 'ONLINE',
      'it is still connected',
    );
  } finally {
    killedAt = Date.now();
    await successor.process.stop('SIGKILL');
    await successor.remove();
  }
  await eventually(() => streamed().length > 1, 'it is offline');
  expect(Date.now() - killedAt).toBeGreaterThan((GRACE_SECONDS - 1) * 1_000);
  expect(streamed()).toEqual(['ONLINE', 'OFFLINE']);
  expect((await facts())['status']).toBe('OFFLINE');
  const others = korea.events.map(({ data }) => data?.['vehicleStatusChanges'] as { vin: string });
  expect(new Set(others.map(({ vin }) => vin))).toEqual(new Set([ELSEWHERE]));
}, 90_000);

// In one process, the subgraph that notices the lost gateway would be killed along with it.
testUnless(DISTRIBUTED ? null : 'DATABASE_URL and REDIS_URL name no servers')(
  'a vehicle whose gateway is killed is offline in the end, and those of other gateways are not touched',
  async () => {
    const second = await deployment.anotherGateway();
    const killed = deployment.processes.at(-1);
    const here = await VehicleProcess.start(deployment.wsUrl, await admin.vehicle('KMHK281HGNU000003'));
    const there = await VehicleProcess.start(webSocketOf(second), await admin.vehicle('KMHK281HGNU000004'));
    try {
      const status = async (vin: string) =>
        (
          await admin.ok<{ vehicle: { status: string } }>('query ($vin: String!) { vehicle(vin: $vin) { status } }', {
            vin,
          })
        ).vehicle.status;
      const statuses = () => Promise.all(['KMHK281HGNU000003', 'KMHK281HGNU000004'].map(status));
      await eventually(async () => (await statuses()).every((each) => each === 'ONLINE'), 'both are online');
      await killed?.stop('SIGKILL');
      // Nobody says that the gateway has gone: its vehicle is offline when its lease and the grace are over.
      expect(await statuses()).toEqual(['ONLINE', 'ONLINE']);
      await eventually(async () => {
        const [one, other] = await statuses();
        expect(one).toBe('ONLINE');
        return other === 'OFFLINE';
      }, 'the vehicle of the killed gateway is offline');
      expect((await there.status()).connected).toBe(false);
      expect((await here.status()).connected).toBe(true);
    } finally {
      await here.remove();
      await there.remove();
    }
  },
  150_000,
);
