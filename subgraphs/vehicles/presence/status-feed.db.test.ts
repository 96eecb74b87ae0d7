import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { SubgraphResponse, SubgraphStream } from '../../../core/wire/subgraph/subgraph.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { createInProcessBus, type Bus } from '../../shared/feeds/bus.ts';
import { connectInProcess } from '../../shared/subgraph/in-process-connection.ts';
import { identityOf, silent, user } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { Presence } from './presence.ts';
import { startVehicles } from '../subgraph.ts';

const CHANGES =
  'subscription($region: String, $model: String) { vehicleStatusChanges(region: $region, model: $model) { vin status model } }';
const vin = (n: number) => `KMH${String(n).padStart(14, '0')}`;

let database: TestDatabase;
/** The database through which the feed reads; its statements are visible, and it can be cut off. */
let watched: WatchedDatabase;
let started: Awaited<ReturnType<typeof startVehicles>>;
/** The subgraph's bus; lost announcements of another instance do not arrive here. */
let bus: Bus;
const streams: SubgraphStream[] = [];
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
});

beforeEach(async () => {
  await prisma().gatewayLease.deleteMany();
  await prisma().vehicle.deleteMany();
  bus = createInProcessBus();
  started = await startVehicles({
    prisma: watched.prisma,
    tokens: createVehicleTokens('a secret of at least thirty-two characters'),
    bus,
    logger: silent,
    sweepsPresence: false,
  });
});

afterEach(async () => {
  for (const stream of streams.splice(0)) await stream.return?.();
  await started.close();
});

afterAll(async () => {
  await watched.close();
  await database.drop();
});

const register = (numbers: readonly number[], facts: object = {}) =>
  prisma().vehicle.createMany({
    data: numbers.map((n) => ({
      vin: vin(n),
      model: 'EV9',
      swVersion: '2.5.0',
      region: 'EU',
      status: 'offline',
      ...facts,
    })),
  });

/** Another instance of the subgraph, whose announcements do not arrive here. */
const elsewhere = () => new Presence(prisma(), 0, () => undefined);
const connect = (numbers: readonly number[]) =>
  elsewhere().report({
    gateway: randomUUID(),
    sequence: 1,
    since: 0,
    opened: numbers.map(vin),
    closed: [],
    leaving: false,
  });

async function follow(variables: object = {}): Promise<SubgraphStream> {
  const stream = connectInProcess(started.subgraph, async () => true).subscribe({
    query: CHANGES,
    variables: { ...variables },
    identity: identityOf(user('READ')),
  });
  streams.push(stream);
  await stream.established;
  return stream;
}

async function take(stream: SubgraphStream, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const { data } = ((await stream.next()) as IteratorYieldResult<SubgraphResponse>).value;
    const change = data?.['vehicleStatusChanges'] as { vin: string; status: string };
    taken.push(`${change.vin} ${change.status}`);
  }
  return taken;
}

test('changes arrive in order, from the time of subscribing on, even without announcements', async () => {
  await register([1, 2, 3]);
  await connect([3]);
  const stream = await follow();
  await connect([1]);
  await connect([2]);
  expect(await take(stream, 2)).toEqual([`${vin(1)} ONLINE`, `${vin(2)} ONLINE`]);
  await prisma().gatewayLease.deleteMany();
  await prisma().$executeRaw`UPDATE vehicles SET disconnected_at = NOW() WHERE vin = ${vin(1)}`;
  await elsewhere().sweep();
  expect(await take(stream, 1)).toEqual([`${vin(1)} OFFLINE`]);
});

test('with a region and a model, only changes of such vehicles arrive', async () => {
  await register([1, 2]);
  await register([3], { region: 'KR' });
  await register([4], { model: 'GV60' });
  const [region, both, all] = [
    await follow({ region: 'KR' }),
    await follow({ region: 'EU', model: 'GV60' }),
    await follow(),
  ];
  await connect([1, 2, 3, 4]);
  expect(await take(region, 1)).toEqual([`${vin(3)} ONLINE`]);
  expect(await take(both, 1)).toEqual([`${vin(4)} ONLINE`]);
  expect(await take(all, 4)).toEqual([1, 2, 3, 4].map((n) => `${vin(n)} ONLINE`));
});

test('the instance that changes maintenance announces it', async () => {
  await register([1]);
  const stream = await follow();
  const set = (maintenance: boolean) =>
    connectInProcess(started.subgraph, async () => true).execute({
      query: `mutation { setVehicleMaintenance(vin: "${vin(1)}", maintenance: ${maintenance}) { status } }`,
      identity: identityOf(user('WRITE')),
    });
  await set(true);
  expect(await take(stream, 1)).toEqual([`${vin(1)} MAINTENANCE`]);
  await set(false);
  expect(await take(stream, 1)).toEqual([`${vin(1)} OFFLINE`]);
});

test('all of more changes than a page holds arrive, once each', async () => {
  const many = Array.from({ length: 450 }, (_, n) => n);
  await register(many);
  const stream = await follow();
  await connect(many);
  expect(await take(stream, 450)).toEqual(many.map((n) => `${vin(n)} ONLINE`));
  await connect([]);
  await register([999]);
  await connect([999]);
  expect(await take(stream, 1)).toEqual([`${vin(999)} ONLINE`]);
});

test('changes during an outage of the database arrive after it, and new subscriptions fail during it', async () => {
  await register([1, 2]);
  const stream = await follow();
  watched.proxy.sever();
  await connect([1]);
  const { errors } = ((await (await follow()).next()) as IteratorYieldResult<SubgraphResponse>).value;
  expect(errors).toMatchObject([{ extensions: { code: 'SERVICE_UNAVAILABLE' } }]);
  watched.proxy.restore();
  expect(await take(stream, 1)).toEqual([`${vin(1)} ONLINE`]);
});

test('without subscriptions nothing is read', async () => {
  const stream = await follow();
  await stream.return?.();
  const from = watched.statements.length;
  await bus.publish('vehicle-statuses-changed', '');
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(watched.statements.slice(from)).toEqual([]);
});
