import { describe, expect, it, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../testing/rounds.ts';
import type {
  EvaluationContext,
  FlagDefinition,
  JsonObject,
  JsonValue,
  RuleDefinition,
  RuleType,
} from '../../model.ts';
import { validateConditions } from '../../validation/validate-rule.ts';
import { compileFlag, evaluateFlag } from '../evaluate.ts';
import { explainFlag } from '../explain.ts';
import { isInRange, readRange } from '../versions/version-range.ts';
import { compareRules } from '../rules/rule-order.ts';
import { compileRule } from '../rules/compile-rule.ts';
import { parseUserAttribute, compileUserAttribute } from '../rules/user-attribute.ts';
import { signedConditions, whitelistDigest } from '../rules/whitelist-digest.ts';
import { expandRules, narrowRules } from './expand-rules.ts';
import { ownConditions, segmentOf, type ResolvedSegment, type Segments } from './segment.ts';

const RUNS = { numRuns: rounds(150, 3_000) };
const VINS = ['KMH1234567890ABCD', 'KMH9876543210ZYXW', 'KMHK281HGNU000001'];

const rule = (type: RuleType, conditions: JsonValue, change: Partial<RuleDefinition> = {}): RuleDefinition => ({
  id: 'r1',
  type,
  priority: 100,
  enabled: true,
  conditions,
  ...change,
});
const flag = (rules: readonly RuleDefinition[]): FlagDefinition => ({
  key: 'cabin_preheat',
  environment: 'production',
  type: 'string',
  safetyLevel: 'Non-Critical',
  enabled: true,
  defaultValue: 'none',
  revision: 7,
  rules,
});
const segments = (conditions: JsonObject, tagged: readonly string[] | null = null): Segments =>
  new Map([['fleet', { conditions, tagged }]]);
const signed = (rules: readonly RuleDefinition[]) =>
  rules.map((one) => ({ ...one, conditions: signedConditions(one) }));

const subset = (of: readonly string[], minLength = 1) => fc.uniqueArray(fc.constantFrom(...of), { minLength });
const models = subset(['EV9', ' EV6', 'GV60']);
const range = fc.constantFrom('2.x', '>=2.5', '<2.5 || >=3', '2.4 - 2.6', '1.x || 2.5.0', '*', '>=3 <4', '^2.5');
const comparison = fc.constantFrom<JsonValue>(
  { attribute: 'plan', operator: 'in', values: ['premium', 'basic'] },
  { attribute: 'plan', operator: 'eq', values: ['premium'] },
  { attribute: 'beta', exists: false },
);
const all = fc.array(comparison, { minLength: 1, maxLength: 3 });
const target = { models, sw_version: range, regions: subset(['EU', 'KR']) };

const segment: fc.Arbitrary<ResolvedSegment> = fc
  .record({ ...target, all, vins: subset(VINS), tags: fc.constant<JsonValue>(['beta']) }, { requiredKeys: [] })
  .filter((conditions) => Object.keys(conditions).length > 0)
  .chain((conditions) =>
    fc.record({
      conditions: fc.constant<JsonObject>(conditions),
      tagged: 'tags' in conditions ? subset(VINS, 0) : fc.constant(null),
    }),
  );
const named = fc.constantFrom('fleet', 'other', 'missing');
const written = fc.oneof(
  fc
    .record({ segment: named, ...target }, { requiredKeys: ['segment'] })
    .map((conditions) => ({ type: 'vehicle_target' as const, conditions })),
  fc
    .record(
      { segment: named, rollout_percentage: fc.constantFrom(0, 50, 100), ...target },
      { requiredKeys: ['segment', 'rollout_percentage'] },
    )
    .map((conditions) => ({ type: 'percentage_rollout' as const, conditions })),
  fc
    .record({ segment: named, vins: subset(VINS) }, { requiredKeys: ['vins'] })
    .map((conditions) => ({ type: 'vehicle_whitelist' as const, conditions })),
  fc
    .record({ segment: named, all }, { requiredKeys: ['all'] })
    .map((conditions) => ({ type: 'user_attribute' as const, conditions })),
  comparison.map((one) => ({
    type: 'user_attribute' as const,
    conditions: { segment: 'fleet', ...(one as JsonObject) },
  })),
);
const rules = fc
  .uniqueArray(fc.tuple(written, fc.constantFrom(1, 2)), {
    maxLength: 6,
    selector: ([{ type }, priority]) => `${type} ${priority}`,
  })
  .map((list) =>
    list.map(([{ type, conditions }, priority], index): RuleDefinition => {
      const id = `r${(index * 5) % 7}`;
      return { id, type, priority, enabled: true, conditions, value: id };
    }),
  );
const context: fc.Arbitrary<EvaluationContext> = fc.record(
  {
    vin: fc.constantFrom(...VINS, 'KMHK281HGNU000002'),
    model: fc.constantFrom('EV9', 'EV6', 'Kona'),
    swVersion: fc.constantFrom('2.4.9', '2.5.0', '3.1', 'unreadable'),
    region: fc.constantFrom('EU', 'KR', 'NA'),
    attributes: fc.constantFrom<JsonObject>({ plan: 'premium' }, { plan: 'basic', beta: true }, {}),
  },
  { requiredKeys: [] },
);

/** The meaning of a segment, spelt out without the code under test. */
function belongs({ conditions, tagged }: ResolvedSegment, vehicle: EvaluationContext): boolean {
  const has = (list: JsonValue | undefined, value: string | null | undefined) =>
    !Array.isArray(list) || list.some((item) => typeof item === 'string' && item.trim() === value);
  const { models: of, regions, sw_version: versions, vins, all: every } = conditions;
  return (
    has(of, vehicle.model) &&
    has(regions, vehicle.region) &&
    has(vins, vehicle.vin) &&
    (tagged === null || tagged.some((vin) => vin === vehicle.vin)) &&
    (typeof versions !== 'string' || isInRange(readRange(versions) ?? [], vehicle.swVersion)) &&
    (every === undefined || compileUserAttribute(parseUserAttribute({ all: every }, ''))(vehicle, ''))
  );
}

/** Gives the rule that decides: the first whose own conditions match and whose segment holds the vehicle. */
function deciding(given: readonly RuleDefinition[], known: Segments, vehicle: EvaluationContext): string | null {
  const matches = (one: RuleDefinition) => {
    const own = ownConditions(one.conditions);
    const key = segmentOf(one);
    const named_ = key === null ? null : (known.get(key) ?? undefined);
    if (named_ === undefined || (named_ !== null && !belongs(named_, vehicle))) return false;
    if (one.type === 'vehicle_target' && JSON.stringify(own) === '{}') return true;
    return compileRule({ ...one, conditions: own }, 'cabin_preheat')?.(vehicle, '') ?? false;
  };
  return [...given].sort(compareRules).find(matches)?.id ?? null;
}

describe('rules that name segments', () => {
  it('match the same vehicles once they are signed, and in the same order, in every form', () => {
    fc.assert(
      fc.property(rules, segment, segment, fc.array(context, { minLength: 1 }), (given, fleet, other, vehicles) => {
        const known: Segments = new Map([
          ['fleet', fleet],
          ['other', other],
        ]);
        for (const one of given) validateConditions(one.type, one.conditions, 'conditions');
        const expanded = expandRules(given, known);
        const forms = [expanded, signed(expanded), narrowRules(given, known)].map((form) => compileFlag(flag(form)));
        expect(forms.flatMap(({ unreadableRules }) => unreadableRules)).toEqual([]);
        for (const vehicle of vehicles) {
          const expected = deciding(given, known, vehicle);
          for (const form of forms) {
            const evaluation = evaluateFlag(form, vehicle);
            expect([evaluation.ruleId, evaluation.value]).toEqual([expected, expected ?? 'none']);
          }
          const explained = explainFlag(flag(given), vehicle, '', known);
          expect(explained.evaluation.ruleId).toBe(expected);
          for (const { rule: one, outcome, checks } of explained.rules) {
            if (outcome === 'NOT_MATCHED') expect(checks.some(({ holds }) => !holds)).toBe(true);
            if (outcome === 'DECIDED') expect(checks.every(({ holds }) => holds)).toBe(true);
            expect(checks.every((check) => check.segment === undefined || check.segment === segmentOf(one))).toBe(true);
          }
        }
        expect(JSON.stringify(signed(expanded))).not.toMatch(/KMH|segment/);
      }),
      RUNS,
    );
  });

  test.each<[string, RuleDefinition, Segments, Pick<RuleDefinition, 'type' | 'conditions'>]>([
    [
      'a target alone: the segment as a target',
      rule('vehicle_target', { segment: 'fleet' }),
      segments({ models: ['EV9'], regions: ['EU'] }),
      { type: 'vehicle_target', conditions: { models: ['EV9'], regions: ['EU'] } },
    ],
    [
      'a target alone, of VINs and tags: a whitelist',
      rule('vehicle_target', { segment: 'fleet' }),
      segments({ vins: VINS.slice(0, 2), tags: ['beta'] }, VINS.slice(1)),
      { type: 'vehicle_whitelist', conditions: { vins: [VINS[1]!] } },
    ],
    [
      'a target alone, of attributes: comparisons',
      rule('vehicle_target', { segment: 'fleet' }),
      segments({ all: [{ attribute: 'plan', exists: true }] }),
      { type: 'user_attribute', conditions: { all: [{ attribute: 'plan', exists: true }] } },
    ],
    [
      'a target alone, of VINs in a region: an audience',
      rule('vehicle_target', { segment: 'fleet' }),
      segments({ vins: VINS, regions: ['EU'] }),
      { type: 'vehicle_target', conditions: { audience: { regions: ['EU'], vins: VINS } } },
    ],
    [
      'two targets: what is in both',
      rule('vehicle_target', { segment: 'fleet', models: [' EV9', 'EV6'], sw_version: '2.x || 3.x' }),
      segments({ models: ['EV9', 'GV60'], sw_version: '>=2.5', regions: ['EU'] }),
      {
        type: 'vehicle_target',
        conditions: { models: ['EV9'], sw_version: '2.x >=2.5 || 3.x >=2.5', regions: ['EU'] },
      },
    ],
    [
      'a rollout: its own target narrowed',
      rule('percentage_rollout', { segment: 'fleet', rollout_percentage: 10, sticky: true }),
      segments({ regions: ['EU'] }),
      { type: 'percentage_rollout', conditions: { rollout_percentage: 10, sticky: true, regions: ['EU'] } },
    ],
    [
      'two lists: the vehicles in both',
      rule('vehicle_whitelist', { segment: 'fleet', vins: VINS }),
      segments({ vins: VINS.slice(2) }),
      { type: 'vehicle_whitelist', conditions: { vins: VINS.slice(2) } },
    ],
    [
      'comparisons of both',
      rule('user_attribute', { segment: 'fleet', attribute: 'a', exists: true }),
      segments({ all: [{ attribute: 'b', exists: true }] }),
      {
        type: 'user_attribute',
        conditions: {
          all: [
            { attribute: 'a', exists: true },
            { attribute: 'b', exists: true },
          ],
        },
      },
    ],
    [
      'a hyphened range beside another: an audience',
      rule('vehicle_target', { segment: 'fleet', sw_version: '2.4 - 2.6' }),
      segments({ sw_version: '>=2.5' }),
      { type: 'vehicle_target', conditions: { sw_version: '2.4 - 2.6', audience: { sw_version: '>=2.5' } } },
    ],
    [
      'a range that would be too long: an audience',
      rule('vehicle_target', { segment: 'fleet', sw_version: `>=${'1'.repeat(15)}.0 || ${'>=2.5 '.repeat(20)}` }),
      segments({ sw_version: '>=2.5 >=2.5 >=2.5 >=2.5 >=2.5 >=2.5 >=2.5' }),
      {
        type: 'vehicle_target',
        conditions: {
          sw_version: `>=${'1'.repeat(15)}.0 || ${'>=2.5 '.repeat(20)}`,
          audience: { sw_version: '>=2.5 >=2.5 >=2.5 >=2.5 >=2.5 >=2.5 >=2.5' },
        },
      },
    ],
    [
      'more than a hundred comparisons: an audience',
      rule('user_attribute', {
        segment: 'fleet',
        all: Array.from({ length: 100 }, () => ({ attribute: 'a', exists: true })),
      }),
      segments({ all: [{ attribute: 'b', exists: true }] }),
      {
        type: 'user_attribute',
        conditions: {
          all: Array.from({ length: 100 }, () => ({ attribute: 'a', exists: true })),
          audience: { all: [{ attribute: 'b', exists: true }] },
        },
      },
    ],
    [
      'versions that no vehicle can have: nobody',
      rule('vehicle_target', { segment: 'fleet', sw_version: '<2' }),
      segments({ sw_version: '>=2' }),
      { type: 'vehicle_whitelist', conditions: { digests: [] } },
    ],
    [
      'no model in both: nobody',
      rule('percentage_rollout', { segment: 'fleet', rollout_percentage: 100, models: ['EV6'] }),
      segments({ models: ['EV9'] }),
      { type: 'vehicle_whitelist', conditions: { digests: [] } },
    ],
    [
      'no VIN in both: nobody',
      rule('vehicle_whitelist', { segment: 'fleet', vins: VINS.slice(0, 1) }),
      segments({ vins: VINS.slice(1) }),
      { type: 'vehicle_whitelist', conditions: { digests: [] } },
    ],
    [
      'a tag that no vehicle has: nobody',
      rule('vehicle_target', { segment: 'fleet' }),
      segments({ tags: ['beta'] }, []),
      { type: 'vehicle_whitelist', conditions: { digests: [] } },
    ],
    [
      'a segment that is gone: nobody',
      rule('vehicle_target', { segment: 'gone' }),
      segments({ models: ['EV9'] }),
      { type: 'vehicle_whitelist', conditions: { digests: [] } },
    ],
  ])('are signed in an older form where one can say it: %s', (_, given, known, { type, conditions }) => {
    expect(expandRules([given], known)).toEqual([{ ...given, type, conditions }]);
  });

  test('keep their type where a rule of the other type is tried at the same priority', () => {
    const alone = rule('vehicle_target', { segment: 'fleet' });
    const list = rule('vehicle_whitelist', { vins: VINS }, { id: 'r0' });
    const [first, second] = expandRules([list, alone], segments({ vins: [VINS[0]!] }));
    expect(first).toBe(list);
    expect(second).toEqual({ ...alone, conditions: { audience: { vins: [VINS[0]] } } });
  });

  test('match nobody where their stored conditions cannot be read', () => {
    const given = rule('vehicle_target', { segment: 'fleet', models: 'EV9' });
    expect(expandRules([given], segments({ models: ['EV9'] }))[0]?.conditions).toEqual({ digests: [] });
    const versions = rule('vehicle_target', { segment: 'fleet', sw_version: ['2.x'] });
    expect(compileFlag(flag(expandRules([versions], segments({ sw_version: 'none' })))).unreadableRules).toEqual([
      'r1',
    ]);
  });

  test('stay the same object where they name none, and a kill switch names none', () => {
    const given = [
      rule('vehicle_target', { models: ['EV9'] }),
      rule('kill_switch', { force_disabled: true, segment: 'fleet' }),
      rule('vehicle_target', ['EV9']),
      rule('vehicle_target', { segment: 7 }),
    ];
    expandRules(given, new Map()).forEach((one, index) => expect(one).toBe(given[index]));
    expect(compileFlag(flag(expandRules(given, new Map()))).settled).not.toBeNull();
  });

  test('are explained with the checks of their segment, or of their audience once signed', () => {
    const given = rule('vehicle_target', { segment: 'fleet', models: ['EV9'] });
    const known = segments({ vins: VINS, all: [{ attribute: 'plan', exists: true }] });
    const explained = (rules_: readonly RuleDefinition[], of?: Segments) =>
      explainFlag(flag(rules_), { vin: VINS[0]!, model: 'EV9' }, '', of).rules.flatMap(({ checks }) => checks);
    const checks = [
      { about: 'ATTRIBUTE', attribute: 'plan', expected: { exists: true }, actual: null, holds: false },
      { about: 'VIN', attribute: null, expected: 3, actual: VINS[0], holds: true },
    ];
    const own = { about: 'MODEL', attribute: null, expected: ['EV9'], actual: 'EV9', holds: true };
    expect(explained([given], known)).toEqual([...checks.map((check) => ({ ...check, segment: 'fleet' })), own]);
    expect(explained(signed(expandRules([given], known)))).toEqual([...checks, own]);
  });

  test('match nobody in what is not yet expanded, and in a program that knows no audience', () => {
    const unread = [rule('vehicle_target', { segment: 'fleet', models: ['EV9'] })];
    expect(compileFlag(flag(unread)).unreadableRules).toEqual(['r1']);
  });

  test('carry VINs only as digests salted with the id of the rule, and none that cannot be read', () => {
    const of = (conditions: JsonValue) => signedConditions(rule('vehicle_target', conditions));
    expect(of({ audience: { vins: [VINS[0]!], models: ['EV9'] } })).toEqual({
      audience: { models: ['EV9'], digests: [whitelistDigest('r1', VINS[0]!)] },
    });
    expect(of({ audience: { vins: ['KMH'] } })).toEqual({ audience: { digests: [] } });
    expect(of({ audience: [VINS[0]!] })).toEqual({ audience: { digests: [] } });
    expect(signedConditions(rule('vehicle_whitelist', { vins: [VINS[0]!], audience: { models: ['EV9'] } }))).toEqual({
      digests: [whitelistDigest('r1', VINS[0]!)],
      audience: { models: ['EV9'] },
    });
  });
});
