import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { rounds } from '../../../core/testing/rounds.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { Presence } from './presence.ts';
import { upsertVehicles } from '../registry/vehicle-store.ts';

const GRACE = 30;
const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;
const vins = (count: number, from = 0) => Array.from({ length: count }, (_, n) => vin(from + n));

let database: TestDatabase;
let watched: WatchedDatabase;
/** One for each instance of the subgraph. */
let presence: Presence;
let other: Presence;
/** The number of announcements. */
let announced = 0;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
  presence = new Presence(prisma(), GRACE, () => (announced += 1));
  other = new Presence(watched.prisma, GRACE, () => (announced += 1));
});

beforeEach(async () => {
  await prisma().gatewayLease.deleteMany();
  await prisma().vehicle.deleteMany();
  announced = 0;
});

afterAll(async () => {
  await watched.close();
  await database.drop();
});

const register = (all: readonly string[], status = 'offline') =>
  prisma()
    .$executeRaw`INSERT INTO vehicles (vin, model, sw_version, region, status) SELECT vin, 'EV9', '2.5.0', 'EU', ${status} FROM unnest(${all}::text[]) AS given (vin)`;

/** A gateway whose reports arrive one after another and are all accepted. */
class TestGateway {
  readonly id = randomUUID();
  sequence = 0;

  async report(opened: readonly string[], closed: readonly string[] = [], leaving = false): Promise<boolean> {
    const since = this.sequence++;
    return presence.report({ gateway: this.id, sequence: this.sequence, since, opened, closed, leaving });
  }
}

/** Simulates that `seconds` seconds have passed, by making everything in the database older. */
async function pass(seconds: number): Promise<void> {
  await prisma().$executeRaw`UPDATE gateway_leases SET renewed_at = renewed_at - make_interval(secs => ${seconds})`;
  await prisma()
    .$executeRaw`UPDATE vehicles SET disconnected_at = disconnected_at - make_interval(secs => ${seconds}) WHERE disconnected_at IS NOT NULL`;
}

const statuses = async () =>
  Object.fromEntries(
    (await prisma().vehicle.findMany({ orderBy: { vin: 'asc' } })).map((row) => [row.vin, row.status]),
  );
const positions = async () =>
  (
    await prisma().vehicle.findMany({ where: { statusPosition: { not: null } }, orderBy: { statusPosition: 'asc' } })
  ).map((row) => row.vin);
const head = async () => (await prisma().vehicleStatusHead.findUniqueOrThrow({ where: { id: 1 } })).position;

describe('a vehicle', () => {
  test('is online, and last seen, with its first connection, and offline when it had none for the grace period', async () => {
    await register(vins(2));
    const gateway = new TestGateway();
    expect(await gateway.report([vin(0)])).toBe(true);
    expect(await statuses()).toEqual({ [vin(0)]: 'online', [vin(1)]: 'offline' });
    const seenAt = (await prisma().vehicle.findUniqueOrThrow({ where: { vin: vin(0) } })).lastSeenAt;
    expect(Math.abs(Date.now() - (seenAt?.getTime() ?? 0))).toBeLessThan(60_000);

    await gateway.report([], [vin(0)]);
    await pass(GRACE - 10);
    expect(await presence.sweep()).toBe(0);
    expect((await statuses())[vin(0)]).toBe('online');
    await pass(11);
    await gateway.report([]);
    expect(await presence.sweep()).toBe(1);
    expect(await statuses()).toEqual({ [vin(0)]: 'offline', [vin(1)]: 'offline' });
    expect(
      (await prisma().vehicle.findUniqueOrThrow({ where: { vin: vin(0) } })).lastSeenAt?.getTime(),
    ).toBeGreaterThanOrEqual(seenAt?.getTime() ?? Infinity);
    expect(announced).toBe(2);
  });

  test('that returns within the grace period, at the same gateway or another, has had one change of status', async () => {
    await register(vins(2));
    const [here, there] = [new TestGateway(), new TestGateway()];
    await here.report(vins(2));
    const before = await head();
    for (let turn = 0; turn < 3; turn++) {
      await here.report([], vins(2));
      await pass(GRACE - 5);
      expect(await presence.sweep()).toBe(0);
      await here.report([vin(0)]);
      await there.report([vin(1)]);
      await there.report([], [vin(1)]);
      await here.report([vin(1)]);
      await presence.sweep();
    }
    await pass(GRACE - 1);
    expect(await presence.sweep()).toBe(0);
    expect(await statuses()).toEqual({ [vin(0)]: 'online', [vin(1)]: 'online' });
    expect(await head()).toBe(before);
    expect(announced).toBe(1);
  });

  test('with connections at two gateways is online until the last of them has gone', async () => {
    await register([vin(0)]);
    const [here, there] = [new TestGateway(), new TestGateway()];
    await here.report([vin(0)]);
    await there.report([vin(0)]);
    await here.report([], [vin(0)]);
    await pass(GRACE - 1);
    await there.report([]);
    await pass(2);
    expect(await presence.sweep()).toBe(0);
    await there.report([], [vin(0)]);
    await pass(GRACE - 1);
    expect(await presence.sweep()).toBe(0);
    await pass(2);
    expect(await presence.sweep()).toBe(1);
  });

  test('that is not registered is remembered: it is online as soon as it is registered, and no other is affected', async () => {
    await register([vin(1)]);
    expect(await new TestGateway().report([vin(0), vin(1), 'no VIN', ''])).toBe(true);
    expect(await statuses()).toEqual({ [vin(1)]: 'online' });
    await upsertVehicles(
      prisma(),
      [vin(0), vin(2)].map((one) => ({ vin: one, model: 'EV9', swVersion: '1.0', region: 'EU' })),
    );
    expect(await statuses()).toEqual({ [vin(0)]: 'online', [vin(1)]: 'online', [vin(2)]: 'offline' });
  });
});

describe('a gateway', () => {
  test('that has died loses its lease, and its vehicles go offline a grace period later, unless they are elsewhere by then', async () => {
    await register(vins(3));
    const [dead, alive] = [new TestGateway(), new TestGateway()];
    await dead.report(vins(3));
    await alive.report([vin(2)]);
    await pass(29);
    await alive.report([]);
    await presence.sweep();
    expect(await prisma().gatewayLease.count()).toBe(2);
    await pass(2);
    expect(await presence.sweep()).toBe(0);
    expect(await prisma().gatewayLease.findMany()).toMatchObject([{ gatewayId: alive.id }]);
    await alive.report([vin(1)]);
    await pass(GRACE);
    expect(await presence.sweep()).toBe(1);
    expect(await statuses()).toEqual({ [vin(0)]: 'offline', [vin(1)]: 'online', [vin(2)]: 'online' });
  });

  test('whose lease has expired gets false until it reports all vehicles again, and none of its vehicles goes offline', async () => {
    await register(vins(2));
    const cutOff = new TestGateway();
    await cutOff.report(vins(2));
    await pass(300);
    expect(await presence.sweep()).toBe(0);
    expect([await cutOff.report([]), await cutOff.report([vin(0)])]).toEqual([false, false]);
    const restarted = new TestGateway();
    expect(await restarted.report(vins(2))).toBe(true);
    await pass(GRACE - 1);
    await restarted.report([]);
    expect(await presence.sweep()).toBe(0);
    expect(await statuses()).toEqual({ [vin(0)]: 'online', [vin(1)]: 'online' });
    expect(announced).toBe(1);
  });

  test('may repeat a report whose answer was lost, and a report that a later one has overtaken changes nothing', async () => {
    await register(vins(2));
    const gateway = randomUUID();
    const report = (sequence: number, since: number, opened: string[], closed: string[]) =>
      presence.report({ gateway, sequence, since, opened, closed, leaving: false });
    expect(await report(1, 0, [vin(0)], [])).toBe(true);
    // The answer to 1 was lost, so 2 repeats it with what has happened since.
    expect(await report(2, 0, [vin(0), vin(1)], [])).toBe(true);
    expect(await report(4, 2, [], [vin(0)])).toBe(true);
    expect(await report(3, 2, [vin(0)], [])).toBe(false);
    expect(await report(4, 2, [vin(0)], [])).toBe(false);
    expect((await prisma().vehicleConnection.findMany()).map((connection) => connection.vin)).toEqual([vin(1)]);
    // The database was restored from before 4, so its state is not the one that the gateway builds on.
    await prisma().gatewayLease.update({ where: { gatewayId: gateway }, data: { sequence: 2n } });
    expect(await report(5, 4, [], [])).toBe(false);
  });

  test('that stops gives its vehicles the same grace period', async () => {
    await register(vins(2));
    const [leaving, staying] = [new TestGateway(), new TestGateway()];
    await leaving.report(vins(2));
    await staying.report([vin(1)]);
    expect(await leaving.report([], [], true)).toBe(true);
    expect(await prisma().gatewayLease.findMany()).toMatchObject([{ gatewayId: staying.id }]);
    await pass(GRACE - 1);
    expect(await presence.sweep()).toBe(0);
    await staying.report([]);
    await pass(2);
    expect(await presence.sweep()).toBe(1);
    expect(await statuses()).toEqual({ [vin(0)]: 'offline', [vin(1)]: 'online' });
  });
});

test('the list of gateways has those that are alive, with their vehicles and the age of their last reports', async () => {
  await register(vins(3));
  const [many, few, none, dead] = [new TestGateway(), new TestGateway(), new TestGateway(), new TestGateway()];
  await dead.report([vin(9)]);
  await pass(25);
  await many.report(vins(2));
  // A vehicle that is not registered has a socket all the same.
  await few.report([vin(7)]);
  await pass(6);
  await none.report([]);
  const listed = await presence.gateways();
  expect(listed.map(({ id, vehicles }) => ({ id, vehicles }))).toEqual([
    { id: many.id, vehicles: 2 },
    { id: few.id, vehicles: 1 },
    { id: none.id, vehicles: 0 },
  ]);
  const [age = 0, , youngest = 9] = listed.map(({ secondsSinceReport }) => secondsSinceReport);
  expect(age).toBeGreaterThanOrEqual(6);
  expect(age).toBeLessThan(20);
  expect(youngest).toBeLessThan(age);
  for (const { reportedAt, secondsSinceReport } of listed)
    expect(Math.abs(Date.now() - reportedAt.getTime() - secondsSinceReport * 1_000)).toBeLessThan(60_000);
});

test('all vehicles that connect at once, and disconnect at once, cost a handful of statements', async () => {
  const count = rounds(1_000, 10_000);
  await register(vins(count));
  const gateway = randomUUID();
  const cost = async (run: () => Promise<unknown>) => {
    const from = watched.statements.length;
    await run();
    return watched.statements.length - from;
  };
  const before = await head();
  const coming = await cost(() =>
    other.report({ gateway, sequence: 1, since: 0, opened: vins(count), closed: [], leaving: false }),
  );
  const going = await cost(() =>
    other.report({ gateway, sequence: 2, since: 1, opened: [], closed: vins(count), leaving: false }),
  );
  expect(await head()).toBe(before + BigInt(count));
  expect(new Set((await positions()).slice(-count)).size).toBe(count);
  await pass(GRACE + 1);
  await prisma().$executeRaw`UPDATE gateway_leases SET renewed_at = NOW()`;
  const sweeping = await cost(() => other.sweep());
  expect(await prisma().vehicle.count({ where: { status: 'offline', disconnectedAt: null } })).toBe(count);
  // Transactions begin and end with one each.
  expect([coming, going, sweeping].filter((statements) => statements > 7)).toEqual([]);
}, 60_000);

test('concurrent reports of many gateways about the same vehicles, with sweeps in between, end in the state of the last', async () => {
  const all = vins(40);
  await register(all);
  const gateways = Array.from({ length: 4 }, () => new TestGateway());
  const open = new Map(gateways.map((gateway) => [gateway, new Set<string>()]));
  let seed = 7;
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const run = async (gateway: TestGateway) => {
    for (let turn = 0; turn < 15; turn++) {
      const mine = open.get(gateway)!;
      const touched = [...new Set(Array.from({ length: 10 }, () => all[random(all.length)]!))];
      const opened = touched.filter((one) => !mine.has(one)).reverse();
      const closed = touched.filter((one) => mine.has(one));
      for (const one of opened) mine.add(one);
      for (const one of closed) mine.delete(one);
      expect(await gateway.report(opened, closed)).toBe(true);
    }
  };
  // Without a grace period, so that vehicles come and go all the time.
  const hasty = new Presence(watched.prisma, 0, () => undefined);
  const sweeps = async () => {
    for (let turn = 0; turn < 10; turn++) await hasty.sweep();
  };
  await Promise.all([...gateways.map(run), sweeps()]);
  await pass(GRACE + 1);
  await prisma().$executeRaw`UPDATE gateway_leases SET renewed_at = NOW()`;
  await presence.sweep();
  const connected = new Set([...open.values()].flatMap((mine) => [...mine]));
  expect(await statuses()).toEqual(
    Object.fromEntries(all.map((one) => [one, connected.has(one) ? 'online' : 'offline'])),
  );
});

test('a sweep that cannot reach the database rejects, and the next one catches up', async () => {
  await register([vin(0)], 'online');
  await prisma().$executeRaw`UPDATE vehicles SET disconnected_at = NOW() - interval '1 hour'`;
  watched.proxy.sever();
  await expect(other.sweep()).rejects.toThrow();
  watched.proxy.restore();
  expect(await other.sweep()).toBe(1);
  expect(await statuses()).toEqual({ [vin(0)]: 'offline' });
});
