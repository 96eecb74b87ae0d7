import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  RULE_TYPES,
  type EvaluationContext,
  type FlagDefinition,
  type JsonValue,
  type RuleDefinition,
  type RuleType,
} from '../model.ts';
import { validateConditions } from '../validation/validate-rule.ts';
import { signedConditions } from './rules/whitelist-digest.ts';
import { bucketing } from './bucket.ts';
import { compileFlag, evaluateFlag } from './evaluate.ts';
import { explainFlag } from './explain.ts';
import { rounds } from '../testing/rounds.ts';

/** The number of runs, and a fixed seed, so that a failure is the same for everybody. */
const RUNS = { numRuns: rounds(150, 500), seed: 20_260_101 };

const VIN_CHARACTERS = 'ABCDEFGHJKLMNPRSTUVWXYZ0123456789';
const vin = fc
  .array(fc.constantFrom(...VIN_CHARACTERS), { minLength: 17, maxLength: 17 })
  .map((characters) => characters.join(''));
const json = fc.jsonValue({ depthSize: 'medium' }) as fc.Arbitrary<JsonValue>;
const model = fc.constantFrom('Ioniq 5', 'Ioniq 6', 'Kona', '안전');
const region = fc.constantFrom('EU', 'NA', 'KR');
const version = fc.constantFrom('2.5', 'v2.5.0-rc1', '2.4.9', '3.0.0.1', 'unknown');
const range = fc.constantFrom('>=2.5.0', '^2', '<3', '2.4 - 2.5', '*');
const scalar = fc.oneof(
  fc.constantFrom<string | boolean>('a', 'b', 'ab', true, false),
  fc.integer({ min: -3, max: 3 }),
);
const attributeName = fc.constantFrom('x', 'y', '__proto__', 'größe');

const context: fc.Arbitrary<EvaluationContext> = fc.record(
  { vin, model, swVersion: version, region, attributes: fc.dictionary(attributeName, scalar) },
  { requiredKeys: [] },
);

const targetKeys = {
  models: fc.uniqueArray(model, { minLength: 1 }),
  sw_version: range,
  regions: fc.uniqueArray(region, { minLength: 1 }),
};
const comparison = fc.oneof(
  fc.record({
    attribute: attributeName,
    operator: fc.constantFrom('in', 'not_in'),
    values: fc.uniqueArray(scalar, { minLength: 1 }),
  }),
  fc.record({ attribute: attributeName, operator: fc.constantFrom('eq', 'ne'), values: fc.tuple(scalar) }),
  fc.record({
    attribute: attributeName,
    operator: fc.constantFrom('lt', 'lte', 'gt', 'gte'),
    values: fc.tuple(fc.integer()),
  }),
  fc.record({
    attribute: attributeName,
    operator: fc.constantFrom('contains', 'starts_with', 'ends_with'),
    values: fc.tuple(fc.constantFrom('a', 'b')),
  }),
  fc.record({ attribute: attributeName, exists: fc.boolean() }),
);
const conditionsOf: Record<RuleType, fc.Arbitrary<unknown>> = {
  kill_switch: fc.record(
    { force_disabled: fc.constant(false), reason: fc.constant('drill') },
    { requiredKeys: ['force_disabled'] },
  ),
  vehicle_whitelist: fc.record({ vins: fc.uniqueArray(vin, { minLength: 1, maxLength: 5 }) }),
  vehicle_target: fc.record(targetKeys, { requiredKeys: [] }).filter((target) => Object.keys(target).length > 0),
  user_attribute: fc.oneof(comparison, fc.record({ all: fc.uniqueArray(comparison, { minLength: 1, maxLength: 3 }) })),
  percentage_rollout: fc.record(
    {
      rollout_percentage: fc.double({ min: 0, max: 100, noNaN: true }),
      sticky: fc.boolean(),
      salt: fc.constantFrom('s', 'größe'),
      ...targetKeys,
    },
    { requiredKeys: ['rollout_percentage'] },
  ),
};
const written = fc
  .constantFrom(...RULE_TYPES)
  .chain((type) => conditionsOf[type].map((conditions) => ({ type, conditions: conditions as JsonValue })));
const rule: fc.Arbitrary<RuleDefinition> = fc
  .record({
    id: fc.uuid(),
    priority: fc.integer({ min: -2, max: 2 }),
    enabled: fc.boolean(),
    value: fc.option(fc.boolean()),
    rest: written,
  })
  .map(({ rest, ...rule }) => ({ ...rule, ...rest }));
const rules = fc.uniqueArray(rule, { selector: ({ id }) => id, maxLength: 6 });

function flag(change: Partial<FlagDefinition> = {}): FlagDefinition {
  return {
    key: 'adas',
    environment: 'production',
    type: 'boolean',
    safetyLevel: 'ASIL-B',
    enabled: true,
    defaultValue: false,
    revision: 1,
    rules: [],
    ...change,
  };
}

function rollout(percentage: number): RuleDefinition {
  return {
    id: 'r1',
    type: 'percentage_rollout',
    priority: 1,
    enabled: true,
    conditions: { rollout_percentage: percentage },
  };
}

function sequentialVin(index: number): string {
  return `KMHFF${String(index).padStart(12, '0')}`;
}

describe('laws of evaluation', () => {
  it('never takes a vehicle out of a rollout when the percentage is raised', () => {
    const percentage = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(percentage, percentage, fc.array(vin, { minLength: 1, maxLength: 20 }), (one, other, vins) => {
        const lower = compileFlag(flag({ rules: [rollout(Math.min(one, other))] }));
        const higher = compileFlag(flag({ rules: [rollout(Math.max(one, other))] }));
        for (const vin of vins)
          if (evaluateFlag(lower, { vin }).value === true) expect(evaluateFlag(higher, { vin }).value).toBe(true);
      }),
      RUNS,
    );
  });

  it('never throws, whatever JSON the definition and the context are', () => {
    fc.assert(
      fc.property(json, json, (definition, context) => {
        expect(evaluateFlag(compileFlag(definition as never), context as never).variant).toBe('control');
      }),
      RUNS,
    );
  });

  it('never throws, whatever JSON the conditions of a rule are, and whatever is mixed into readable ones', () => {
    const damaged = fc.oneof(
      fc.record({ type: fc.constantFrom(...RULE_TYPES), conditions: json }),
      fc.tuple(written, fc.string(), json).map(([{ type, conditions }, key, value]) => ({
        type,
        conditions: { ...(conditions as object), [key]: value },
      })),
      fc
        .tuple(written, json)
        .chain(([{ type, conditions }, value]) =>
          fc
            .constantFrom(...Object.keys(conditions as object))
            .map((key) => ({ type, conditions: { ...(conditions as object), [key]: value } })),
        ),
    );
    fc.assert(
      fc.property(damaged, fc.oneof(context, json), (rest, context) => {
        const definition = flag({ rules: [{ id: 'r1', priority: 1, enabled: true, ...rest }] });
        expect(['DEFAULT', 'DISABLED', 'TARGETING_MATCH', 'SPLIT']).toContain(
          evaluateFlag(compileFlag(definition), context as never).reason,
        );
      }),
      RUNS,
    );
  });

  it('gives the same output for the same input, from a copy of it too', () => {
    fc.assert(
      fc.property(rules, context, (rules, context) => {
        const definition = flag({ rules });
        const compiled = compileFlag(definition);
        const first = evaluateFlag(compiled, context);
        expect(evaluateFlag(compiled, context)).toBe(first);
        expect(evaluateFlag(compileFlag(JSON.parse(JSON.stringify(definition)) as FlagDefinition), context)).toEqual(
          first,
        );
      }),
      RUNS,
    );
  });

  it('does not depend on what was evaluated before', () => {
    fc.assert(
      fc.property(rules, fc.array(fc.oneof(context, json), { minLength: 2, maxLength: 6 }), (rules, contexts) => {
        const compiled = compileFlag(flag({ rules }));
        for (const context of [...contexts, ...contexts])
          expect(evaluateFlag(compiled, context as never)).toEqual(
            evaluateFlag(compileFlag(flag({ rules })), context as never),
          );
      }),
      RUNS,
    );
  });

  it('does not depend on the order of the rules in the list', () => {
    const shuffled = rules.chain((rules) =>
      fc.tuple(fc.constant(rules), fc.shuffledSubarray(rules, { minLength: rules.length })),
    );
    fc.assert(
      fc.property(shuffled, context, ([rules, shuffle], context) => {
        expect(evaluateFlag(compileFlag(flag({ rules: shuffle })), context)).toEqual(
          evaluateFlag(compileFlag(flag({ rules })), context),
        );
      }),
      RUNS,
    );
  });

  it('lets a kill switch win over any rules, for any context', () => {
    fc.assert(
      fc.property(rules, json, fc.integer(), fc.boolean(), fc.boolean(), (rules, context, priority, enabled, stale) => {
        const kill: RuleDefinition = {
          id: 'kill',
          type: 'kill_switch',
          priority,
          enabled: true,
          conditions: { force_disabled: true },
        };
        const evaluation = evaluateFlag(compileFlag(flag({ enabled, rules: [...rules, kill] })), context as never, {
          stale,
        });
        expect(evaluation).toEqual({
          value: false,
          variant: 'control',
          reason: 'DISABLED',
          ruleId: 'kill',
          revision: 1,
        });
      }),
      RUNS,
    );
  });

  it('can read every rule whose conditions were accepted when written', () => {
    fc.assert(
      fc.property(written, ({ type, conditions }) => {
        expect(validateConditions(type, conditions, 'conditions')).toEqual(conditions);
        expect(
          compileFlag(flag({ rules: [{ id: 'r1', priority: 1, enabled: true, type, conditions }] })).unreadableRules,
        ).toEqual([]);
      }),
      RUNS,
    );
  });

  it('refuses when written exactly what it cannot read, but for signed whitelists and pulled kill switches', () => {
    const any = fc.oneof(written, fc.record({ type: fc.constantFrom(...RULE_TYPES), conditions: json }));
    const accepts = (type: RuleType, conditions: JsonValue): boolean => {
      try {
        validateConditions(type, conditions, 'conditions');
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(any, ({ type, conditions }) => {
        const { unreadableRules } = compileFlag(
          flag({ rules: [{ id: 'r1', priority: 1, enabled: true, type, conditions }] }),
        );
        expect(unreadableRules.length === 0).toBe(accepts(type, conditions));
      }),
      RUNS,
    );
  });

  it('matches the same vehicles by the signed form of a whitelist as by the written one', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uniqueArray(vin, { minLength: 2, maxLength: 20 }), fc.nat(), (id, vins, split) => {
        const listed: RuleDefinition = {
          id,
          type: 'vehicle_whitelist',
          priority: 1,
          enabled: true,
          conditions: { vins: vins.slice(0, 1 + (split % (vins.length - 1))) },
        };
        const plain = compileFlag(flag({ rules: [listed] }));
        const signed = compileFlag(flag({ rules: [{ ...listed, conditions: signedConditions(listed) }] }));
        for (const vin of vins) expect(evaluateFlag(signed, { vin })).toEqual(evaluateFlag(plain, { vin }));
        expect(vins.map((vin) => evaluateFlag(plain, { vin }).value)).toContain(true);
        expect(vins.map((vin) => evaluateFlag(plain, { vin }).value)).toContain(false);
      }),
      RUNS,
    );
  });
});

describe('cohorts on sequential VINs', () => {
  const FLEET = 100_000;

  it('spreads vehicles evenly over the buckets', () => {
    const CELLS = 100;
    const counts = new Array<number>(CELLS).fill(0);
    const bucketOf = bucketing('adas');
    for (let index = 0; index < FLEET; index++) {
      const cell = Math.floor((bucketOf(sequentialVin(index)) * CELLS) / 100_000);
      counts[cell] = (counts[cell] ?? 0) + 1;
    }
    const expected = FLEET / CELLS;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // The 0.1 % and 99.9 % points of chi-square with 99 degrees of freedom: neither clumped nor suspiciously even.
    expect(chiSquare).toBeGreaterThan(61.1);
    expect(chiSquare).toBeLessThan(148.2);
  });

  it.each([
    [10, 10],
    [50, 20],
    [1, 50],
  ])('overlaps two flags of %d %% and %d %% by about the product', (first, second) => {
    const lane = compileFlag(flag({ key: 'adas_lane_keep', rules: [rollout(first)] }));
    const cruise = compileFlag(flag({ key: 'adas_cruise', rules: [rollout(second)] }));
    let both = 0;
    for (let index = 0; index < FLEET; index++) {
      const vin = sequentialVin(index);
      if (evaluateFlag(lane, { vin }).value === true && evaluateFlag(cruise, { vin }).value === true) both++;
    }
    const share = (first / 100) * (second / 100);
    // Four standard deviations of a binomial count.
    expect(Math.abs(both - FLEET * share)).toBeLessThan(4 * Math.sqrt(FLEET * share * (1 - share)));
  });
});

describe('laws of explanations', () => {
  it('agree with the evaluation: one rule decided, and of those before it none has conditions that all hold', () => {
    fc.assert(
      fc.property(rules, context, fc.boolean(), fc.constantFrom('', 'n'), (given, vehicle, enabled, nonce) => {
        const explained = explainFlag(flag({ rules: given, enabled }), vehicle, nonce);
        expect(explained.evaluation).toEqual(
          evaluateFlag(compileFlag(flag({ rules: given, enabled })), vehicle, { nonce }),
        );
        expect(explained.rules.map(({ rule: { id } }) => id).sort()).toEqual(given.map(({ id }) => id).sort());
        const decided = explained.rules.filter(({ outcome }) => outcome === 'DECIDED');
        expect(decided.map(({ rule: { id } }) => id)).toEqual(
          explained.evaluation.ruleId === null ? [] : [explained.evaluation.ruleId],
        );
        for (const { rule: one, outcome, checks } of explained.rules) {
          if (outcome === 'DECIDED') expect(checks.every(({ holds }) => holds)).toBe(true);
          if (outcome === 'NOT_MATCHED' && one.type !== 'kill_switch')
            expect(checks.some(({ holds }) => !holds)).toBe(true);
          if (outcome === 'NOT_REACHED') expect([!enabled, decided.length > 0]).toContain(true);
          expect(outcome === 'DISABLED').toBe(!one.enabled);
        }
      }),
      RUNS,
    );
  });

  it('hold for VINs and for the digests that vehicles get alike', () => {
    fc.assert(
      fc.property(rules, context, (given, vehicle) => {
        const signed = given.map((one) => ({ ...one, conditions: signedConditions(one) }));
        const outcomes = (of: readonly RuleDefinition[]) =>
          explainFlag(flag({ rules: of }), vehicle).rules.map(({ outcome, checks }) => [
            outcome,
            checks.map(({ holds }) => holds),
          ]);
        expect(outcomes(signed)).toEqual(outcomes(given));
      }),
      RUNS,
    );
  });
});
