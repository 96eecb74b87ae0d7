import { describe, expect, test } from '@jest/globals';
import type { Release } from '../../model.ts';
import { contractFault, ruleFault, servableValues, type ServingFlag } from './contract-fault.ts';

const number = (change: Partial<ServingFlag>): ServingFlag => ({
  type: 'number',
  defaultValue: 3,
  rules: [],
  valueSchema: { maximum: 5 },
  ...change,
});

describe('the contract of a flag', () => {
  test('has no fault where there is none, or all values fit it', () => {
    expect(contractFault(number({ valueSchema: null, defaultValue: 6 }))).toBeNull();
    expect(
      contractFault(number({ rules: [{ type: 'vehicle_target', value: 5 }, { type: 'vehicle_target' }] })),
    ).toBeNull();
  });

  test('is broken by the first value outside of it, the default before the rules', () => {
    const limits = { type: 'json', valueSchema: { additionalProperties: { items: { maximum: 5 } } } } as const;
    const over = { limits: [1, 6] };
    expect(contractFault({ ...limits, defaultValue: over, rules: [{ value: over }] })).toEqual({
      kind: 'default',
      ruleIndex: -1,
      path: 'defaultValue.limits.1',
      message: 'must be at most 5.',
    });
    expect(contractFault({ ...limits, defaultValue: {}, rules: [{}, { value: over, enabled: false }] })).toEqual({
      kind: 'rule',
      ruleIndex: 1,
      path: 'value.limits.1',
      message: 'must be at most 5.',
    });
  });

  test('is broken by what a rule without a value serves', () => {
    const boolean = { type: 'boolean', defaultValue: false, valueSchema: { const: false } } as const;
    expect(contractFault({ ...boolean, rules: [{ type: 'vehicle_target', value: null }] })?.path).toBe('value');
    expect(contractFault({ ...boolean, rules: [{ type: 'kill_switch', value: true }, 'no rule'] })).toBeNull();
  });

  test('that cannot be read is a fault of the schema, and allows no value', () => {
    expect(contractFault(number({ valueSchema: { pattern: 'a' } }))).toMatchObject({
      kind: 'schema',
      ruleIndex: -1,
      path: 'valueSchema.pattern',
    });
    expect(servableValues({ pattern: 'a' })(3)).toBe(false);
    expect(servableValues(undefined)(3)).toBe(true);
  });

  test('counts for the new content of a release, which may have a contract of its own', () => {
    const release = (next: object) => ({ release: { id: 'r', percentage: 5, next } as unknown as Release });
    expect(contractFault(number(release({ defaultValue: 6, rules: [] })))).toMatchObject({
      kind: 'next',
      path: 'release.next.defaultValue',
      message: 'must be at most 5.',
    });
    expect(contractFault(number(release({ defaultValue: 4, rules: [{}, { value: 6 }] })))?.path).toBe(
      'release.next.rules.1.value',
    );
    const own = { valueSchema: { maximum: 9 } };
    expect(contractFault(number(release({ ...own, defaultValue: 6, rules: [] })))).toBeNull();
    expect(
      contractFault(number({ valueSchema: null, ...release({ ...own, defaultValue: 10, rules: [] }) }))?.path,
    ).toBe('release.next.defaultValue');
    expect(contractFault(number(release({ valueSchema: null, defaultValue: 6, rules: [] })))).toBeNull();
    expect(contractFault(number({ release: 7 as never }))).toBeNull();
    const without: ServingFlag = { type: 'number', defaultValue: 9, rules: [] };
    expect(contractFault({ ...without, ...release({ ...own, defaultValue: 10, rules: [] }) })?.path).toBe(
      'release.next.defaultValue',
    );
  });

  test('counts for a new content that lacks members, too', () => {
    const next = (content: object) =>
      contractFault(
        number({
          valueSchema: { type: 'number' },
          release: { id: 'r', percentage: 5, next: content } as unknown as Release,
        }),
      );
    expect(next({ rules: [] })?.path).toBe('release.next.defaultValue');
    expect(next({ defaultValue: 4, rules: 'none' })).toBeNull();
  });

  test('is not taken to be unreadable where reading it fails in another way', () => {
    const schema = {
      get type(): never {
        throw new TypeError('not the schema');
      },
    };
    expect(() => contractFault(number({ valueSchema: schema }))).toThrow(TypeError);
  });

  test('has a fault in one rule where the rule would serve another value than it allows', () => {
    expect(ruleFault(number({}), { type: 'vehicle_target', value: 6 })).toEqual({
      path: 'value',
      message: 'must be at most 5.',
    });
    expect(ruleFault(number({}), { type: 'vehicle_target', value: 5 })).toBeNull();
    expect(ruleFault(number({}), { type: 'kill_switch', value: 6 })).toBeNull();
    // The flag's own fault is not the rule's.
    for (const valueSchema of [null, { pattern: 'a' }])
      expect(ruleFault(number({ valueSchema }), { type: 'vehicle_target', value: 6 })).toBeNull();
  });
});
