import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import { ENVIRONMENTS, type Environment, type JsonValue, type RuleType } from '../../../core/model.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { ANONYMOUS, asking, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { AudienceService } from '../audience/audience-service.ts';
import type { Audience } from '../audience/audience.ts';
import { sortedCounts } from '../audience/count.ts';
import { Presence } from '../presence/presence.ts';
import { startVehicles } from '../subgraph.ts';

let database: TestDatabase;
let ask: Ask;
let close: () => Promise<void>;
const prisma = () => database.database.prisma;

interface TestVehicle {
  readonly vin: string;
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
  readonly environment: Environment | null;
  readonly status?: string;
  readonly appliedRevision?: number;
  readonly lastSeenAt?: Date;
}
const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
const vehicle = (n: number, facts: Partial<TestVehicle> = {}): TestVehicle => ({
  vin: vinOf(n),
  model: 'Ioniq 5',
  swVersion: '2.5.0',
  region: 'EU',
  environment: 'production',
  ...facts,
});
const register = (vehicles: readonly TestVehicle[]) =>
  prisma().vehicle.createMany({ data: vehicles.map((one) => ({ status: 'offline', ...one })) });
const flag = (key: string, more: object = {}) =>
  prisma().flag.create({
    data: {
      key,
      name: 'A',
      type: 'boolean',
      defaultValue: { value: false },
      safetyLevel: 'Non-Critical',
      environment: 'production',
      ...more,
    },
  });

beforeAll(async () => {
  database = await createTestDatabase();
  const started = await startVehicles({
    prisma: prisma(),
    tokens: createVehicleTokens('a secret of at least thirty-two characters'),
    bus: createInProcessBus(),
    logger: silent,
    sweepsPresence: false,
  });
  close = () => started.close();
  ask = asking(started.subgraph);
  await flag('lane_keep');
  await flag('eco_mode', { type: 'string', defaultValue: { value: 'eco' } });
  await flag('old', { archivedAt: new Date() });
});

beforeEach(async () => {
  await prisma().vehicle.deleteMany();
});

afterAll(async () => {
  await close();
  await database.drop();
});

describe('the audience of a rule', () => {
  const PREVIEW =
    'query($flagKey: String!, $rule: RuleInput!) { previewAudience(flagKey: $flagKey, rule: $rule) { matched total byModel { key count } byRegion { key count } sample { vin model } } }';
  type Previewed = { previewAudience: Omit<Audience, 'sample'> & { sample: { vin: string; model: string }[] } };
  const preview = (rule: object, flagKey = 'lane_keep', caller = user('READ')) =>
    ask<Previewed>(caller, PREVIEW, { flagKey, rule });

  const MODELS = ['Ioniq 5', 'EV9', 'GV60'];
  const VERSIONS = ['2.4.9', '2.5.0', 'v2.6.0-rc1', '3.0', 'unreadable'];
  const REGIONS = ['EU', 'KR'];
  const facts = fc.record({
    model: fc.constantFrom(...MODELS),
    swVersion: fc.constantFrom(...VERSIONS),
    region: fc.constantFrom(...REGIONS),
    environment: fc.constantFrom(...ENVIRONMENTS, null),
  });
  const some = (values: readonly string[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1 });
  const target = {
    models: some(MODELS),
    regions: some(REGIONS),
    sw_version: fc.constantFrom('>=2.5.0', '^2.4', '2.6', '*'),
  };
  const rule: fc.Arbitrary<{ type: RuleType; conditions: JsonValue }> = fc.oneof(
    fc.record({
      type: fc.constant('vehicle_target' as const),
      conditions: fc.record(target, { requiredKeys: [] }).filter((conditions) => Object.keys(conditions).length > 0),
    }),
    fc.record({
      type: fc.constant('percentage_rollout' as const),
      conditions: fc.record(
        {
          rollout_percentage: fc.integer({ min: 0, max: 100 }),
          salt: fc.constantFrom('a', 'ß'),
          sticky: fc.constant(true),
          ...target,
        },
        { requiredKeys: ['rollout_percentage'] },
      ),
    }),
    fc.record({
      type: fc.constant('vehicle_whitelist' as const),
      conditions: fc.record({ vins: fc.uniqueArray(fc.integer({ min: 0, max: 120 }).map(vinOf), { minLength: 1 }) }),
    }),
    fc.record({
      type: fc.constant('user_attribute' as const),
      conditions: fc.record({ attribute: fc.constantFrom('plan', 'vin'), exists: fc.boolean() }),
    }),
    fc.record({ type: fc.constant('kill_switch' as const), conditions: fc.record({ force_disabled: fc.boolean() }) }),
  );

  test('equals evaluating the rule for each of its vehicles, page by page, for any rule and fleet', async () => {
    await fc.assert(
      fc
        .asyncProperty(
          fc.array(facts, { maxLength: 60 }),
          rule,
          fc.integer({ min: 1, max: 70 }),
          async (fleet, draft, pageSize) => {
            const vehicles = fleet.map((one, n) => vehicle(n, one));
            await register(vehicles);
            const audience = await new AudienceService(prisma(), pageSize).preview('lane_keep', draft);
            const definition = {
              key: 'lane_keep',
              environment: 'production',
              type: 'boolean',
              safetyLevel: 'Non-Critical',
              enabled: true,
              defaultValue: false,
              revision: 1,
            } as const;
            const compiled = compileFlag({
              ...definition,
              rules: [{ id: 'r', priority: 100, enabled: true, ...draft }],
            });
            const reachable = vehicles.filter(
              ({ environment }) => environment === 'production' || environment === null,
            );
            const matched = reachable.filter((one) => evaluateFlag(compiled, one).ruleId === 'r');
            const counts = (of: 'model' | 'region') =>
              sortedCounts(
                new Map(matched.map((one) => [one[of], matched.filter((other) => other[of] === one[of]).length])),
              );
            const { sample, ...numbers } = audience;
            expect(numbers).toEqual({
              matched: matched.length,
              total: reachable.length,
              byModel: counts('model'),
              byRegion: counts('region'),
            });
            expect(new Set(sample).size).toBe(Math.min(10, matched.length));
            const vins = new Set(matched.map(({ vin }) => vin));
            expect(sample.filter((vin) => !vins.has(vin))).toEqual([]);
          },
        )
        .afterEach(async () => void (await prisma().vehicle.deleteMany())),
      { numRuns: rounds(10, 80) },
    );
  }, 60_000);

  test('has a sample from the whole fleet, the same every time', async () => {
    await register(
      Array.from({ length: 400 }, (_, n) =>
        vehicle(n, { model: n < 200 ? 'EV9' : 'GV60', region: n % 4 === 0 ? 'KR' : 'EU' }),
      ),
    );
    const first = await preview({
      type: 'PERCENTAGE_ROLLOUT',
      conditions: { rollout_percentage: 100, models: ['EV9', 'GV60'] },
    });
    expect(first.errors).toEqual([]);
    const { sample, ...numbers } = first.data.previewAudience;
    expect(numbers).toEqual({
      matched: 400,
      total: 400,
      byModel: [
        { key: 'EV9', count: 200 },
        { key: 'GV60', count: 200 },
      ],
      byRegion: [
        { key: 'EU', count: 300 },
        { key: 'KR', count: 100 },
      ],
    });
    expect(sample).toHaveLength(10);
    expect(new Set(sample.map(({ model }) => model))).toEqual(new Set(['EV9', 'GV60']));
    expect(
      (await preview({ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 100, models: ['EV9', 'GV60'] } }))
        .data.previewAudience.sample,
    ).toEqual(sample);
  });

  test('has no vehicle of a model that is out of the scope of the flag', async () => {
    await register([vehicle(1, { model: 'EV9' }), vehicle(2, { model: 'GV60' })]);
    await flag('scoped', { scope: ['GV60'] });
    const rule = { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 100 } };
    expect((await preview(rule, 'scoped')).data.previewAudience).toMatchObject({
      matched: 1,
      sample: [{ vin: vinOf(2) }],
    });
    await prisma().flag.delete({ where: { key: 'scoped' } });
  });

  test('of a rule that would be created disabled is that of the enabled rule', async () => {
    await register([vehicle(1)]);
    expect(
      (await preview({ type: 'VEHICLE_TARGET', enabled: false, conditions: { models: ['Ioniq 5'] } })).data
        .previewAudience,
    ).toMatchObject({ matched: 1, total: 1, sample: [{ vin: vinOf(1) }] });
  });

  test.each([
    [
      { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 101 } },
      'lane_keep',
      { code: 'BAD_USER_INPUT', field: 'rule.conditions.rollout_percentage' },
    ],
    [
      { type: 'VEHICLE_WHITELIST', conditions: { vins: ['x'] } },
      'lane_keep',
      { code: 'BAD_USER_INPUT', field: 'rule.conditions.vins.0' },
    ],
    [
      { type: 'VEHICLE_TARGET', conditions: { models: ['A'] }, value: 3 },
      'eco_mode',
      { code: 'BAD_USER_INPUT', field: 'rule.value' },
    ],
    [
      { type: 'VEHICLE_TARGET', conditions: { models: ['A'] }, variant: ' ' },
      'eco_mode',
      { code: 'BAD_USER_INPUT', field: 'rule.variant' },
    ],
    [
      { type: 'VEHICLE_TARGET', conditions: { models: ['A'] } },
      'no flag',
      { code: 'BAD_USER_INPUT', field: 'flagKey' },
    ],
    [{ type: 'VEHICLE_TARGET', conditions: { models: ['A'] } }, 'none', { code: 'NOT_FOUND', field: 'flagKey' }],
    [{ type: 'VEHICLE_TARGET', conditions: { models: ['A'] } }, 'old', { code: 'NOT_FOUND', field: 'flagKey' }],
  ])('%j on %s is refused', async (draft, flagKey, expected) => {
    expect(refusal(await preview(draft, flagKey))).toEqual(expected);
  });

  test('is for callers who may read', async () => {
    const draft = { type: 'VEHICLE_TARGET', conditions: { models: ['A'] } };
    expect(refusal(await ask(ANONYMOUS, PREVIEW, { flagKey: 'lane_keep', rule: draft }))).toEqual({
      code: 'UNAUTHENTICATED',
    });
    expect(
      refusal(
        await ask({ kind: 'vehicle', vin: vinOf(1), environment: 'production' }, PREVIEW, {
          flagKey: 'lane_keep',
          rule: draft,
        }),
      ),
    ).toEqual({ code: 'FORBIDDEN' });
  });
});

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

describe('what a flag and a change request show of the fleet', () => {
  const ENTITIES =
    'query($representations: [_Any!]!) { _entities(representations: $representations) { ... on Flag { audience { total variants { variant vehicles } } } ... on ChangeRequest { change: audience { changedVehicles before { total } after { total } } } ... on ChangePreview { preview: audience { changedVehicles before { total } after { total } } } } }';
  const CONTENT = { key: 'seat', environment: 'production', type: 'boolean', enabled: true, defaultValue: false };
  const entities = async (representations: object[]) => {
    const { data, errors } = await ask(user('READ'), ENTITIES, { representations });
    expect(errors).toEqual([]);
    return data['_entities'];
  };

  test('is the audience of what the flags subgraph gives, and nobody where no vehicle has the flag', async () => {
    await register([vehicle(1), vehicle(2)]);
    const content = { ...CONTENT, rules: [] };
    expect(
      await entities([
        { __typename: 'Flag', id: randomUUID(), evaluatedContent: content },
        { __typename: 'Flag', id: randomUUID(), evaluatedContent: null },
        { __typename: 'ChangeRequest', id: randomUUID(), evaluatedContents: { before: null, after: content } },
        { __typename: 'ChangeRequest', id: randomUUID(), evaluatedContents: { before: null, after: null } },
        { __typename: 'ChangeRequest', id: randomUUID(), evaluatedContents: null },
        { __typename: 'ChangePreview', evaluatedContents: { before: content, after: { ...content, enabled: false } } },
      ]),
    ).toEqual([
      { audience: { total: 2, variants: [{ variant: 'control', vehicles: 2 }] } },
      { audience: { total: 0, variants: [] } },
      { change: { changedVehicles: 2, before: null, after: { total: 2 } } },
      { change: { changedVehicles: 0, before: null, after: null } },
      { change: null },
      { preview: { changedVehicles: 0, before: { total: 2 }, after: { total: 2 } } },
    ]);
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
