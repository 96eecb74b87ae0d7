import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { isInRange, readRange } from '../../../core/evaluation/versions/version-range.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { ANONYMOUS, asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { plansOf, type QueryPlan } from '../../shared/testing/query-plans.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import { startVehicles } from '../subgraph.ts';
import type { VehicleFilter } from '../generated/resolvers.ts';
import { readFilter } from './vehicle-filter.ts';
import { firstPage } from '../../../core/wire/api/pagination.ts';
import { countVehicles, resolveFilter, searchVehicles } from './vehicle-search.ts';

const ROWS = 50_000;
const MODELS = ['Ioniq 5', 'Ioniq 6', 'EV9', 'GV60', 'Kona Electric'];
const VERSIONS = ['2.4.0', '2.5.0', 'v2.5.0', '2.5.0.17', '2.5.3', '2.6.0-rc1', '2.6.0', '24.03', 'unknown'];
const REGIONS = ['EU', 'KR', 'NA'];
const STATUSES = ['online', 'offline', 'maintenance'] as const;

/** Gives the n-th vehicle, as the SQL below generates it; every 500th is a prototype, all of which are in Japan. */
const vehicleOf = (n: number) => {
  const prototype = n % 500 === 0;
  return {
    vin: `${n % 250 === 0 ? 'XWE' : 'KMH'}${String((n * 7_919) % 1_000_003).padStart(14, '0')}`,
    model: prototype ? 'Prototype' : MODELS[n % MODELS.length]!,
    swVersion: prototype ? '3.0.0-alpha.1' : VERSIONS[n % VERSIONS.length]!,
    region: prototype ? 'JP' : REGIONS[n % REGIONS.length]!,
    status: STATUSES[n % 1_000 === 7 ? 2 : n % 2]!,
  };
};
const FLEET = Array.from({ length: ROWS }, (_, n) => vehicleOf(n)).sort((a, b) => (a.vin < b.vin ? -1 : 1));

const VEHICLES = `query($filter: VehicleFilter, $first: Int, $after: String) {
  vehicles(filter: $filter, first: $first, after: $after) { nodes { vin } edges { cursor node { vin } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount }
}`;
type Page = {
  vehicles: {
    nodes: { vin: string }[];
    edges: { cursor: string }[];
    pageInfo: { hasNextPage: boolean; endCursor: string | null };
    totalCount: number;
  };
};

let database: TestDatabase;
let watched: WatchedDatabase;
let client: Client;
let ask: Ask;
let close: () => Promise<void>;

beforeAll(async () => {
  database = await createTestDatabase();
  watched = await watchDatabase(database.url);
  client = new Client({ connectionString: database.url });
  await client.connect();
  const column = (name: keyof (typeof FLEET)[number]) => FLEET.map((vehicle) => vehicle[name]);
  await client.query(
    'INSERT INTO vehicles (vin, model, sw_version, region, status) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])',
    [column('vin'), column('model'), column('swVersion'), column('region'), column('status')],
  );
  await client.query('ANALYZE vehicles');
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

afterAll(async () => {
  await close();
  await client.end();
  await watched.close();
  await database.drop();
});

const inRange =
  (text: string) =>
  ({ swVersion }: { swVersion: string }) =>
    isInRange(readRange(text)!, swVersion);
const upper = (text: string) => text.toUpperCase();

describe(`the search of ${ROWS} vehicles`, () => {
  test.each<[VehicleFilter, (vehicle: (typeof FLEET)[number]) => boolean]>([
    [{}, () => true],
    [{ model: 'EV9' }, ({ model }) => model === 'EV9'],
    [{ model: 'ev9' }, () => false],
    [{ region: 'KR', status: 'offline' }, ({ region, status }) => region === 'KR' && status === 'offline'],
    [{ status: 'maintenance' }, ({ status }) => status === 'maintenance'],
    [{ swVersion: '>=2.5.0 <2.6' }, inRange('>=2.5.0 <2.6')],
    [{ swVersion: '^2.4 || 3' }, inRange('^2.4 || 3')],
    [{ swVersion: '2.5.3' }, ({ swVersion }) => swVersion === '2.5.3'],
    [{ swVersion: '2.5.0' }, ({ swVersion }) => ['2.5.0', 'v2.5.0'].includes(swVersion)],
    [{ swVersion: '2.5.0.17' }, ({ swVersion }) => swVersion === '2.5.0.17'],
    [{ swVersion: '24.03' }, ({ swVersion }) => swVersion === '24.03'],
    [{ swVersion: '*' }, ({ swVersion }) => swVersion !== 'unknown'],
    [{ swVersion: '>=7' }, ({ swVersion }) => swVersion === '24.03'],
    [{ swVersion: '9.9.9' }, () => false],
    [{ search: 'xwe' }, ({ vin }) => vin.startsWith('XWE')],
    [{ search: ' IONIQ' }, ({ model }) => model.startsWith('Ioniq')],
    [{ search: 'v' }, ({ model }) => upper(model).includes('V')],
    [{ search: 'lane%' }, () => false],
    [{ search: '  ' }, () => true],
    [
      { search: 'electric', region: 'EU', swVersion: '2.x' },
      (vehicle) => vehicle.model === 'Kona Electric' && vehicle.region === 'EU' && inRange('2.x')(vehicle),
    ],
  ])('finds the vehicles that match %j, in the order of their VINs', async (filter, matches) => {
    const expected = FLEET.filter(matches).map(({ vin }) => vin);
    const { data, errors } = await ask<Page>(user('READ'), VEHICLES, {
      filter: { ...filter, ...(filter.status && { status: upper(filter.status) }) },
      first: 100,
    });
    expect(errors).toEqual([]);
    expect(data.vehicles.nodes.map(({ vin }) => vin)).toEqual(expected.slice(0, 100));
    expect(data.vehicles).toMatchObject({
      totalCount: expected.length,
      pageInfo: { hasNextPage: expected.length > 100, hasPreviousPage: false },
    });
  });

  test('gives pages that follow each other without a gap, even while vehicles are registered', async () => {
    const filter = { model: 'Prototype' };
    const expected = FLEET.filter(({ model }) => model === 'Prototype').map(({ vin }) => vin);
    const seen: string[] = [];
    for (let after: string | null = null; ;) {
      const { data }: { data: Page } = await ask<Page>(user('READ'), VEHICLES, { filter, first: 30, after });
      seen.push(...data.vehicles.nodes.map(({ vin }) => vin));
      if (!data.vehicles.pageInfo.hasNextPage) break;
      after = data.vehicles.pageInfo.endCursor;
      await client.query(
        `INSERT INTO vehicles (vin, model, sw_version, region, status) VALUES ($1, 'Prototype', '1', 'JP', 'offline')`,
        [`A${String(seen.length).padStart(16, '0')}`],
      );
    }
    await client.query(`DELETE FROM vehicles WHERE vin LIKE 'A%'`);
    expect(seen).toEqual(expected);
  });

  test.each([
    [{ filter: { swVersion: 'newest' } }, 'filter.swVersion'],
    [{ filter: { swVersion: '' } }, 'filter.swVersion'],
    [{ filter: { swVersion: '>=3 <2' } }, 'filter.swVersion'],
    [{ filter: { swVersion: '1'.repeat(300) } }, 'filter.swVersion'],
    [{ filter: { search: 'x'.repeat(101) } }, 'filter.search'],
    [{ filter: { model: 'a\0' } }, 'filter.model'],
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: Buffer.from('nonsense').toString('base64url') }, 'after'],
  ])('refuses %j and names the field', async (variables, field) => {
    expect(refusal(await ask(user('READ'), VEHICLES, variables))).toEqual({ code: 'BAD_USER_INPUT', field });
  });

  test('is refused to anonymous callers and vehicles', async () => {
    expect(refusal(await ask(ANONYMOUS, VEHICLES))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(refusal(await ask({ kind: 'vehicle', vin: FLEET[0]!.vin, environment: 'production' }, VEHICLES))).toEqual({
      code: 'FORBIDDEN',
    });
  });

  test('counts only on request', async () => {
    const from = watched.statements.length;
    await ask(user('READ'), '{ vehicles(filter: {region: "EU"}) { nodes { vin } } }');
    const sent = watched.statements.slice(from).map(({ query }) => query);
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.filter((query) => query.includes('count('))).toEqual([]);
  });

  test.each<[VehicleFilter, string]>([
    [{ model: 'Prototype' }, 'idx_vehicles_model'],
    [{ region: 'JP' }, 'idx_vehicles_region'],
    [{ status: 'maintenance' }, 'idx_vehicles_status'],
    [{ swVersion: '>=3 <4' }, 'idx_vehicles_sw_version'],
    [{ search: 'proto' }, 'idx_vehicles_model'],
    [{ search: 'XWE' }, 'vehicles_pkey'],
    [{ search: 'KMH00000007' }, 'vehicles_pkey'],
  ])('finds a few by %j through %s, and counts them', async (filter, index) => {
    const plans: QueryPlan[] = await plansOf(watched, client, 'vehicles', async () => {
      const search = await resolveFilter(watched.prisma, readFilter(filter));
      await searchVehicles(watched.prisma, search, firstPage(20));
      await countVehicles(watched.prisma, search);
    });
    expect(plans.length).toBeGreaterThanOrEqual(2);
    for (const plan of plans.slice(-2))
      expect(plan).toMatchObject({ indexes: expect.arrayContaining([index]), scansAll: false });
    for (const plan of plans) expect(plan.scansAll).toBe(false);
  });

  test.each([true, false])('begins the next page of all where the last one ended, backwards %s', async (backwards) => {
    const [plan] = await plansOf(watched, client, 'vehicles', async () =>
      searchVehicles(watched.prisma, await resolveFilter(watched.prisma, readFilter({})), {
        limit: 20,
        cursor: FLEET[40_000]!.vin,
        backwards,
      }),
    );
    expect(plan).toEqual({ indexes: ['vehicles_pkey'], scansAll: false });
  });
});
