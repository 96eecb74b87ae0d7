import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileFlag } from '../../../core/evaluation/evaluate.ts';
import { CompiledSet } from '../../../core/evaluation/flag-sets/compiled-set.ts';
import { ENVIRONMENTS, type Environment, type FlagDefinition, type RuleDefinition } from '../../../core/model.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { FlagAudienceService } from './flag-audience-service.ts';
import { readContent, readContents, type FlagAudience } from './flag-audience.ts';

const MODELS = ['Ioniq 5', 'EV9', 'GV60'];
const REGIONS = ['EU', 'KR'];

interface TestVehicle {
  readonly vin: string;
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
  readonly environment: Environment | null;
}

let database: TestDatabase;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  await prisma().vehicle.deleteMany();
});
afterAll(() => database.drop());

const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
const facts = fc.record({
  model: fc.constantFrom(...MODELS),
  swVersion: fc.constantFrom('2.4.9', '2.5.0', 'unreadable'),
  region: fc.constantFrom(...REGIONS),
  environment: fc.constantFrom(...ENVIRONMENTS, null),
});
const fleets = fc
  .array(facts, { maxLength: 50 })
  .map((fleet) => fleet.map((one, n): TestVehicle => ({ vin: vinOf(n), ...one })));

const rules: fc.Arbitrary<RuleDefinition> = fc
  .oneof(
    fc.record({
      type: fc.constant('percentage_rollout' as const),
      conditions: fc.record({ rollout_percentage: fc.integer({ min: 0, max: 100 }) }),
    }),
    fc.record({
      type: fc.constant('vehicle_target' as const),
      conditions: fc.record({ models: fc.uniqueArray(fc.constantFrom(...MODELS), { minLength: 1 }) }),
    }),
    fc.record({
      type: fc.constant('vehicle_whitelist' as const),
      conditions: fc.record({ vins: fc.uniqueArray(fc.integer({ min: 0, max: 60 }).map(vinOf), { minLength: 1 }) }),
    }),
    fc.record({ type: fc.constant('kill_switch' as const), conditions: fc.record({ force_disabled: fc.boolean() }) }),
  )
  .chain((rule) =>
    fc.record({
      type: fc.constant(rule.type),
      conditions: fc.constant(rule.conditions),
      id: fc.uuid(),
      priority: fc.integer({ min: 0, max: 5 }),
      enabled: fc.boolean(),
      value: fc.constantFrom(null, 'sport'),
      variant: fc.constantFrom(null, 'fast'),
    }),
  );
/** A flag's content, with the flags on which it depends. */
type Content = FlagDefinition & { readonly dependencies?: readonly FlagDefinition[] };

const scope = fc.option(fc.subarray(MODELS, { minLength: 1 }), { nil: null });
const plainFlags: fc.Arbitrary<FlagDefinition> = fc.record({
  key: fc.constantFrom('drive_mode', 'seat'),
  environment: fc.constantFrom(...ENVIRONMENTS),
  type: fc.constant('string' as const),
  safetyLevel: fc.constant('Non-Critical' as const),
  enabled: fc.boolean(),
  defaultValue: fc.constant('eco'),
  revision: fc.constant(3),
  rules: fc.array(rules, { maxLength: 4 }),
  scope,
});
const flags: fc.Arbitrary<Content> = fc.oneof(
  plainFlags,
  fc.tuple(plainFlags, plainFlags, fc.boolean()).map(([flag, other, isRequired]) => ({
    ...flag,
    ...(isRequired ? { requires: [{ flag: 'other' }] } : { excludes: ['other'] }),
    dependencies: [{ ...other, key: 'other' }],
  })),
);

/** Evaluates the flag for each vehicle by itself; gives null for a vehicle that does not have the flag. */
function evaluateEach({ dependencies = [], ...flag }: Content, fleet: readonly TestVehicle[]): (string | null)[] {
  const has = ({ model }: TestVehicle, { scope = null }: FlagDefinition) => scope === null || scope.includes(model);
  return fleet
    .filter(({ environment }) => environment === flag.environment || environment === null)
    .map((vehicle) => {
      if (!has(vehicle, flag)) return null;
      const own = [flag, ...dependencies].filter((one) => has(vehicle, one));
      const { variant, value } = new CompiledSet(own.map(compileFlag)).evaluate(flag.key, vehicle)!;
      return JSON.stringify([variant, value, vehicle.model, vehicle.region]);
    });
}

/** The counts that follow from it: by variant and value, with models and regions. */
function countEach(flag: Content, fleet: readonly TestVehicle[]) {
  const got = evaluateEach(flag, fleet)
    .filter((text) => text !== null)
    .map((text) => JSON.parse(text) as [string, string, string, string]);
  const counts: Record<string, number> = { total: got.length };
  for (const [variant, value, model, region] of got)
    for (const key of ['', ` ${model}`, ` ${region}`].map((rest) => `${variant} ${JSON.stringify(value)}${rest}`))
      counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}

function asCounts({ total, variants }: FlagAudience) {
  const counts: Record<string, number> = { total };
  for (const { variant, value, vehicles, byModel, byRegion } of variants) {
    counts[`${variant} ${JSON.stringify(value)}`] = vehicles;
    for (const { key, count } of [...byModel, ...byRegion])
      counts[`${variant} ${JSON.stringify(value)} ${key}`] = count;
  }
  return counts;
}

describe('the audience of flags', () => {
  test('equals evaluating each flag for each vehicle, whatever flags, fleet and page', async () => {
    await fc.assert(
      fc
        .asyncProperty(
          fleets,
          fc.array(flags, { maxLength: 4 }),
          fc.integer({ min: 1, max: 30_000 }),
          async (fleet, definitions, evaluationsATurn) => {
            await prisma().vehicle.createMany({ data: fleet.map((one) => ({ status: 'offline', ...one })) });
            const service = new FlagAudienceService(prisma(), evaluationsATurn);
            const audiences = await service.audiences(definitions.map(readContent));
            expect(audiences.map(asCounts)).toEqual(definitions.map((flag) => countEach(flag, fleet)));
          },
        )
        .afterEach(() =>
          prisma()
            .vehicle.deleteMany()
            .then(() => undefined),
        ),
      { numRuns: rounds(15, 40) },
    );
  });

  test('changes for exactly the vehicles that get something else', async () => {
    await fc.assert(
      fc
        .asyncProperty(fleets, flags, flags, async (fleet, before, changed) => {
          const after = { ...changed, environment: before.environment };
          await prisma().vehicle.createMany({ data: fleet.map((one) => ({ status: 'offline', ...one })) });
          const [change] = await new FlagAudienceService(prisma()).changes([
            { before: readContent(before), after: readContent(after) },
          ]);
          if (change === undefined) throw new Error('One change was asked for');
          const [was, becomes] = [evaluateEach(before, fleet), evaluateEach(after, fleet)];
          expect(change.changedVehicles).toBe(was.filter((got, index) => got !== becomes[index]).length);
          expect([change.before, change.after].map((audience) => audience && asCounts(audience))).toEqual([
            countEach(before, fleet),
            countEach(after, fleet),
          ]);
        })
        .afterEach(() =>
          prisma()
            .vehicle.deleteMany()
            .then(() => undefined),
        ),
      { numRuns: rounds(15, 40) },
    );
  });

  test('is empty for a flag that no vehicle has, and all of it changes when the flag is created', async () => {
    await prisma().vehicle.create({
      data: { vin: vinOf(1), model: 'EV9', swVersion: '1', region: 'EU', environment: 'production', status: 'online' },
    });
    const service = new FlagAudienceService(prisma());
    const flag = readContent({ key: 'seat', environment: 'production', type: 'boolean', enabled: true, rules: [] });
    expect(await service.audiences([null])).toEqual([{ total: 0, variants: [] }]);
    expect(
      await service.changes([
        { before: null, after: flag },
        { before: flag, after: null },
        { before: null, after: null },
      ]),
    ).toMatchObject([
      { before: null, after: { total: 1 }, changedVehicles: 1 },
      { before: { total: 1 }, after: null, changedVehicles: 1 },
      { before: null, after: null, changedVehicles: 0 },
    ]);
  });

  test('is refused for what is no content of a flag', () => {
    for (const content of [1, {}, { environment: 'moon', rules: [] }, { environment: 'production' }])
      expect(() => readContent(content)).toThrow('no content of a flag');
    for (const contents of [1, null]) expect(() => readContents(contents)).toThrow('no contents of a change');
    expect(readContents({ before: null })).toEqual({ before: null, after: null });
  });
});
