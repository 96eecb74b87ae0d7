import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import type { Environment } from '../../../core/model.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { plansOf } from '../../shared/testing/query-plans.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { FleetReports } from '../reports/fleet-reports.ts';
import { startVehicles } from '../subgraph.ts';
import { rounds } from '../../../core/testing/rounds.ts';

const BEAT = 'mutation($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) }';
const VEHICLE =
  'query($vin: String!) { vehicle(vin: $vin) { swVersion status lastSeenAt agentVersion agentMemoryMb agentCpuPercent cacheSizeMb appliedRevision clockOffsetSeconds agentRefusals pendingFlags { key revision } } }';
const PROGRESS = '{ rolloutProgress(environment: PRODUCTION, revision: 7) { applied total percent } }';
const ACTIVE = '{ rolloutProgress(environment: PRODUCTION, revision: 7) { applied active total } }';
const FACTS = {
  swVersion: '2.6.1',
  agentVersion: '1.0.0',
  agentMemoryMb: 58,
  agentCpuPercent: 12.345,
  cacheSizeMb: 0.45,
  appliedRevision: 7,
  clockOffsetSeconds: -172_800.5,
};

const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;
const vehicle = (n: number, environment: Environment = 'production'): Caller => ({
  kind: 'vehicle',
  vin: vin(n),
  environment,
});

let database: TestDatabase;
let watched: WatchedDatabase;
let ask: Ask;
let close: () => Promise<void>;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
  const started = await startVehicles({
    prisma: watched.prisma,
    tokens: createVehicleTokens('a secret of at least thirty-two characters'),
    bus: createInProcessBus(),
    logger: silent,
    sweepsPresence: false,
  });
  close = () => started.close();
  ask = asking(started.subgraph);
});

beforeEach(async () => {
  await prisma().vehicle.deleteMany();
  await prisma().environment.update({ where: { name: 'production' }, data: { revision: 8n } });
});

afterAll(async () => {
  await close();
  await watched.close();
  await database.drop();
});

const register = (count: number, environment: Environment | null = 'production') =>
  prisma().vehicle.createMany({
    data: Array.from({ length: count }, (_, n) => ({
      vin: vin(n),
      model: 'EV9',
      swVersion: '2.5.0',
      region: 'EU',
      status: 'offline',
      environment,
    })),
  });
const beat = (n: number, input: object, environment: Environment = 'production') =>
  ask<{ agentHeartbeat: boolean }>(vehicle(n, environment), BEAT, { input });
const read = async (n: number) =>
  (await ask<{ vehicle: { lastSeenAt: string; appliedRevision: number } }>(user('READ'), VEHICLE, { vin: vin(n) })).data
    .vehicle;
const active = async () => (await ask(user('READ'), ACTIVE)).data['rolloutProgress'];
const progress = async () => (await ask(user('READ'), PROGRESS)).data['rolloutProgress'];

describe('a heartbeat', () => {
  test("stores the vehicle's values, keeps those that it leaves out, and does not change the status", async () => {
    await register(2);
    const begun = Date.now();
    expect((await beat(0, FACTS)).data.agentHeartbeat).toBe(true);
    expect(await read(0)).toMatchObject({ ...FACTS, agentCpuPercent: 12.35, status: 'OFFLINE', agentRefusals: [] });
    expect(Math.abs(Date.parse((await read(0)).lastSeenAt) - begun)).toBeLessThan(60_000);
    expect((await beat(0, { agentMemoryMb: 60 })).data.agentHeartbeat).toBe(true);
    expect(await read(0)).toMatchObject({ ...FACTS, agentCpuPercent: 12.35, agentMemoryMb: 60 });
    expect(await read(1)).toMatchObject({
      swVersion: '2.5.0',
      lastSeenAt: null,
      agentMemoryMb: null,
      appliedRevision: null,
      clockOffsetSeconds: null,
      agentRefusals: [],
    });
  });

  test('that changes the software version moves updatedAt; one with only measured values does not', async () => {
    await register(1);
    const updatedAt = async () =>
      (await prisma().vehicle.findUniqueOrThrow({ where: { vin: vin(0) } })).updatedAt.getTime();
    await beat(0, FACTS);
    const first = await updatedAt();
    await beat(0, { ...FACTS, agentMemoryMb: 61, appliedRevision: 8 });
    expect(await updatedAt()).toBe(first);
    await beat(0, { ...FACTS, swVersion: '2.6.2' });
    expect(await updatedAt()).toBeGreaterThan(first);
  });

  test('of a vehicle that is not registered is not stored, and the answer says so', async () => {
    expect((await beat(5, FACTS)).data.agentHeartbeat).toBe(false);
    expect(await prisma().vehicle.count()).toBe(0);
  });

  test.each([
    [{ swVersion: ' ' }, 'swVersion'],
    [{ swVersion: 'x'.repeat(51) }, 'swVersion'],
    [{ swVersion: 'a\u0000' }, 'swVersion'],
    [{ agentVersion: 'x'.repeat(21) }, 'agentVersion'],
    [{ agentMemoryMb: -1 }, 'agentMemoryMb'],
    [{ agentCpuPercent: -0.01 }, 'agentCpuPercent'],
    [{ agentCpuPercent: 1_000 }, 'agentCpuPercent'],
    [{ cacheSizeMb: 1_000_000 }, 'cacheSizeMb'],
    [{ appliedRevision: -1 }, 'appliedRevision'],
    [{ clockOffsetSeconds: 10_000_000_001 }, 'clockOffsetSeconds'],
    [{ clockOffsetSeconds: -1e300 }, 'clockOffsetSeconds'],
    [{ refusals: Array.from({ length: 21 }, (_, n) => `kind-${n}`) }, 'refusals'],
    [{ refusals: ['incomplete', 'a,b'] }, 'refusals.1'],
    [{ refusals: [''] }, 'refusals.0'],
  ])('%j is refused at the field, and stores nothing', async (input, field) => {
    await register(1);
    expect(refusal(await beat(0, { ...FACTS, ...input }))).toEqual({ code: 'BAD_USER_INPUT', field: `input.${field}` });
    expect(await read(0)).toMatchObject({ swVersion: '2.5.0', lastSeenAt: null });
  });

  test('with the largest values is accepted', async () => {
    await register(1);
    await prisma().environment.update({ where: { name: 'production' }, data: { revision: 2_147_000_000n } });
    const largest = {
      swVersion: '9'.repeat(50),
      agentVersion: 'ß'.repeat(20),
      agentMemoryMb: 2_147_483_647,
      agentCpuPercent: 999.99,
      cacheSizeMb: 999_999.99,
      appliedRevision: 2_147_483_647,
      clockOffsetSeconds: -10_000_000_000,
    };
    const refusals = Array.from({ length: 20 }, (_, n) => `${'x'.repeat(38)}${10 + n}`);
    expect((await beat(0, { ...largest, refusals })).errors).toEqual([]);
    expect(await read(0)).toMatchObject({ ...largest, agentRefusals: refusals });
  });

  test('stores what the agent refuses now, each kind once, until it no longer refuses anything', async () => {
    await register(2);
    await Promise.all([beat(0, { refusals: ['signature', 'incomplete', 'signature'] }), beat(1, { refusals: [] })]);
    expect([await read(0), await read(1)]).toMatchObject([
      { agentRefusals: ['incomplete', 'signature'] },
      { agentRefusals: [] },
    ]);
    await beat(0, { agentMemoryMb: 60 });
    expect(await read(0)).toMatchObject({ agentRefusals: ['incomplete', 'signature'] });
    await Promise.all([beat(0, { refusals: [] }), beat(0, { agentMemoryMb: 61 })]);
    expect(await read(0)).toMatchObject({ agentRefusals: [] });
  });

  test('stores which changes wait for the end of a drive, so that progress shows where a revision is active', async () => {
    await register(3);
    await prisma().environment.update({ where: { name: 'production' }, data: { revision: 9n } });
    const pending = [
      { key: 'z.a', revision: 7 },
      { key: 'lane-keep_2', revision: 9 },
    ];
    await Promise.all([
      beat(0, { appliedRevision: 9, pending }),
      beat(1, { appliedRevision: 9, pending: pending.slice(1) }),
      beat(2, { appliedRevision: 9 }),
    ]);
    expect(await read(0)).toMatchObject({ pendingFlags: pending.toReversed() });
    expect(await active()).toEqual({ applied: 3, active: 2, total: 3 });
    await beat(0, { appliedRevision: 9 });
    expect(await read(0)).toMatchObject({ pendingFlags: [] });
    expect(await active()).toMatchObject({ active: 3 });
    for (const [wrong, field] of [
      [[{ key: 'a,b', revision: 1 }], 'input.pending.0.key'],
      [[...pending, { key: 'a', revision: -1 }], 'input.pending.2.revision'],
      [Array.from({ length: 101 }, (_, n) => ({ key: `k${n}`, revision: n })), 'input.pending'],
    ] as const)
      expect(refusal(await beat(0, { pending: wrong }))).toEqual({ code: 'BAD_USER_INPUT', field });
  });

  test('stores which new contents programs have evaluated, by each heartbeat as it says, and nothing for an agent that does not', async () => {
    await register(3);
    const stored = async () =>
      prisma().$queryRaw`SELECT evaluated_flags AS flags FROM vehicles WHERE vin <= ${vin(2)} ORDER BY vin`;
    const evaluated = [
      { key: 'z.a', revision: 7 },
      { key: 'lane-keep_2', revision: 9 },
    ];
    await Promise.all([beat(0, { evaluated }), beat(1, { evaluated: [] }), beat(2, {})]);
    expect(await stored()).toEqual([{ flags: ['lane-keep_2:9', 'z.a:7'] }, { flags: [] }, { flags: null }]);
    await Promise.all([beat(0, { evaluated: evaluated.slice(0, 1) }), beat(1, {}), beat(2, { evaluated: [] })]);
    expect(await stored()).toEqual([{ flags: ['z.a:7'] }, { flags: null }, { flags: [] }]);
    for (const [wrong, field] of [
      [[{ key: 'a:b', revision: 1 }], 'input.evaluated.0.key'],
      [[...evaluated, { key: 'a', revision: -1 }], 'input.evaluated.2.revision'],
      [Array.from({ length: 101 }, (_, n) => ({ key: `k${n}`, revision: n })), 'input.evaluated'],
    ] as const)
      expect(refusal(await beat(0, { evaluated: wrong }))).toEqual({ code: 'BAD_USER_INPUT', field });
  });

  test('is refused with a time to wait while the database is down, and accepted when it is back', async () => {
    await register(1);
    watched.proxy.sever();
    const {
      errors: [error],
    } = await beat(0, FACTS);
    expect(error?.extensions).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: expect.any(Number) });
    watched.proxy.restore();
    expect((await beat(0, FACTS)).data.agentHeartbeat).toBe(true);
  });
});

describe('the progress of a rollout', () => {
  test('follows the stored revisions of vehicles, upwards, and downwards when one has lost its disk', async () => {
    await register(4);
    await Promise.all([
      beat(0, { appliedRevision: 7 }),
      beat(1, { appliedRevision: 6 }),
      beat(2, { appliedRevision: 8 }),
      beat(3, {}),
    ]);
    expect(await progress()).toEqual({ applied: 2, total: 4, percent: 50 });
    await Promise.all([
      beat(0, { appliedRevision: 0 }),
      beat(1, { appliedRevision: 7 }),
      beat(3, { appliedRevision: 7 }),
    ]);
    expect(await progress()).toEqual({ applied: 3, total: 4, percent: 75 });
    await beat(0, { appliedRevision: 7 });
    expect(await progress()).toEqual({ applied: 4, total: 4, percent: 100 });
  });

  test('does not count a vehicle that is ahead of the environment: its revision belongs to a lost history', async () => {
    await register(3);
    await Promise.all([
      beat(0, { appliedRevision: 8 }),
      beat(1, { appliedRevision: 9 }),
      beat(2, { appliedRevision: 900 }),
    ]);
    expect(await progress()).toMatchObject({ applied: 1, total: 3 });
    await prisma().environment.update({ where: { name: 'production' }, data: { revision: 9n } });
    expect(await progress()).toMatchObject({ applied: 2, total: 3 });
  });

  test('does not know the revision of a vehicle that reports an impossible one, until it reports a possible one', async () => {
    await register(1);
    await beat(0, { appliedRevision: 7 });
    await beat(0, { appliedRevision: 1_999_999_999, agentMemoryMb: 41 });
    expect([await read(0), await progress()]).toMatchObject([
      { appliedRevision: null, agentMemoryMb: 41 },
      { applied: 0, total: 1 },
    ]);
    await beat(0, { appliedRevision: 1_000_009 });
    expect(await read(0)).toMatchObject({ appliedRevision: null });
    // Ahead after a restore, and needed by `admin advance-revision`.
    await beat(0, { appliedRevision: 1_000_008 });
    expect(await read(0)).toMatchObject({ appliedRevision: 1_000_008 });
  });

  test('does not count a revision that a vehicle has stored for another environment', async () => {
    await register(1);
    await beat(0, { appliedRevision: 9, agentMemoryMb: 40 }, 'staging');
    expect(await read(0)).toMatchObject({ agentMemoryMb: 40, appliedRevision: null });
    expect(await progress()).toEqual({ applied: 0, total: 1, percent: 0 });
  });

  test('is counted from its index', async () => {
    await prisma().$executeRaw`
      INSERT INTO vehicles (vin, model, sw_version, region, status, environment, applied_revision)
      SELECT 'KMX' || lpad(n::text, 14, '0'), 'EV9', '2.5.0', 'EU', 'offline', CASE n % 10 WHEN 0 THEN 'production' ELSE 'staging' END, n FROM generate_series(1, 5000) AS n`;
    const client = new Client({ connectionString: database.url });
    await client.connect();
    try {
      await client.query('VACUUM ANALYZE vehicles');
      await prisma().environment.update({ where: { name: 'production' }, data: { revision: 5_000n } });
      const plans = await plansOf(watched, client, 'vehicles', () =>
        new FleetReports(watched.prisma).progress('production', 4_900, null),
      );
      expect(plans).toEqual([{ indexes: expect.arrayContaining(['idx_vehicles_env_revision']), scansAll: false }]);
    } finally {
      await client.end();
    }
  });
});

const CROWD = rounds(2_000, 5_000);

test(`the heartbeats of ${CROWD} vehicles at once take at most a statement for each thousand`, async () => {
  await register(CROWD);
  const from = watched.statements.length;
  const answers = await Promise.all(
    Array.from({ length: CROWD }, (_, n) => beat(CROWD - 1 - n, { ...FACTS, agentMemoryMb: n })),
  );
  expect(answers.every(({ data }) => data.agentHeartbeat)).toBe(true);
  const writes = watched.statements.slice(from).filter(({ query }) => query.includes('UPDATE vehicles'));
  expect(writes.length).toBeLessThanOrEqual(Math.ceil(CROWD / 1_000));
  expect(await prisma().vehicle.count({ where: { appliedRevision: 7n, agentVersion: '1.0.0' } })).toBe(CROWD);
}, 60_000);
