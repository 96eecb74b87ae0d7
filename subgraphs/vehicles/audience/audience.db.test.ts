/** The audience of a rule, a flag and a change: the vehicles that they reach, which people see before they decide. */
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test, beforeAll, afterAll } from '@jest/globals';
import fc from 'fast-check';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import { ENVIRONMENTS, type JsonValue, type RuleType } from '../../../core/model.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { ANONYMOUS, refusal, user, type Ask } from '../../shared/testing/asking.ts';
import { AudienceService } from './audience-service.ts';
import type { Audience } from './audience.ts';
import { sortedCounts } from './count.ts';
import { fleetTestSteps, FleetUnderTest } from '../testing/fleet-under-test.ts';

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
