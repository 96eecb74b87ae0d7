/**
 * The laws of a release's ring (releases.md, "Laws"): outside it a vehicle evaluates as before the change, within it as
 * if the change were whole, and raising the percentage takes no vehicle out.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EvaluationContext, FlagContent, FlagDefinition, Release, RuleDefinition } from '../model.ts';
import { rounds } from '../testing/rounds.ts';
import { bucketing } from './bucket.ts';
import { CompiledSet } from './flag-sets/compiled-set.ts';
import { compileFlag, evaluateFlag } from './evaluate.ts';
import { parseRelease, signedRelease } from './release.ts';
import { signedConditions } from './rules/whitelist-digest.ts';

const RUNS = { numRuns: rounds(300, 8_000), seed: 20_261_129 };
const KEYS = ['f0', 'f1', 'f2', 'f3'] as const;

const vin = fc
  .array(fc.constantFrom(...'ABCDEFGHJKLMNPRSTUVWXYZ0123456789'), { minLength: 17, maxLength: 17 })
  .map((characters) => characters.join(''));
const model = fc.constantFrom('Ioniq 5', 'Kona', '안전');
const region = fc.constantFrom('EU', 'KR');
const context: fc.Arbitrary<EvaluationContext> = fc.record(
  { vin, model, region, attributes: fc.dictionary(fc.constantFrom('x', 'y'), fc.constantFrom('a', 'b')) },
  { requiredKeys: [] },
);
const percentage = fc.oneof(fc.constantFrom(0, 0.001, 1, 10, 50, 99.999, 100), fc.integer({ min: 0, max: 100 }));

const conditions = fc.oneof(
  fc.record({
    type: fc.constant('percentage_rollout' as const),
    conditions: fc.record({ rollout_percentage: percentage }),
  }),
  fc.record({
    type: fc.constant('user_attribute' as const),
    conditions: fc.record({
      attribute: fc.constantFrom('x', 'y'),
      operator: fc.constant('eq'),
      values: fc.tuple(fc.constantFrom('a', 'b')),
    }),
  }),
  fc.record({
    type: fc.constant('vehicle_whitelist' as const),
    conditions: fc.record({ vins: fc.uniqueArray(vin, { minLength: 1, maxLength: 3 }) }),
  }),
);
const rules: fc.Arbitrary<RuleDefinition[]> = fc
  .array(fc.record({ one: conditions, variant: fc.constantFrom('a', 'b'), value: fc.constantFrom(true, false) }), {
    maxLength: 3,
  })
  .map((list) =>
    list.map(({ one, variant, value }, index) => ({
      id: `r${index}`,
      priority: index,
      enabled: true,
      ...one,
      variant,
      value,
    })),
  );

/** A content of the flag at `index`: it depends only on those before it, so no content of any release makes a cycle. */
const content = (index: number): fc.Arbitrary<FlagContent> => {
  const others = fc.subarray(KEYS.slice(0, index));
  return fc.record({
    defaultValue: fc.boolean(),
    rules,
    requires: others.map((keys) => keys.map((flag) => ({ flag }))),
    excludes: others,
  });
};

const canary = (vins: fc.Arbitrary<string[]>): fc.Arbitrary<NonNullable<Release['canary']>> =>
  fc.record(
    { vins, models: fc.uniqueArray(model, { minLength: 1 }), regions: fc.uniqueArray(region, { minLength: 1 }) },
    { requiredKeys: [] },
  );
const release = (index: number): fc.Arbitrary<Release> =>
  fc.record(
    {
      id: fc.uuid(),
      percentage,
      canary: canary(fc.uniqueArray(vin, { minLength: 1, maxLength: 3 })),
      stable: fc.constant('DISABLED' as const),
      next: content(index),
    },
    { requiredKeys: ['id', 'percentage', 'next'] },
  );

const flag = (index: number): fc.Arbitrary<FlagDefinition> =>
  fc
    .record({ stable: content(index), release: fc.option(release(index)), enabled: fc.constantFrom(true, true, false) })
    .map(({ stable, ...others }) => ({
      key: KEYS[index]!,
      environment: 'production',
      type: 'boolean',
      safetyLevel: 'ASIL-B',
      revision: 7,
      ...stable,
      ...others,
    }));
const flags = fc.tuple(flag(0), flag(1), flag(2), flag(3));

/** Says by the words of the specification whether a vehicle is in a ring. */
function isInRing(
  { id, percentage: share, canary: first }: Release,
  { vin: of, ...facts }: EvaluationContext,
): boolean {
  if (of === undefined || of === null) return false;
  const isFirst =
    first?.vins?.includes(of) === true ||
    (typeof facts.model === 'string' && first?.models?.includes(facts.model) === true) ||
    (typeof facts.region === 'string' && first?.regions?.includes(facts.region) === true);
  return isFirst || bucketing(`release:${id}`)(of) < Math.round(share * 1000);
}

/** Gives the flag that a vehicle has if no flag had releases: with the content of its ring. */
function asRolledOut(
  { release: of = null, ...definition }: FlagDefinition,
  vehicle: EvaluationContext,
): FlagDefinition {
  // Whether a flag is on stands outside the contents, and the safe value of one that is off is the stable default.
  const isOff = !definition.enabled;
  if (of === null || isOff) return definition;
  if (isInRing(of, vehicle)) return { ...definition, ...of.next };
  return of.stable === undefined ? definition : { ...definition, enabled: false };
}

const signed = <Content extends FlagContent>(of: Content): Content => ({
  ...of,
  rules: of.rules.map((rule) => ({ ...rule, conditions: signedConditions(rule) })),
});
const asVehiclesGet = ({ release: of = null, ...definition }: FlagDefinition): FlagDefinition => ({
  ...signed(definition),
  ...(of !== null && { release: signedRelease({ ...of, next: signed(of.next) }) }),
});

/** A context whose vehicle is in the canary of one of the flags now and then. */
const vehicleOf = (given: readonly FlagDefinition[], base: EvaluationContext, pick: number): EvaluationContext => {
  const named = given.flatMap(({ release: of }) => of?.canary?.vins ?? []);
  return pick < named.length ? { ...base, vin: named[pick]! } : base;
};

test('each vehicle is served the content of its ring, together with the contents that it has of other flags', () => {
  let inside = 0;
  let outside = 0;
  fc.assert(
    fc.property(flags, context, fc.nat(20), (given, base, pick) => {
      const vehicle = vehicleOf(given, base, pick);
      for (const { release: of } of given) if (of && isInRing(of, vehicle)) inside += 1;
      for (const { release: of } of given) if (of && !isInRing(of, vehicle)) outside += 1;
      const expected = new CompiledSet(given.map((one) => compileFlag(asRolledOut(one, vehicle)))).evaluateAll(vehicle);
      const set = new CompiledSet(given.map(compileFlag));
      expect(set.evaluateAll(vehicle)).toEqual(expected);
      expect(given.map(({ key }) => set.evaluate(key, vehicle))).toEqual(expected);
      const atVehicles = new CompiledSet(given.map((one) => compileFlag(asVehiclesGet(one))));
      expect(atVehicles.evaluateAll(vehicle)).toEqual(expected);
    }),
    RUNS,
  );
  expect(inside).toBeGreaterThan(RUNS.numRuns / 3);
  expect(outside).toBeGreaterThan(RUNS.numRuns / 3);
});

test('one flag alone is served the content of its ring', () => {
  fc.assert(
    fc.property(flag(0), context, fc.nat(5), fc.boolean(), (given, base, pick, stale) => {
      const vehicle = vehicleOf([given], base, pick);
      expect(evaluateFlag(compileFlag(given), vehicle, { stale })).toEqual(
        evaluateFlag(compileFlag(asRolledOut(given, vehicle)), vehicle, { stale }),
      );
    }),
    RUNS,
  );
});

test('raising the percentage takes no vehicle out, another content under the same id changes no ring, and 100 is all', () => {
  fc.assert(
    fc.property(release(0), content(0), percentage, percentage, context, (of, other, one, two, vehicle) => {
      const [low, high] = [Math.min(one, two), Math.max(one, two)];
      const isIn = (share: number, next = of.next) =>
        parseRelease({ ...of, percentage: share, next }, '').isIn(vehicle);
      if (isIn(low)) expect(isIn(high)).toBe(true);
      expect(isIn(low, other)).toBe(isIn(low));
      expect(isIn(100)).toBe(vehicle.vin !== undefined);
    }),
    RUNS,
  );
});

test('a kill switch in either content stops the flag for everybody, with the stable default', () => {
  const kill: RuleDefinition = {
    id: 'k',
    type: 'kill_switch',
    priority: 0,
    enabled: true,
    conditions: { force_disabled: true },
  };
  fc.assert(
    fc.property(flag(0), release(0), context, fc.boolean(), (given, of, vehicle, isInNext) => {
      const killed: FlagDefinition = isInNext
        ? { ...given, release: { ...of, next: { ...of.next, rules: [...of.next.rules, kill] } } }
        : { ...given, release: of, rules: [...given.rules, kill] };
      expect(evaluateFlag(compileFlag(killed), vehicle)).toMatchObject({
        value: given.defaultValue,
        reason: 'DISABLED',
        ruleId: 'k',
      });
    }),
    RUNS,
  );
});

test('a release that cannot be read moves nobody, and is noticed', () => {
  let unreadable = 0;
  const garbage = fc.oneof(
    fc.jsonValue(),
    fc
      .tuple(release(0), fc.constantFrom('id', 'percentage', 'canary', 'next', 'later'), fc.jsonValue())
      .map(([of, member, value]) => ({ ...of, [member]: value })),
  );
  fc.assert(
    fc.property(flag(0), garbage, context, (given, of, vehicle) => {
      const compiled = compileFlag({ ...given, release: of as unknown as Release });
      if (!compiled.hasUnreadableRelease) return;
      unreadable += 1;
      expect(evaluateFlag(compiled, vehicle)).toEqual(evaluateFlag(compileFlag({ ...given, release: null }), vehicle));
    }),
    RUNS,
  );
  expect(unreadable).toBeGreaterThan(RUNS.numRuns / 3);
});

test('a release without the members of a content is refused with the path of the first fault', () => {
  const of = { id: 'a', percentage: 5 };
  const faultOf = (next: unknown) => {
    try {
      parseRelease({ ...of, next }, 'release');
      return null;
    } catch (error) {
      return error;
    }
  };
  expect(faultOf({ rules: [] })).toMatchObject({ details: { field: 'release.next.defaultValue' } });
  expect(faultOf({ defaultValue: 1, rules: {} })).toMatchObject({ details: { field: 'release.next.rules' } });
  expect(faultOf({ defaultValue: 1, rules: [] })).toBeNull();
});

test('a flag without a type and a context that is no object are evaluated all the same', () => {
  const bare = { release: { id: 'a', percentage: 100, next: { defaultValue: 1, rules: [] } }, enabled: true };

  const compiled = compileFlag(bare as unknown as FlagDefinition);
  for (const nobody of [7, null, 'vin', []])
    expect(evaluateFlag(compiled, nobody as never)).toMatchObject({ value: null, reason: 'DEFAULT' });
  expect(evaluateFlag(compiled, { vin: 'KMHK281HGNU000001' })).toMatchObject({ value: 1, reason: 'DEFAULT' });
});
