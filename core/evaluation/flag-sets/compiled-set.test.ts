import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { FlagDefinition, JsonValue, RuleDefinition } from '../../model.ts';
import { CompiledSet } from './compiled-set.ts';
import { compileFlag, evaluateFlag } from '../evaluate.ts';

const everybody = (variant: string | null = null): RuleDefinition => ({
  id: 'r',
  type: 'user_attribute',
  priority: 1,
  enabled: true,
  conditions: { attribute: 'absent', exists: false },
  value: true,
  variant,
});

const flag = (key: string, parts: Partial<FlagDefinition> = {}): FlagDefinition => ({
  key,
  environment: 'production',
  type: 'boolean',
  safetyLevel: 'ASIL-B',
  enabled: true,
  defaultValue: false,
  revision: 7,
  rules: [everybody()],
  ...parts,
});

const setOf = (...definitions: readonly FlagDefinition[]) => new CompiledSet(definitions.map(compileFlag));
const failedBy = (failedPrerequisite: string) => ({
  value: false,
  variant: 'control',
  reason: 'PREREQUISITE_FAILED',
  ruleId: null,
  revision: 7,
  failedPrerequisite,
});
const ON = { value: true, variant: 'enabled', reason: 'TARGETING_MATCH', ruleId: 'r', revision: 7 };

describe('a flag that requires another', () => {
  const eco = flag('eco', { requires: [{ flag: 'base' }] });

  it('serves its own value while the other serves anything but control', () => {
    expect(setOf(eco, flag('base')).evaluate('eco', {})).toEqual(ON);
    expect(setOf(eco, flag('base', { rules: [everybody('control')] })).evaluate('eco', {})).toEqual(failedBy('base'));
  });

  it.each<[string, readonly FlagDefinition[]]>([
    ['is missing', []],
    ['is disabled', [flag('base', { enabled: false })]],
    [
      'is killed',
      [flag('base', { rules: [{ ...everybody(), type: 'kill_switch', conditions: { force_disabled: true } }] })],
    ],
    ['matches no rule', [flag('base', { rules: [] })]],
    ['fails itself', [flag('base', { requires: [{ flag: 'nobody' }] })]],
  ])('serves its default where the other %s', (_, others) => {
    expect(setOf(...others, eco).evaluate('eco', {})).toEqual(failedBy('base'));
  });

  it('serves its default where the other is stale, and is stale itself first of all', () => {
    const set = setOf(eco, flag('base'));
    expect(set.evaluate('eco', {}, { stale: (key) => key === 'base' })).toEqual(failedBy('base'));
    expect(set.evaluate('eco', {}, { stale: () => true })?.reason).toBe('STALE');
    expect(set.evaluateAll({}, { stale: (key) => key === 'base' }).map(({ reason }) => reason)).toEqual([
      'PREREQUISITE_FAILED',
      'STALE',
    ]);
  });

  it('needs one of the variants that it names, where it names some', () => {
    const picky = flag('eco', { requires: [{ flag: 'base', variants: ['a', 'b'] }] });
    const served = (variant: string) =>
      setOf(picky, flag('base', { rules: [everybody(variant)] })).evaluate('eco', {})?.reason;
    expect(['a', 'b', 'c', 'control'].map(served)).toEqual([
      'TARGETING_MATCH',
      'TARGETING_MATCH',
      'PREREQUISITE_FAILED',
      'PREREQUISITE_FAILED',
    ]);
  });

  it('never takes control for a variant that was required', () => {
    const odd = flag('eco', { requires: [{ flag: 'base', variants: ['control'] }] });
    expect(setOf(odd, flag('base', { enabled: false })).evaluate('eco', {})).toEqual(failedBy('base'));
  });
});

describe('a flag that excludes another', () => {
  const eco = flag('eco', { excludes: ['sport'] });

  it('serves its own value only while the other is missing or serves control', () => {
    expect(setOf(eco).evaluate('eco', {})).toEqual(ON);
    expect(setOf(eco, flag('sport', { enabled: false })).evaluate('eco', {})).toEqual(ON);
    expect(setOf(eco, flag('sport')).evaluate('eco', {})).toEqual(failedBy('sport'));
  });

  it('does not keep the other from serving its value', () => {
    expect(setOf(eco, flag('sport')).evaluate('sport', {})).toEqual(ON);
  });

  it('names the first flag that fails it, required ones first', () => {
    const both = flag('eco', { excludes: ['sport'], requires: [{ flag: 'base' }, { flag: 'more' }] });
    expect(setOf(both, flag('sport')).evaluate('eco', {})).toEqual(failedBy('base'));
    expect(setOf(both, flag('sport'), flag('base')).evaluate('eco', {})).toEqual(failedBy('more'));
    expect(setOf(both, flag('sport'), flag('base'), flag('more')).evaluate('eco', {})).toEqual(failedBy('sport'));
  });
});

describe('flags in a cycle', () => {
  const a = flag('a', { requires: [{ flag: 'x' }, { flag: 'b' }] });
  const b = flag('b', { excludes: ['a'] });

  it('all serve their defaults, and name the next flag of the cycle', () => {
    const set = setOf(
      a,
      b,
      flag('x'),
      flag('outside', { requires: [{ flag: 'a' }], excludes: ['b'] }),
      flag('free', { excludes: ['a'] }),
    );
    expect(
      Object.fromEntries(set.evaluateAll({}).map((evaluation, index) => [set.flags[index]!.key, evaluation])),
    ).toEqual({
      a: failedBy('b'),
      b: failedBy('a'),
      x: ON,
      outside: failedBy('a'),
      free: ON,
    });
    for (const [index, { key }] of set.flags.entries()) expect(set.evaluate(key, {})).toBe(set.evaluateAll({})[index]);
  });

  it('of one flag alone serve the default, too', () => {
    for (const self of [flag('a', { requires: [{ flag: 'a' }] }), flag('a', { excludes: ['a'] })]) {
      expect(setOf(self).evaluate('a', {})).toEqual(failedBy('a'));
      expect(evaluateFlag(compileFlag(self), {})).toEqual(failedBy('a'));
    }
  });

  it('are disabled or stale first of all', () => {
    const set = setOf({ ...a, enabled: false }, b);
    expect(set.evaluate('a', {})?.reason).toBe('DISABLED');
    expect(set.evaluate('b', {})).toEqual(failedBy('a'));
    expect(set.evaluate('b', {}, { stale: () => true })?.reason).toBe('STALE');
  });
});

describe('dependencies that cannot be read', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['a list that is none', { requires: 'base' }, ''],
    ['a list that is none', { excludes: { sport: true } }, ''],
    ['an entry without a key', { requires: [{}] }, ''],
    ['an entry that is text', { requires: ['base'] }, ''],
    ['an entry with a member of a later version', { requires: [{ flag: 'base', below: 3 }] }, 'base'],
    ['no variants', { requires: [{ flag: 'base', variants: [] }] }, 'base'],
    ['variants that are none', { requires: [{ flag: 'base', variants: [7] }] }, 'base'],
    ['an excluded flag without a key', { excludes: [''] }, ''],
    ['an excluded flag that is an object', { excludes: [{ flag: 'sport' }] }, ''],
  ])('fail the flag: %s, %j', (_, parts, key) => {
    const compiled = compileFlag(flag('eco', parts));
    expect(compiled.hasUnreadablePrerequisite).toBe(true);
    expect(new CompiledSet([compiled, compileFlag(flag('base'))]).evaluate('eco', {})).toEqual(failedBy(key));
  });

  it('are none where they are absent, null or empty', () => {
    for (const none of [undefined, null, []] as unknown as undefined[]) {
      const compiled = compileFlag(flag('eco', { requires: none, excludes: none }));
      expect(compiled).toMatchObject({ hasUnreadablePrerequisite: false, prerequisites: [], alone: null });
      expect(evaluateFlag(compiled, {})).toEqual(ON);
    }
    expect(compileFlag(flag('eco', { requires: [{ flag: 'a', variants: null }] })).hasUnreadablePrerequisite).toBe(
      false,
    );
  });
});

describe('a set of flags', () => {
  it('has the flags in the order in which they were given, the last of each key', () => {
    const set = setOf(flag('b'), flag('a'), flag('b', { enabled: false }));
    expect(set.flags.map(({ key }) => key)).toEqual(['b', 'a']);
    expect(set.evaluateAll({}).map(({ reason }) => reason)).toEqual(['DISABLED', 'TARGETING_MATCH']);
    expect(set.get('b')).toBe(set.flags[0]);
    expect([set.get('c'), set.evaluate('c', {})]).toEqual([undefined, undefined]);
  });

  it('has a flag evaluated alone as one that requires missing flags', () => {
    expect(evaluateFlag(compileFlag(flag('eco', { requires: [{ flag: 'base' }] })), {})).toEqual(failedBy('base'));
    expect(evaluateFlag(compileFlag(flag('eco', { excludes: ['sport'] })), {})).toEqual(ON);
  });

  it('visits each flag once, and for one flag only those on which it depends', () => {
    const visits = new Map<string, number>();
    const counted = (key: string, requires: readonly string[]) => {
      const compiled = compileFlag(flag(key, { requires: requires.map((required) => ({ flag: required })) }));
      const rules = compiled.rules.map((rule) => ({
        ...rule,
        matches: () => {
          visits.set(key, (visits.get(key) ?? 0) + 1);
          return true;
        },
      }));
      return { ...compiled, rules };
    };
    // A diamond at each level: without remembering, the lowest flag would be visited 2^12 times.
    const LEVELS = 12;
    const flags = Array.from({ length: LEVELS }, (_, level) =>
      ['l', 'r'].map((side) => counted(`${side}${level}`, level === 0 ? [] : [`l${level - 1}`, `r${level - 1}`])),
    ).flat();
    const set = new CompiledSet(flags.toReversed());
    set.evaluateAll({});
    expect([...visits.values()]).toEqual(flags.map(() => 1));
    visits.clear();
    set.evaluate('l3', {});
    expect([...visits.keys()].sort()).toEqual(['l0', 'l1', 'l2', 'l3', 'r0', 'r1', 'r2']);
    expect(set.dependenciesOf('l3').sort()).toEqual(['l0', 'l1', 'l2', 'l3', 'r0', 'r1', 'r2']);
    expect([...visits.values()]).toEqual([...visits.keys()].map(() => 1));
    expect(set.dependenciesOf('nobody')).toEqual([]);
  });

  it('gives one frozen evaluation for all contexts with the same result', () => {
    const set = setOf(
      flag('eco', { requires: [{ flag: 'base' }] }),
      flag('base'),
      flag('failing', { requires: [{ flag: 'x' }] }),
    );
    for (const key of ['eco', 'base', 'failing']) {
      const first = set.evaluate(key, { vin: 'a' })!;
      expect(set.evaluate(key, { vin: 'b' })).toBe(first);
      expect(Object.isFrozen(first)).toBe(true);
    }
  });

  it('draws by the nonce for required flags, too', () => {
    const draw: RuleDefinition = {
      id: 'p',
      type: 'percentage_rollout',
      priority: 1,
      enabled: true,
      conditions: { rollout_percentage: 50, sticky: false },
    };
    const set = setOf(flag('eco', { requires: [{ flag: 'base' }] }), flag('base', { rules: [draw] }));
    const nonces = Array.from({ length: 40 }, (_, index) => `n${index}`);
    const reasons = nonces.map((nonce) => set.evaluate('eco', { vin: 'KMH1234567890ABCD' }, { nonce })?.reason);
    expect(new Set(reasons)).toEqual(new Set(['TARGETING_MATCH', 'PREREQUISITE_FAILED']));
    const base = nonces.map((nonce) => set.evaluate('base', { vin: 'KMH1234567890ABCD' }, { nonce })?.variant);
    expect(reasons.map((reason) => reason === 'TARGETING_MATCH')).toEqual(base.map((variant) => variant !== 'control'));
  });

  it('is evaluated without an error whatever JSON the definitions and the context are', () => {
    const json = fc.jsonValue({ depthSize: 'medium' }) as fc.Arbitrary<JsonValue>;
    const key = fc.constantFrom('a', 'b', 'c', '');
    const entry = fc.oneof(json, fc.record({ flag: fc.oneof(key, json), variants: json }, { requiredKeys: ['flag'] }));
    const definition = fc.oneof(
      json,
      fc.record({
        key: fc.oneof(key, json),
        enabled: fc.boolean(),
        rules: json,
        requires: fc.oneof(json, fc.array(entry)),
        excludes: fc.oneof(json, fc.array(fc.oneof(json, key))),
      }),
    );
    fc.assert(
      fc.property(fc.array(definition, { maxLength: 6 }), json, (definitions, context) => {
        const set = setOf(...(definitions as unknown as FlagDefinition[]));
        const all = set.evaluateAll(context as never);
        expect(all.map(({ variant }) => variant)).toEqual(set.flags.map(() => 'control'));
        for (const [index, { key }] of set.flags.entries())
          expect(set.evaluate(key, context as never)).toBe(all[index]);
      }),
    );
  });
});
