/** Parts that are taken away and given back: design.md, "What fails, and what then". */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openProxy, type SeverableProxy } from '../subgraphs/shared/testing/severable-proxy.ts';
import { Api, type ApiAnswer } from './harness/api.ts';
import { DISTRIBUTED, Deployment, webSocketOf } from './harness/deployment.ts';
import { KillableClickHouse, KillablePostgres, postmasterOf } from './harness/killable-stores.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';
import { describeUnless } from '../core/testing/unless.ts';

const VIN = 'KMHK281HGNU000001';
const KEY = 'lane_keep';
const READ = '{ flag(key: "lane_keep") { key killed } flags(filter: { environment: PRODUCTION }) { totalCount } }';
const KILL = 'mutation { killSwitch(flagKey: "lane_keep", reason: "Fault in the field") { flag { killed } } }';
const RELEASE = 'mutation { releaseKillSwitch(flagKey: "lane_keep", reason: "Mended") { flag { killed } } }';

let deployment: Deployment;
let admin: Api;
let vehicle: VehicleProcess;
/** The database of a distributed deployment; undefined where it is embedded in the control plane. */
let database: KillablePostgres | undefined;
let redis: SeverableProxy | undefined;
let clickhouse: KillableClickHouse;
/** The relay to which the vehicle connects. It leads to one gateway or another. */
let balancer: SeverableProxy;
const behindBalancer = { host: '127.0.0.1', port: 0 };

const portOf = (url: string) => Number(new URL(url).port);

beforeAll(async () => {
  clickhouse = await KillableClickHouse.start();
  deployment = await Deployment.start({ CLICKHOUSE_URL: clickhouse.url }, async ({ REDIS_URL, ...others }) => {
    database = await KillablePostgres.start();
    const address = new URL(REDIS_URL ?? '');
    redis = await openProxy({ host: address.hostname, port: Number(address.port) });
    address.host = `127.0.0.1:${redis.port}`;
    return { ...others, DATABASE_URL: database.url, REDIS_URL: address.href };
  });
  behindBalancer.port = portOf(deployment.url);
  balancer = await openProxy(behindBalancer);
  admin = await Api.admin(deployment);
  vehicle = await VehicleProcess.start(webSocketOf(`http://127.0.0.1:${balancer.port}`), await admin.vehicle(VIN), [
    '--metrics-seconds',
    '0.2',
  ]);
  await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key: KEY,
      name: 'Lane keeping',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'ASIL_B',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  await admin.ok(
    'mutation { createRule(flagKey: "lane_keep", input: { type: VEHICLE_TARGET, conditions: { regions: ["EU"] } }) { applied } }',
  );
  await valueIs(true);
}, 120_000);

afterAll(async () => {
  await vehicle?.remove();
  await deployment?.remove();
  await balancer?.close();
  await database?.remove();
  await redis?.close();
  await clickhouse?.remove();
}, 60_000);

const valueIs = (value: boolean) => vehicle.serves(KEY, value);
/** A change reaches the vehicle: everything works. */
async function works(): Promise<void> {
  await eventually(async () => (await admin.ask(KILL)).errors === undefined, 'a kill switch is taken');
  await valueIs(false);
  await eventually(async () => (await admin.ask(RELEASE)).errors === undefined, 'it is released');
  await valueIs(true);
}
/** Nothing has ended, and the last handler has seen nothing. */
function nothingUnforeseen(): void {
  expect(deployment.processes.map(({ running }) => running)).toEqual(deployment.processes.map(() => true));
  expect(deployment.output).not.toMatch(/nothing (handles|catches)/);
}

/**
 * Checks what works without PostgreSQL. The kill switch was answered a moment before, and reads already show it,
 * because it is in memory at once.
 */
async function readsGoOn(): Promise<void> {
  expect(await admin.ask('{ me { kind } }')).toEqual({ status: 200, data: { me: { kind: 'USER' } } });
  expect(await admin.ask(READ)).toEqual({
    status: 200,
    data: { flag: { key: KEY, killed: true }, flags: { totalCount: 1 } },
  });
  expect(await vehicle.status()).toMatchObject({ connected: true });
}

test('while PostgreSQL is down known flags are read and vehicles stay connected, and it all works by itself when it is back', async () => {
  await admin.ok(KILL);
  if (database === undefined) process.kill(await postmasterOf(deployment.dataDir), 'SIGKILL');
  else database.proxy.sever();
  try {
    await readsGoOn();
    if (database !== undefined) expect(await admin.refused(KILL)).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  } finally {
    database?.proxy.restore();
  }
  await works();
  nothingUnforeseen();
});

test('while ClickHouse is down measurements wait in the vehicle, results are refused, and everything else works', async () => {
  await track(1);
  await eventually(async () => (await sumOf()) === 1, 'one is stored');
  await clickhouse.kill();
  try {
    await track(2);
    await works();
    expect(await measured()).toMatchObject({
      data: { flag: null },
      errors: [{ extensions: { code: 'SERVICE_UNAVAILABLE' } }],
    });
    expect((await vehicle.status()).metrics.queued).toBeGreaterThan(0);
    // The load balancer goes on to distribute requests to gateways.
    expect((await fetch(`${deployment.url}/health/ready`)).status).toBe(200);
  } finally {
    await clickhouse.startAgain();
  }
  await eventually(async () => (await sumOf()) === 3, 'what had waited is stored, once');
  await eventually(async () => (await vehicle.status()).metrics.queued === 0, 'nothing waits');
  nothingUnforeseen();
});

async function track(value: number): Promise<void> {
  expect(await vehicle.track({ metric: 'energy_kwh', value, flagKey: KEY })).toBe(202);
}
/** Reads the sums of the vehicle's stored measurements. */
function measured(): Promise<ApiAnswer> {
  const range = `from: "${new Date(Date.now() - 3_600_000).toISOString()}", to: "${new Date(Date.now() + 60_000).toISOString()}"`;
  return admin.ask(`{ flag(key: "${KEY}") { metrics(metric: "energy_kwh", ${range}, interval: MINUTE) { sum } } }`);
}
async function sumOf(): Promise<number> {
  const { data } = await measured();
  const { metrics } = (data?.['flag'] ?? { metrics: [] }) as { metrics: { sum: number }[] };
  return metrics.reduce((total, { sum }) => total + sum, 0);
}

test('a fleet that comes back while the gateway is busy is held by the kernel, more of it than Node would let', async () => {
  const gateway = deployment.processes.at(-1)!.child;
  gateway.kill('SIGSTOP');
  // Node's own backlog is 511.
  const sockets = Array.from({ length: 1_500 }, (): Socket =>
    connect(Number(new URL(deployment.url).port), '127.0.0.1').on('error', () => undefined),
  );
  try {
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  } finally {
    sockets.forEach((socket) => socket.destroy());
    gateway.kill('SIGCONT');
  }
  await eventually(async () => (await admin.ask('{ me { kind } }')).status === 200, 'the gateway answers again');
});

describeUnless(DISTRIBUTED ? null : 'DATABASE_URL and REDIS_URL name no servers')(
  'with every role its own process',
  () => {
    test('a PostgreSQL server that is stopped and started again is one that was away for a while', async () => {
      await admin.ok(KILL);
      await database!.stop();
      try {
        await readsGoOn();
        expect(await admin.refused(RELEASE)).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
        // The vehicle's sync is answered from what the control plane remembers.
        await vehicle.process.stop('SIGKILL');
        await rm(vehicle.dbPath);
        await vehicle.up();
        await eventually(async () => (await vehicle.status()).flags === 1, 'a vehicle that starts again has its flags');
      } finally {
        await database!.startAgain();
      }
      // The change that was refused has not been made by half.
      expect(await eventually(async () => (await admin.ask(READ)).data?.['flag'], 'flags are read')).toEqual({
        key: KEY,
        killed: true,
      });
      await works();
      nothingUnforeseen();
    });

    test('a vehicle whose gateway is killed evaluates on, goes to another and hears what it has missed', async () => {
      const killed = deployment.processes.at(-1)!;
      const second = await deployment.anotherGateway();
      const elsewhere = new Api({ url: second, wsUrl: webSocketOf(second) }, admin.token);
      await killed.stop('SIGKILL');
      try {
        await eventually(async () => !(await vehicle.status()).connected, 'the connection is lost');
        expect((await vehicle.evaluate(KEY)).value).toBe(true);
        await elsewhere.ok(KILL);
        expect((await vehicle.evaluate(KEY)).value).toBe(true);
        behindBalancer.port = portOf(second);
        await valueIs(false);
        expect(await elsewhere.ok(`{ vehicle(vin: "${VIN}") { status } }`)).toEqual({ vehicle: { status: 'ONLINE' } });
        await elsewhere.ok(RELEASE);
        await valueIs(true);
      } finally {
        const another = deployment.processes.at(-1)!;
        await deployment.restart('gateway');
        behindBalancer.port = portOf(deployment.url);
        await another.stop('SIGKILL');
        deployment.processes = deployment.processes.filter(({ running }) => running);
      }
      await works();
      nothingUnforeseen();
    });

    test('while Redis is down people get an error that says so, vehicles go on and get changes, and sessions still hold when it is back', async () => {
      redis!.sever();
      try {
        const refused = await eventually(async () => {
          const answer = await admin.ask('{ me { kind } }');
          return answer.status === 503 ? answer : null;
        }, 'people get an error');
        expect(refused.errors).toMatchObject([{ extensions: { code: 'SERVICE_UNAVAILABLE' } }]);
        expect(await vehicle.status()).toMatchObject({ connected: true });
      } finally {
        redis!.restore();
      }
      await eventually(async () => (await admin.ask('{ me { kind } }')).status === 200, 'the session is known again');
      await works();
      nothingUnforeseen();
    });

    test('without a subgraph the fields of the others are answered, and its own with an error that says so; it comes back by itself', async () => {
      const audit = deployment.processes.find(({ args }) => args[1] === 'audit')!;
      await audit.stop('SIGKILL');
      try {
        expect(await admin.refused('{ databaseHealth { unusedIndexes { index } } }')).toMatchObject({
          code: 'SERVICE_UNAVAILABLE',
        });
        expect(await admin.ok('{ flag(key: "lane_keep") { key } }')).toEqual({ flag: { key: KEY } });
        expect(await vehicle.status()).toMatchObject({ connected: true });
      } finally {
        await deployment.restart('audit');
      }
      await eventually(
        async () => (await admin.ask('{ auditLogs(first: 1) { totalCount } }')).errors === undefined,
        'the audit log is read again',
      );
    });
  },
);
