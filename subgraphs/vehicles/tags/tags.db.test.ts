/** Tags of vehicles, given and taken in batches, and the vehicles that segments select by them. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { TAGS_CHANGED } from '../../shared/between-subgraphs/tags-changed.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { AudienceService } from '../audience/audience-service.ts';
import { startVehicles } from '../subgraph.ts';

const VINS = ['KMHK281HGNU000001', 'KMHK281HGNU000002', 'KMHK281HGNU000003'] as const;
const SET = 'mutation ($input: [VehicleTagsInput!]!) { setVehicleTags(input: $input) { vin tags } }';
const LIST = 'query ($tags: [String!]) { vehicles(filter: { tags: $tags }) { nodes { vin } totalCount } }';

let database: TestDatabase;
let ask: Ask;
let close: () => Promise<void>;
let writer: Caller;
let announced = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const { prisma } = database.database;
  const { id } = await prisma.user.create({
    data: { email: 'w@example.com', name: 'W', passwordHash: '-', role: 'WRITE' },
  });
  writer = user('WRITE', id);
  const bus = createInProcessBus();
  await bus.subscribe(TAGS_CHANGED, () => (announced += 1));
  const tokens = createVehicleTokens('a secret of at least thirty-two characters');
  const started = await startVehicles({ prisma, tokens, bus, logger: silent, sweepsPresence: false });
  close = () => started.close();
  ask = asking(started.subgraph);
});
afterAll(async () => {
  await close?.();
  await database?.drop();
});
beforeEach(async () => {
  const { prisma } = database.database;
  await prisma.vehicle.deleteMany();
  await prisma.segment.deleteMany();
  await prisma.vehicle.createMany({
    data: VINS.map((vin, n) => ({
      vin,
      model: 'EV9',
      swVersion: '2.5.0',
      region: n === 0 ? 'KR' : 'EU',
      status: 'offline',
    })),
  });
});

interface Tagged {
  readonly setVehicleTags: readonly { readonly vin: string; readonly tags: readonly string[] }[];
}
const set = (input: unknown, caller: Caller = writer) => ask<Tagged>(caller, SET, { input });
const listed = async (tags: readonly string[]) =>
  (await ask<{ vehicles: { nodes: { vin: string }[] } }>(user('READ'), LIST, { tags })).data.vehicles.nodes.map(
    ({ vin }) => vin,
  );
const rows = () =>
  database.database.prisma.auditLog.findMany({ where: { action: 'TAG_VEHICLES' }, orderBy: { chainPosition: 'desc' } });
const counts = async () =>
  Object.fromEntries((await database.database.prisma.vehicleTag.findMany()).map(({ tag, changes }) => [tag, changes]));

test('tags are given and taken, found by, counted and recorded; the same again changes nothing', async () => {
  const { data, errors } = await set([
    { vin: VINS[1], add: ['press', 'beta'] },
    { vin: VINS[0], add: ['beta'] },
  ]);
  expect(errors).toEqual([]);
  expect(data.setVehicleTags).toEqual([
    { vin: VINS[1], tags: ['beta', 'press'] },
    { vin: VINS[0], tags: ['beta'] },
  ]);
  expect(await listed(['beta'])).toEqual([VINS[0], VINS[1]]);
  expect(await listed(['beta', 'press'])).toEqual([VINS[1]]);
  expect(await listed([])).toEqual([...VINS]);
  expect(await counts()).toMatchObject({ beta: 1n, press: 1n });
  const recorded = (await rows()).length;
  expect((await rows())[0]?.afterValue).toEqual({
    count: 2,
    tags: ['beta', 'press'],
    vehicles: { [VINS[0]]: ['beta'], [VINS[1]]: ['beta', 'press'] },
  });
  const before = announced;
  await set([{ vin: VINS[0], add: ['beta'], remove: ['press'] }]);
  expect((await rows()).length).toBe(recorded);
  expect(await counts()).toMatchObject({ beta: 1n, press: 1n });
  await set([{ vin: VINS[1], remove: ['beta', 'press'] }]);
  expect(await listed(['beta'])).toEqual([VINS[0]]);
  expect(await counts()).toMatchObject({ beta: 2n, press: 2n });
  expect(announced).toBeGreaterThan(before);
});

test('tags that somebody else has changed since they were seen are a CONFLICT, and no vehicle of the batch changes', async () => {
  const edit = (expectedTags: readonly string[], add: readonly string[]) => ({ vin: VINS[0], add, expectedTags });
  expect((await set([edit([], ['press'])])).errors).toEqual([]);
  const conflict = { code: 'CONFLICT', field: 'input.1.expectedTags' };
  for (const seen of [[], ['beta'], ['beta', 'press']])
    expect(refusal(await set([{ vin: VINS[1], add: ['beta'] }, edit(seen, ['beta'])]))).toEqual(conflict);
  expect(await listed(['beta'])).toEqual([]);
  expect((await set([edit(['press'], ['beta'])])).errors).toEqual([]);
  expect((await set([edit(['press', 'beta'], ['alpha'])])).data.setVehicleTags[0]?.tags).toEqual([
    'alpha',
    'beta',
    'press',
  ]);
});

test.each<[unknown, string, string]>([
  [[], 'BAD_USER_INPUT', 'input'],
  [[{ vin: VINS[0], expectedTags: ['two words'] }], 'BAD_USER_INPUT', 'input.0.expectedTags.0'],
  [[{ vin: 'KMH', add: ['a'] }], 'BAD_USER_INPUT', 'input.0.vin'],
  [[{ vin: VINS[0], add: ['two words'] }], 'BAD_USER_INPUT', 'input.0.add.0'],
  [[{ vin: VINS[0], add: ['a'], remove: ['a'] }], 'BAD_USER_INPUT', 'input.0.add.0'],
  [[{ vin: VINS[0] }, { vin: VINS[0] }], 'BAD_USER_INPUT', 'input.1.vin'],
  [
    [
      { vin: VINS[0], add: ['a'] },
      { vin: 'KMHK281HGNU000009', add: ['a'] },
    ],
    'NOT_FOUND',
    'input.1.vin',
  ],
  [
    [
      { vin: VINS[0], add: Array.from({ length: 50 }, (_, n) => `t${n}`) },
      { vin: VINS[1], add: Array.from({ length: 51 }, (_, n) => `t${n}`) },
    ],
    'LIMIT_EXCEEDED',
    'input.1.add',
  ],
  [Array.from({ length: 1_001 }, () => ({ vin: VINS[0] })), 'LIMIT_EXCEEDED', 'input'],
])('tags are refused all together: %j', async (input, code, field) => {
  expect(refusal(await set(input))).toMatchObject({ code, field });
  expect(await listed(['a'])).toEqual([]);
});

test('tags are refused where a segment would select more vehicles than a list can hold, and it is named', async () => {
  const { prisma } = database.database;
  await prisma.segment.create({ data: { key: 'all_beta', name: 'Beta', conditions: { tags: ['beta'] } } });
  await prisma.$executeRaw`
    INSERT INTO vehicles (vin, model, sw_version, region, status, tags)
    SELECT 'KMH9' || lpad(n::text, 13, '0'), 'EV6', '2.5.0', 'EU', 'offline', '{beta}' FROM generate_series(1, 10000) AS n`;
  const answer = await set([{ vin: VINS[0], add: ['beta'] }]);
  expect(refusal(answer)).toMatchObject({ code: 'LIMIT_EXCEEDED', field: 'input' });
  expect(answer.errors[0]?.message).toContain('all_beta');
  expect((await prisma.vehicle.findUniqueOrThrow({ where: { vin: VINS[0] } })).tags).toEqual([]);
  expect((await set([{ vin: VINS[0], add: ['press'] }])).errors).toEqual([]);
});

test('tags are for writers alone', async () => {
  expect(refusal(await set([{ vin: VINS[0], add: ['a'] }], user('READ')))).toMatchObject({ code: 'FORBIDDEN' });
});

test('tags select the vehicles of a segment, which its audience counts, of all environments', async () => {
  await set(VINS.slice(0, 2).map((vin) => ({ vin, add: ['beta'] })));
  const audiences = new AudienceService(database.database.prisma);
  expect(await audiences.ofSegment({ tags: ['beta', 'other'] })).toMatchObject({ matched: 2, total: 3 });
  expect(await audiences.ofSegment({ tags: ['beta'], regions: ['EU'] })).toMatchObject({
    matched: 1,
    sample: [VINS[1]],
  });
  expect(await audiences.ofSegment({ tags: ['none'] })).toMatchObject({ matched: 0, total: 3 });
  expect(await audiences.ofSegment({ regions: ['EU'] })).toMatchObject({
    matched: 2,
    byModel: [{ key: 'EV9', count: 2 }],
  });
  expect(await audiences.ofSegment({ vins: [VINS[2]] })).toMatchObject({ matched: 1, total: 3 });
  const { prisma } = database.database;
  await prisma.segment.create({ data: { key: 'beta', name: 'Beta', conditions: { tags: ['beta'] } } });
  await prisma.flag.create({
    data: {
      ...{ key: 'lane', name: 'Lane', type: 'boolean', defaultValue: { value: false } },
      ...{ safetyLevel: 'ASIL-B', environment: 'staging' },
    },
  });
  const rule = (segment: string) => ({ type: 'vehicle_target', conditions: { segment, regions: ['EU'] } });
  expect(await audiences.preview('lane', rule('beta'))).toMatchObject({ matched: 1, sample: [VINS[1]] });
  await expect(audiences.preview('lane', rule('gone'))).rejects.toMatchObject({
    code: 'BAD_USER_INPUT',
    details: { field: 'rule.conditions.segment' },
  });
});
