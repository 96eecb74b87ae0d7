import { describe, expect, it } from '@jest/globals';
import type { EvaluationContext, FlagDefinition, JsonValue, RuleDefinition } from '../model.ts';
import { compileFlag, dependsOnOthers, evaluateFlag, fixedFlag, type EvaluationOptions } from './evaluate.ts';
import { ScopedFlags } from './flag-sets/scoped-flags.ts';

const VIN = 'KMH1234567890ABCD';

function flag(change: Partial<FlagDefinition> = {}): FlagDefinition {
  return {
    key: 'adas',
    environment: 'production',
    type: 'boolean',
    safetyLevel: 'ASIL-B',
    enabled: true,
    defaultValue: false,
    revision: 7,
    rules: [],
    ...change,
  };
}

function rule(change: Partial<RuleDefinition> = {}): RuleDefinition {
  return { id: 'r1', type: 'vehicle_target', priority: 100, enabled: true, conditions: { regions: ['EU'] }, ...change };
}

const kill = rule({ id: 'kill', type: 'kill_switch', priority: -9, conditions: { force_disabled: true } });
const IN_EU: EvaluationContext = { vin: VIN, region: 'EU' };

function evaluate(definition: unknown, context: unknown = IN_EU, options?: EvaluationOptions) {
  return evaluateFlag(compileFlag(definition as FlagDefinition), context as EvaluationContext, options);
}

describe('an evaluation', () => {
  it('gives value, variant, reason, rule and revision', () => {
    expect(evaluate(flag({ rules: [rule()] }))).toEqual({
      value: true,
      variant: 'enabled',
      reason: 'TARGETING_MATCH',
      ruleId: 'r1',
      revision: 7,
    });
  });

  it('serves the flag default for a rule without value on a flag that is not boolean', () => {
    expect(evaluate(flag({ type: 'string', defaultValue: 'eco', rules: [rule({ value: null })] }))).toMatchObject({
      value: 'eco',
      variant: 'enabled',
      reason: 'TARGETING_MATCH',
    });
  });

  it('cannot be changed, nor can its value, and the definition stays as it was', () => {
    const definition = flag({ type: 'json', defaultValue: { modes: ['eco'] } });
    const evaluation = evaluate(definition, {});
    expect(() => ((evaluation.value as { modes: string[] }).modes[0] = 'sport')).toThrow(TypeError);
    expect(Object.isFrozen(evaluation)).toBe(true);
    expect(Object.isFrozen(definition.defaultValue)).toBe(false);
  });

  it('keeps a member of a JSON value that is called __proto__', () => {
    const value = JSON.parse('{"__proto__":{"a":1}}') as JsonValue;
    expect(JSON.stringify(evaluate(flag({ type: 'json', defaultValue: value }), {}).value)).toBe(
      '{"__proto__":{"a":1}}',
    );
  });

  it('is the same object each time, so that evaluating allocates nothing', () => {
    const compiled = compileFlag(flag({ rules: [rule()] }));
    expect(evaluateFlag(compiled, IN_EU)).toBe(evaluateFlag(compiled, { region: 'EU' }));
  });
});

describe('kill switch', () => {
  it.each<[string, FlagDefinition, EvaluationOptions]>([
    ['a rule of higher priority', flag({ rules: [rule(), kill] }), {}],
    ['a disabled flag', flag({ enabled: false, rules: [kill] }), {}],
    ['a stale flag', flag({ rules: [kill] }), { stale: true }],
  ])('wins over %s', (_, definition, options) => {
    expect(evaluate(definition, IN_EU, options)).toEqual({
      value: false,
      variant: 'control',
      reason: 'DISABLED',
      ruleId: 'kill',
      revision: 7,
    });
  });

  it('is named by the first in rule order where there are several', () => {
    const [a, b] = [rule({ ...kill, id: 'b' }), rule({ ...kill, id: 'a' })];
    expect(evaluate(flag({ rules: [a, b] })).ruleId).toBe('a');
    expect(evaluate(flag({ rules: [a, rule({ ...kill, id: 'c', priority: 3 }), b] })).ruleId).toBe('c');
  });

  it.each<[string, Partial<RuleDefinition>]>([
    ['disabled', { enabled: false }],
    ['not pulled', { conditions: { force_disabled: false } }],
  ])('does nothing when it is %s', (_, change) => {
    expect(evaluate(flag({ rules: [rule({ ...kill, priority: 900, ...change }), rule()] })).ruleId).toBe('r1');
  });

  it('still stops the flag when a newer server wrote more about it, or its id cannot be read', () => {
    const conditions = { force_disabled: true, incident: 'INC-1' };
    expect(evaluate(flag({ rules: [rule({ ...kill, conditions })] }))).toMatchObject({
      reason: 'DISABLED',
      ruleId: 'kill',
    });
    expect(evaluate(flag({ rules: [rule({ ...kill, id: 5 as never })] }))).toMatchObject({
      reason: 'DISABLED',
      ruleId: null,
    });
    expect(compileFlag(flag({ rules: [rule({ ...kill, conditions })] })).unreadableRules).toEqual([]);
  });
});

describe('what cannot be read', () => {
  it.each<[string, unknown]>([
    ['conditions of another shape', rule({ conditions: { region: ['EU'] } })],
    [
      'conditions with an unknown key, which could narrow them',
      rule({ conditions: { regions: ['EU'], hours: [9, 17] } }),
    ],
    ['an unknown type', rule({ type: 'weather' as never })],
    ['a priority that is no number', rule({ priority: 'high' as never })],
    ['a value of another type', rule({ value: 'on' })],
  ])('never matches a rule with %s, and names it', (_, unreadable) => {
    const definition = { ...flag(), rules: [unreadable, rule({ id: 'r0', enabled: false, conditions: 'x' })] };
    expect(evaluate(definition)).toMatchObject({ reason: 'DEFAULT', ruleId: null });
    expect(compileFlag(definition as FlagDefinition).unreadableRules).toEqual(['r1']);
  });

  it('names a rule without an id by the empty string', () => {
    expect(compileFlag({ ...flag(), rules: [{ ...rule(), id: null as never }] }).unreadableRules).toEqual(['']);
  });

  it.each([[null], [7], ['flag'], [[]], [{}], [{ rules: 5 }], [{ enabled: true, rules: [null, 1, [], {}] }]])(
    'gives null for the definition %j',
    (definition) => {
      expect(evaluate(definition)).toMatchObject({ value: null, variant: 'control', ruleId: null, revision: 0 });
    },
  );

  it('gives the default for a value nested deeper than any stack', () => {
    const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as JsonValue;
    expect(evaluate(flag({ type: 'json', defaultValue: deep }), {}).reason).toBe('DEFAULT');
  });

  it.each([[null], [7], ['x'], [[]], [{ vin: 5, model: [], swVersion: {}, region: 1, attributes: 'x' }]])(
    'matches nothing for the context %j',
    (context) => {
      const rules = [
        rule({ id: 'a', conditions: { regions: ['1'], models: ['x'], sw_version: '*' } }),
        rule({ id: 'b', conditions: { sw_version: '*' } }),
        rule({ id: 'c', type: 'vehicle_whitelist', conditions: { vins: [VIN] } }),
        rule({ id: 'd', type: 'vehicle_whitelist', conditions: { digests: ['AAAAAAAAAAA'] } }),
        rule({ id: 'e', type: 'percentage_rollout', conditions: { rollout_percentage: 100 } }),
        rule({ id: 'f', type: 'user_attribute', conditions: { attribute: 'length', exists: true } }),
      ];
      expect(compileFlag(flag({ rules })).unreadableRules).toEqual([]);
      expect(evaluate(flag({ rules }), context)).toMatchObject({ reason: 'DEFAULT' });
    },
  );
});

describe('a value contract that was written past its checks', () => {
  const contract = { type: 'number', defaultValue: 3, valueSchema: { maximum: 5 } } as const;

  it('keeps a rule with a value outside of it from matching, and no other rule', () => {
    const rules = [rule({ id: 'over', priority: 9, value: 6 }), rule({ id: 'within', value: 4 })];
    expect(evaluate(flag({ ...contract, rules }))).toMatchObject({ value: 4, ruleId: 'within' });
    expect(compileFlag(flag({ ...contract, rules }))).toMatchObject({
      unreadableRules: ['over'],
      outsideContract: false,
    });
  });

  it('counts for what a rule without a value serves, and for no kill switch', () => {
    expect(compileFlag(flag({ valueSchema: { const: false }, rules: [rule()] })).unreadableRules).toEqual(['r1']);
    const released = { ...kill, conditions: { force_disabled: false } };
    expect(compileFlag(flag({ valueSchema: { const: false }, rules: [released] })).unreadableRules).toEqual([]);
  });

  it('marks a flag whose default value is outside of it, and one whose contract cannot be read', () => {
    expect(compileFlag(flag({ ...contract, defaultValue: 6 })).outsideContract).toBe(true);
    expect(compileFlag(flag({ ...contract, valueSchema: { pattern: 'a' } })).outsideContract).toBe(true);
  });

  it('leaves such a flag out of the flags of an environment', () => {
    const flags = new ScopedFlags([
      { compiled: compileFlag(flag({ ...contract, defaultValue: 6 })), scope: null },
      { compiled: compileFlag(flag({ key: 'other' })), scope: null },
    ]);
    expect(flags.evaluate('adas', {})).toBeUndefined();
    expect([...flags.evaluateAll({}).keys()]).toEqual(['other']);
  });

  it('counts for the new content of a release, too', () => {
    const next = { defaultValue: 4, rules: [rule({ id: 'over', value: 6 })] };
    const release = { id: 'r', percentage: 100, next };
    expect(evaluate(flag({ ...contract, release }))).toMatchObject({ value: 4, ruleId: null });
    expect(
      compileFlag(flag({ ...contract, release: { ...release, next: { ...next, defaultValue: 6 } } })),
    ).toMatchObject({
      outsideContract: true,
    });
  });
});

describe('a flag that is set by hand', () => {
  it('serves the one evaluation to everybody, and depends on no other flag', () => {
    const given = evaluate(flag({ rules: [rule()] }));
    const fixed = fixedFlag('adas', given);
    for (const context of [IN_EU, {}, { vin: VIN, region: 'US' }]) expect(evaluateFlag(fixed, context)).toEqual(given);
    expect(dependsOnOthers(fixed)).toBe(false);
  });
});

describe('dependsOnOthers', () => {
  it('counts the prerequisites of the stable content and of the new one', () => {
    const requires = [{ flag: 'base' }];
    const release = { id: 'r', percentage: 5, next: { defaultValue: false, rules: [], requires } };
    expect(dependsOnOthers(compileFlag(flag()))).toBe(false);
    expect(dependsOnOthers(compileFlag(flag({ requires })))).toBe(true);
    expect(dependsOnOthers(compileFlag(flag({ release })))).toBe(true);
  });
});
