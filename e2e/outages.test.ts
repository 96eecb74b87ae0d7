/** Parts that are taken away and given back: design.md, "What fails, and what then". */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openProxy, type SeverableProxy } from '../subgraphs/shared/testing/severable-proxy.ts';
import { Api } from './harness/api.ts';
import { DISTRIBUTED, Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';

const VIN = 'KMHK281HGNU000001';
const KEY = 'lane_keep';
const READ = '{ flag(key: "lane_keep") { key killed } flags(filter: { environment: PRODUCTION }) { totalCount } }';
const KILL = 'mutation { killSwitch(flagKey: "lane_keep", reason: "Fault in the field") { flag { killed } } }';
const RELEASE = 'mutation { releaseKillSwitch(flagKey: "lane_keep", reason: "Mended") { flag { killed } } }';

let deployment: Deployment;
let admin: Api;
let vehicle: VehicleProcess;
let database: SeverableProxy | undefined;
let redis: SeverableProxy | undefined;

/** A proxy before the server of `url`, and the URL that leads through it. */
async function through(url: string): Promise<{ proxy: SeverableProxy; url: string }> {
  const address = new URL(url);
  const proxy = await openProxy({ host: address.hostname, port: Number(address.port) });
  address.host = `127.0.0.1:${proxy.port}`;
  return { proxy, url: address.href };
}

beforeAll(async () => {
  deployment = await Deployment.start({}, async ({ DATABASE_URL, REDIS_URL, ...others }) => {
    const servers = [await through(DATABASE_URL ?? ''), await through(REDIS_URL ?? '')] as const;
    [database, redis] = [servers[0].proxy, servers[1].proxy];
    return { ...others, DATABASE_URL: servers[0].url, REDIS_URL: servers[1].url };
  });
  admin = await Api.admin(deployment);
  vehicle = await VehicleProcess.start(deployment.wsUrl, await admin.vehicle(VIN));
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
  await database?.close();
  await redis?.close();
}, 60_000);

const valueIs = (value: boolean) =>
  eventually(async () => (await vehicle.evaluate(KEY)).value === value, `${KEY} is ${value} in the vehicle`);
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

test('while PostgreSQL is away known flags are read and vehicles stay connected, and it all works by itself when it is back', async () => {
  // The last change was answered a moment ago: what the control plane has committed it can read from memory at once.
  await admin.ok(KILL);
  await admin.ok(RELEASE);
  if (database !== undefined) database.sever();
  else {
    const [pid] = (await readFile(await postmasterFile(), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
  }
  try {
    expect(await admin.ask('{ me { kind } }')).toEqual({ status: 200, data: { me: { kind: 'USER' } } });
    expect(await admin.ask(READ)).toEqual({
      status: 200,
      data: { flag: { key: KEY, killed: false }, flags: { totalCount: 1 } },
    });
    expect(await vehicle.status()).toMatchObject({ connected: true });
    if (database !== undefined) expect(await admin.refused(KILL)).toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  } finally {
    database?.restore();
  }
  await works();
  nothingUnforeseen();
});

/** Where the embedded server says which process it is. */
async function postmasterFile(): Promise<string> {
  const place = await readFile(join(deployment.dataDir, 'postgresql.place'), 'utf8').catch(() =>
    join(deployment.dataDir, 'postgresql'),
  );
  return join(place.trim(), 'cluster', 'postmaster.pid');
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

(DISTRIBUTED ? describe : describe.skip)('with every role its own process', () => {
  test('while Redis is away people are told so, vehicles go on and hear of changes, and sessions hold when it is back', async () => {
    redis!.sever();
    try {
      const refused = await eventually(async () => {
        const answer = await admin.ask('{ me { kind } }');
        return answer.status === 503 ? answer : null;
      }, 'people are told');
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
      'the trail is read again',
    );
  });
});
