/** The fleet in numbers, its progress towards a revision, and the vehicles in maintenance. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, beforeAll, afterAll } from '@jest/globals';
import { refusal, user, type Ask } from '../../shared/testing/asking.ts';
import { Presence } from '../presence/presence.ts';
import { fleetTestSteps, FleetUnderTest } from '../testing/fleet-under-test.ts';
import { ISSUE_TOKEN, VEHICLE_BY_VIN } from '../testing/vehicle-operations.ts';

let fleet: FleetUnderTest;
let ask: Ask;
const prisma = () => fleet.prisma;

beforeAll(async () => {
  fleet = await FleetUnderTest.start();
  ({ ask } = fleet);
});

beforeEach(async () => {
  await prisma().vehicle.deleteMany();
});

afterAll(() => fleet.drop());

const { vinOf, vehicle, register, flag } = fleetTestSteps(() => fleet);

describe('the fleet in numbers', () => {
  const FLEET =
    '{ fleet { total online offline maintenance byModel { key count } byRegion { key count } bySwVersion { key count } } }';

  test('counts every vehicle once in each list, the most frequent first, then by key', async () => {
    expect((await ask(user('READ'), FLEET)).data).toEqual({
      fleet: { total: 0, online: 0, offline: 0, maintenance: 0, byModel: [], byRegion: [], bySwVersion: [] },
    });
    await register([
      vehicle(1, { model: 'EV9', status: 'online' }),
      vehicle(2, { model: 'EV9', region: 'KR', swVersion: '2.6.0', status: 'online' }),
      vehicle(3, { model: 'GV60', region: 'KR', status: 'maintenance' }),
      vehicle(4, { model: 'Casper', region: 'NA' }),
    ]);
    expect((await ask(user('READ'), FLEET)).data).toEqual({
      fleet: {
        total: 4,
        online: 2,
        offline: 1,
        maintenance: 1,
        byModel: [
          { key: 'EV9', count: 2 },
          { key: 'Casper', count: 1 },
          { key: 'GV60', count: 1 },
        ],
        byRegion: [
          { key: 'KR', count: 2 },
          { key: 'EU', count: 1 },
          { key: 'NA', count: 1 },
        ],
        bySwVersion: [
          { key: '2.5.0', count: 3 },
          { key: '2.6.0', count: 1 },
        ],
      },
    });
  });
});

describe('the progress towards a revision', () => {
  const PROGRESS =
    'query($environment: Environment!, $revision: Int) { rolloutProgress(environment: $environment, revision: $revision) { environment revision applied total percent } }';
  const progress = async (environment: string, revision?: number) =>
    (await ask(user('READ'), PROGRESS, { environment, revision })).data['rolloutProgress'];

  afterEach(
    async () => void (await prisma().environment.update({ where: { name: 'production' }, data: { revision: 0n } })),
  );

  test('names the vehicles of the environment that it does not count, and no other', async () => {
    await prisma().environment.update({ where: { name: 'production' }, data: { revision: 8n } });
    await register([
      vehicle(1, { appliedRevision: 8 }),
      vehicle(2, { appliedRevision: 7, status: 'online' }),
      vehicle(3),
      vehicle(4, { appliedRevision: 9 }),
      vehicle(5, { environment: 'staging', appliedRevision: 1 }),
      vehicle(6, { environment: null }),
    ]);
    const MISSING =
      'query($status: VehicleStatus, $first: Int, $after: String) { rolloutProgress(environment: PRODUCTION) { applied total missing(status: $status, first: $first, after: $after) { totalCount nodes { vin } pageInfo { hasNextPage endCursor } } } }';
    const missing = async (variables: Record<string, unknown>) => {
      const { data } = await ask<{
        rolloutProgress: {
          applied: number;
          total: number;
          missing: { totalCount: number; nodes: { vin: string }[]; pageInfo: { endCursor: string | null } };
        };
      }>(user('READ'), MISSING, variables);
      return data.rolloutProgress;
    };
    const { applied, total, missing: all } = await missing({});
    expect([applied, total, all.totalCount]).toEqual([1, 4, 3]);
    expect(all.nodes.map(({ vin }) => vin)).toEqual([2, 3, 4].map(vinOf));
    const { missing: first } = await missing({ first: 2 });
    const { missing: rest } = await missing({ first: 2, after: first.pageInfo.endCursor });
    expect([...first.nodes, ...rest.nodes].map(({ vin }) => vin)).toEqual([2, 3, 4].map(vinOf));
    expect((await missing({ status: 'ONLINE' })).missing).toMatchObject({ totalCount: 1, nodes: [{ vin: vinOf(2) }] });
  });

  describe('where models have partitions', () => {
    const OF_FLAG =
      'query($flag: String) { rolloutProgress(environment: PRODUCTION, flag: $flag) { revision applied total missing { nodes { vin } } } }';
    const ofFlag = async (key: string | null) => {
      const { data } = await ask<{
        rolloutProgress: { revision: number; applied: number; total: number; missing: { nodes: { vin: string }[] } };
      }>(user('READ'), OF_FLAG, { flag: key });
      const { missing, ...counts } = data.rolloutProgress;
      return { ...counts, missing: missing.nodes.map(({ vin }) => vin) };
    };

    beforeEach(async () => {
      await prisma().environment.update({ where: { name: 'production' }, data: { revision: 8n } });
      await prisma().scopedModel.createMany({
        data: ['A', 'B'].map((model) => ({ environment: 'production', model })),
      });
      await flag('for_a', { scope: ['A'], revision: 8n, signedDefinition: 'x.y.z' });
      await flag('for_all', { revision: 5n, signedDefinition: 'x.y.z' });
      await prisma().flagTombstone.create({
        data: { environment: 'production', key: 'for_a', revision: 6n, signedDefinition: 'x.y.z', partition: 'B' },
      });
      await register([
        vehicle(1, { model: 'A', appliedRevision: 8 }),
        vehicle(2, { model: 'A', appliedRevision: 7 }),
        vehicle(3, { model: 'B', appliedRevision: 6 }),
        vehicle(4, { model: 'B', appliedRevision: 5 }),
        vehicle(5, { model: 'C', appliedRevision: 5 }),
        vehicle(6, { model: 'C', appliedRevision: 4 }),
        vehicle(7, { model: 'C', appliedRevision: 9 }),
      ]);
    });
    afterEach(async () => {
      await prisma().flag.deleteMany();
      await prisma().flagTombstone.deleteMany();
      await prisma().scopedModel.deleteMany();
    });

    test('counts a vehicle that has all that concerns it, whatever the environment has come to', async () => {
      expect(await ofFlag(null)).toEqual({ revision: 8, applied: 3, total: 7, missing: [2, 4, 6, 7].map(vinOf) });
    });

    test("counts the vehicles of a flag's scope, at its last change", async () => {
      expect(await ofFlag('for_a')).toEqual({ revision: 8, applied: 1, total: 2, missing: [vinOf(2)] });
      expect(await ofFlag('for_all')).toEqual({ revision: 5, applied: 5, total: 7, missing: [6, 7].map(vinOf) });
      // PostgreSQL does not accept the second one.
      for (const flag of ['unknown', 'a\u0000b', ''])
        expect(refusal(await ask(user('READ'), OF_FLAG, { flag }))).toEqual({ code: 'NOT_FOUND', field: 'flag' });
    });
  });

  test('is the same with and without partitions where the last change concerns all, for every revision', async () => {
    await prisma().environment.update({ where: { name: 'production' }, data: { revision: 4n } });
    await flag('for_all', { revision: 4n, signedDefinition: 'x.y.z' });
    await register([
      ...[0, 1, 2, 3, 4, 5, 6].map((appliedRevision) => vehicle(appliedRevision + 1, { appliedRevision })),
      vehicle(8, { model: 'A', appliedRevision: 4 }),
      vehicle(9, { model: 'A' }),
    ]);
    const counts = async () => {
      const found: unknown[] = [];
      for (let revision = 0; revision <= 7; revision++) found.push(await progress('PRODUCTION', revision));
      return found;
    };
    const shared = await counts();
    await prisma().scopedModel.create({ data: { environment: 'production', model: 'A' } });
    const partitioned = await counts();
    await prisma().scopedModel.deleteMany();
    await prisma().flag.deleteMany();
    expect(partitioned).toEqual(shared);
    expect(shared).toMatchObject([6, 5, 4, 3, 2, 0, 0, 0].map((applied) => ({ applied, total: 9 })));
  });

  test("counts the environment's vehicles, by default for the current revision", async () => {
    await prisma().environment.update({ where: { name: 'production' }, data: { revision: 8n } });
    await register([
      vehicle(1, { appliedRevision: 8 }),
      vehicle(2, { appliedRevision: 8 }),
      vehicle(3, { appliedRevision: 7 }),
      vehicle(4),
      vehicle(5, { environment: 'staging', appliedRevision: 8 }),
      vehicle(6, { environment: null }),
    ]);
    expect(await progress('PRODUCTION')).toEqual({
      environment: 'PRODUCTION',
      revision: 8,
      applied: 2,
      total: 4,
      percent: 50,
    });
    expect(await progress('PRODUCTION', 7)).toEqual({
      environment: 'PRODUCTION',
      revision: 7,
      applied: 3,
      total: 4,
      percent: 75,
    });
    expect(await progress('PRODUCTION', 100)).toMatchObject({ applied: 0, percent: 0 });
    expect(await progress('DEVELOPMENT')).toEqual({
      environment: 'DEVELOPMENT',
      revision: 0,
      applied: 0,
      total: 0,
      percent: 0,
    });
  });

  test('for a negative revision is refused', async () => {
    expect(refusal(await ask(user('READ'), PROGRESS, { environment: 'STAGING', revision: -1 }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'revision',
    });
  });
});

describe('maintenance', () => {
  const PRESENCE =
    'mutation($gateway: ID!, $sequence: Int!, $since: Int!, $opened: [String!]!, $closed: [String!]!) { reportPresence(gateway: $gateway, sequence: $sequence, since: $since, opened: $opened, closed: $closed) }';
  const SET =
    'mutation($vin: String!, $maintenance: Boolean!) { setVehicleMaintenance(vin: $vin, maintenance: $maintenance) { vin status } }';
  const set = async (vin: string, maintenance: boolean) =>
    (await ask<{ setVehicleMaintenance: { status: string } }>(user('WRITE'), SET, { vin, maintenance })).data
      .setVehicleMaintenance.status;
  const records = () =>
    prisma().auditLog.findMany({
      where: { action: 'SET_MAINTENANCE' },
      orderBy: { chainPosition: 'asc' },
      select: { beforeValue: true, afterValue: true },
    });

  test('is a status that a vehicle keeps whatever it reports; leaving it gives the status of its connections; both are recorded', async () => {
    await register([vehicle(1), vehicle(2)]);
    const gateway = randomUUID();
    const report = (sequence: number, opened: string[], closed: string[]) =>
      ask({ kind: 'gateway' }, PRESENCE, { gateway, sequence, since: sequence - 1, opened, closed });
    await report(1, [vinOf(1)], []);
    expect([await set(vinOf(1), true), await set(vinOf(1), true), await set(vinOf(1), false)]).toEqual([
      'MAINTENANCE',
      'MAINTENANCE',
      'ONLINE',
    ]);
    expect([await set(vinOf(2), false), await set(vinOf(2), true), await set(vinOf(2), false)]).toEqual([
      'OFFLINE',
      'MAINTENANCE',
      'OFFLINE',
    ]);
    const record = (n: number, before: string, after: string) => ({
      beforeValue: { vin: vinOf(n), status: before },
      afterValue: { vin: vinOf(n), status: after },
    });
    expect(await records()).toEqual([
      record(1, 'online', 'maintenance'),
      record(1, 'maintenance', 'online'),
      record(2, 'offline', 'maintenance'),
      record(2, 'maintenance', 'offline'),
    ]);

    // Connections change during maintenance: the status stays, and the next one follows from the connections by then.
    await set(vinOf(1), true);
    await set(vinOf(2), true);
    await report(2, [vinOf(2)], [vinOf(1)]);
    await prisma().vehicle.updateMany({
      where: { disconnectedAt: { not: null } },
      data: { disconnectedAt: new Date(Date.now() - 60_000) },
    });
    await new Presence(prisma(), 30, () => undefined).sweep();
    expect(await prisma().vehicle.findMany({ where: { status: 'maintenance' } })).toHaveLength(2);
    expect([await set(vinOf(1), false), await set(vinOf(2), false)]).toEqual(['OFFLINE', 'ONLINE']);
  });

  test('is refused for an unknown vehicle, and to callers who may not write', async () => {
    expect(refusal(await ask(user('WRITE'), SET, { vin: vinOf(9), maintenance: true }))).toEqual({
      code: 'NOT_FOUND',
      field: 'vin',
    });
    expect(refusal(await ask(user('WRITE'), SET, { vin: 'x', maintenance: true }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'vin',
    });
    expect(refusal(await ask(user('READ'), SET, { vin: vinOf(9), maintenance: true }))).toEqual({ code: 'FORBIDDEN' });
  });
});

test('a vehicle that moves to another environment has none of its revisions', async () => {
  await register([vehicle(1)]);
  const vin = vinOf(1);
  const writer = user('WRITE');
  const issue = (environment: string) => ask(writer, ISSUE_TOKEN, { vin, environment, days: 2 });
  await issue('STAGING');
  await fleet.prisma.vehicle.update({ where: { vin }, data: { appliedRevision: 41n } });
  await issue('STAGING');
  expect((await ask<{ vehicle: unknown }>(writer, VEHICLE_BY_VIN, { vin })).data.vehicle).toMatchObject({
    appliedRevision: 41,
  });
  await issue('PRODUCTION');
  expect((await ask<{ vehicle: unknown }>(writer, VEHICLE_BY_VIN, { vin })).data.vehicle).toMatchObject({
    environment: 'PRODUCTION',
    appliedRevision: null,
  });
});
