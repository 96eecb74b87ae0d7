import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { decodeBackup, type BackupContent } from '../agent/backup/backup-content.ts';
import { findEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { KillableClickHouse } from './harness/killable-stores.ts';
import { MessageRelay } from './harness/message-relay.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const VIN = 'KMHK281HGNU000001';
const FLAG = 'eco_route';
const METRIC = 'energy_kwh';
/** The name of the agent's database file. */
const AGENT = 'agent.db';
const READ = `{ vehicleBackup(agent: "${AGENT}") { content digest backedUpAt } }`;

let clickhouse: KillableClickHouse;
let deployment: Deployment;
let relay: MessageRelay;
let admin: Api;
let vehicle: VehicleProcess;
let own: Api;
let stranger: Api;
const made = { evaluations: 0, measurements: 0, sum: 0 };

beforeAll(async () => {
  clickhouse = await KillableClickHouse.start();
  deployment = await Deployment.start({ CLICKHOUSE_URL: clickhouse.url });
  relay = await MessageRelay.open(deployment.wsUrl);
  admin = await Api.admin(deployment);
  await admin.ok(
    `mutation { createFlag(input: {key: "${FLAG}", name: "Eco route", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: PRODUCTION, enabled: true}) { applied } }`,
  );
  await admin.ok(
    `mutation { createRule(flagKey: "${FLAG}", input: {type: PERCENTAGE_ROLLOUT, conditions: {rollout_percentage: 100}}) { applied } }`,
  );
  const token = await admin.vehicle(VIN);
  own = new Api(deployment, token);
  stranger = new Api(deployment, await admin.vehicle('KMHK281HGNU000002'));
  vehicle = await VehicleProcess.start(deployment.wsUrl, token, [
    '--metrics-seconds',
    '0.2',
    '--resync-minutes',
    '0.02',
  ]);
  await eventually(async () => (await vehicle.status()).flags === 1, 'the vehicle has its flag');
}, 180_000);

afterAll(async () => {
  await vehicle?.remove();
  await relay?.close();
  await deployment?.remove();
  await clickhouse?.remove();
}, 60_000);

/** One round of a program in the vehicle: three evaluations and a measurement, each a number of its own. */
async function useFlag(): Promise<void> {
  for (let count = 0; count < 3; count++) {
    expect(await vehicle.evaluate(FLAG)).toMatchObject({ value: true, variant: 'treatment' });
    made.evaluations += 1;
  }
  const value = made.measurements + 1;
  expect(await vehicle.track({ metric: METRIC, value, flagKey: FLAG })).toBe(202);
  made.measurements += 1;
  made.sum += value;
}

/** Gives the sums that the metrics store has of this vehicle: of the rows, and of the hourly roll-ups. */
async function stored(): Promise<(typeof made)[]> {
  const range = `from: "${new Date(Date.now() - 7_200_000).toISOString()}", to: "${new Date(Date.now() + 60_000).toISOString()}"`;
  const series = (metric: string, interval: string) =>
    `metrics(metric: "${metric}", ${range}, interval: ${interval}) { count sum }`;
  const { flag } = await admin.ok<{ flag: Record<string, { count: number; sum: number }[]> }>(
    `{ flag(key: "${FLAG}") { e0: ${series('$evaluations', 'MINUTE')} m0: ${series(METRIC, 'MINUTE')} e1: ${series('$evaluations', 'HOUR')} m1: ${series(METRIC, 'HOUR')} } }`,
  );
  const total = (name: string, member: 'count' | 'sum') =>
    (flag[name] ?? []).reduce((sum, point) => sum + point[member], 0);
  return [0, 1].map((n) => ({
    evaluations: total(`e${n}`, 'sum'),
    measurements: total(`m${n}`, 'count'),
    sum: total(`m${n}`, 'sum'),
  }));
}

/** Waits until exactly `made` is stored; it is exceeded at no time. */
const untilStored = () =>
  eventually(
    async () => {
      const found = await stored();
      for (const each of found)
        for (const member of ['evaluations', 'measurements', 'sum'] as const)
          expect(each[member]).toBeLessThanOrEqual(made[member]);
      return JSON.stringify(found) === JSON.stringify([made, made]);
    },
    `all of ${JSON.stringify(made)} is stored`,
  );

async function backup(): Promise<BackupContent | null> {
  const { vehicleBackup } = await own.ok<{ vehicleBackup: { content: string } | null }>(READ);
  if (vehicleBackup === null) return null;
  return decodeBackup(Buffer.from(vehicleBackup.content, 'base64'), { vin: VIN, environment: 'production' });
}

/** Gives the evaluations and measurements that wait in a backup. */
async function waiting(): Promise<typeof made> {
  const rows = (await backup())?.queue.rows ?? [];
  const of = (name: string) => rows.filter(({ metricName }) => metricName === name);
  const sum = (name: string) => of(name).reduce((total, { value }) => total + value, 0);
  return { evaluations: sum('$evaluations'), measurements: of(METRIC).length, sum: sum(METRIC) };
}

/** Kills the agent, and deletes all that it has written. */
async function loseDisk(): Promise<void> {
  await vehicle.process.stop('SIGKILL');
  for (const file of await readdir(vehicle.folder))
    if (file.startsWith(AGENT)) await rm(join(vehicle.folder, file), { force: true });
}

test('a vehicle that loses its file gets queue and counts back, everything counts once, and flags come by sync', async () => {
  await useFlag();
  await untilStored();
  const delivered = { ...made };

  // Somebody on the way sends what is no proof, and the agent counts that it refuses it.
  await vehicle.process.stop();
  relay.meddle = (message) => {
    const data = message.payload?.data;
    return data !== undefined && data !== null && 'flagProof' in data
      ? { ...message, payload: { data: { flagProof: 'forged' } as object } }
      : message;
  };
  await vehicle.up(relay.url);
  await eventually(
    async () => ((await vehicle.status()).refusals['malformed'] ?? 0) > 0,
    'the forged proof is refused',
  );
  await clickhouse.kill();
  for (let round = 0; round < 10; round++) await useFlag();
  const queued = {
    evaluations: made.evaluations - delivered.evaluations,
    measurements: made.measurements - delivered.measurements,
    sum: made.sum - delivered.sum,
  };
  await eventually(
    async () => JSON.stringify(await waiting()) === JSON.stringify(queued),
    `the backup has ${JSON.stringify(queued)}`,
  );
  const kept = await backup();
  expect(kept?.lifetime.refusals['malformed']).toBeGreaterThan(0);
  expect(await stranger.ok(READ)).toEqual({ vehicleBackup: null });
  expect(await admin.refused(READ)).toMatchObject({ code: 'FORBIDDEN' });

  await loseDisk();
  await vehicle.up();
  await eventually(async () => (await vehicle.status()).flags === 1, 'the flag comes by sync');
  expect(await vehicle.status()).toMatchObject({
    metrics: { queued: kept?.queue.rows.length },
    lifetime: { refusals: { malformed: kept?.lifetime.refusals['malformed'] } },
    refusals: {},
  });
  expect((await vehicle.status()).syncCount).toBeGreaterThan(kept!.syncCount);
  await useFlag();
  await clickhouse.startAgain();
  await untilStored();
}, 240_000);

test('what was delivered before the loss is not counted again', async () => {
  await useFlag();
  await untilStored();
  await loseDisk();
  await vehicle.up();
  await eventually(async () => (await vehicle.status()).flags === 1, 'the flag comes by sync');
  await useFlag();
  await untilStored();
  await eventually(async () => (await vehicle.status()).metrics.queued === 0, 'the queue is empty');
  expect(await stored()).toEqual([made, made]);
}, 120_000);

/** Runs a statement on the database, and gives the number of rows that it gives or changes. */
async function statement(text: string): Promise<number> {
  const url = deployment.environment['DATABASE_URL'] ?? (await findEmbeddedPostgres(deployment.dataDir)) ?? '';
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}

test('after 7 days the backup is gone', async () => {
  await eventually(async () => (await backup()) !== null, 'there is a backup');
  await vehicle.process.stop();
  expect(await statement("UPDATE vehicle_backups SET backed_up_at = now() - interval '7 days'")).toBe(1);
  expect(await backup()).toBeNull();
  // A sweep begins with each start, and with each hour.
  await deployment.down();
  await deployment.up();
  await eventually(async () => (await statement('SELECT FROM vehicle_backups')) === 0, 'the backup is deleted');
}, 120_000);
