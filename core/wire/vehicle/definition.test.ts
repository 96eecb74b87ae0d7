import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { FlagDefinition } from '../../model.ts';
import { compileFlag } from '../../evaluation/evaluate.ts';
import {
  DEFAULT_TTL_SECONDS,
  DEFINITION_JWS_TYPE,
  STATEMENT_JWS_TYPE,
  definitionVersion,
  flagInForm,
  signedForm,
} from './definition.ts';

const flag: FlagDefinition = {
  key: 'eco_mode',
  environment: 'staging',
  type: 'boolean',
  safetyLevel: 'Non-Critical',
  enabled: true,
  defaultValue: false,
  revision: 7,
  rules: [
    { id: 'r', type: 'vehicle_target', priority: 1, enabled: true, conditions: { models: ['EV6'] }, value: null },
  ],
};

describe('the wire forms', () => {
  it('lets a flag be used for 7 days after the last verified contact', () => {
    expect(DEFAULT_TTL_SECONDS).toBe(7 * 24 * 60 * 60);
  });

  it('types definitions and statements differently, so that one is never taken for the other', () => {
    expect(DEFINITION_JWS_TYPE).not.toBe(STATEMENT_JWS_TYPE);
  });
});

describe('the signed form of a flag', () => {
  const scope = fc.option(fc.constant(['EV6']), { nil: null });
  const requires = fc.constantFrom([], [{ flag: 'base' }], [{ flag: 'base', variants: ['treatment'] }]);
  const excludes = fc.constantFrom([], ['sport_mode']);

  it('holds the whole flag, with a scope and dependencies where it has them', () => {
    fc.assert(
      fc.property(scope, requires, excludes, fc.boolean(), (scope, requires, excludes, enabled) => {
        const whole = { ...flag, enabled, scope, requires, excludes };
        expect({ scope: null, requires: [], excludes: [], ...flagInForm(signedForm(whole)) }).toEqual(whole);
      }),
    );
  });

  it('disables a flag with dependencies for agents that know none, and nothing else', () => {
    fc.assert(
      fc.property(scope, requires, excludes, (scope, requires, excludes) => {
        const { settled } = compileFlag(signedForm({ ...flag, scope, requires, excludes }));
        expect(settled !== null).toBe(requires.length + excludes.length > 0);
      }),
    );
  });

  it('is the same, to the byte, as in older versions for a flag without scope, dependencies and value contract', () => {
    const before =
      '{"key":"eco_mode","environment":"staging","type":"boolean","safetyLevel":"Non-Critical","enabled":true,' +
      '"defaultValue":false,"revision":7,"rules":[{"id":"r","type":"vehicle_target","priority":1,"enabled":true,' +
      '"conditions":{"models":["EV6"]},"value":null}]}';
    for (const form of [flag, { ...flag, scope: null, requires: [], excludes: [], valueSchema: null }])
      expect(JSON.stringify(signedForm(form))).toBe(before);
  });

  it('has the value contract in its usual place, beside dependencies too', () => {
    const valueSchema = { const: false };
    for (const dependencies of [{}, { excludes: ['sport_mode'] }]) {
      const form = signedForm({ ...flag, ...dependencies, valueSchema });
      expect(form.valueSchema).toEqual(valueSchema);
      expect(flagInForm(form)['valueSchema']).toEqual(valueSchema);
    }
  });

  it('has an activation in its content, and is disabled, in a version that they accept, for agents that know none', () => {
    const activation = fc.constantFrom(undefined, null, 'IMMEDIATE', 'PARKED', 'NEXT_DRIVE' as const);
    const killActivation = fc.constantFrom(undefined, null, 'IMMEDIATE', 'PARKED' as const);
    fc.assert(
      fc.property(activation, killActivation, requires, (activation, killActivation, requires) => {
        const whole = { ...flag, activation, killActivation, requires } as FlagDefinition;
        const form = signedForm(whole);
        const present = { activation: activation ?? 'IMMEDIATE', killActivation: killActivation ?? 'IMMEDIATE' };
        const isPlain = Object.values(present).every((each) => each === 'IMMEDIATE');
        expect(definitionVersion(whole)).toBe(isPlain ? 1 : 2);
        expect(form).toMatchObject(isPlain && requires.length === 0 ? flag : { enabled: false, rules: [] });
        expect(form).not.toHaveProperty('activation');
        const read = flagInForm(form);
        expect(read).toMatchObject({ ...flag, ...(!isPlain && present) });
        expect(Object.hasOwn(read, 'activation')).toBe(!isPlain);
      }),
    );
  });

  it('stays what it was for older agents while a release brings an activation or dependencies', () => {
    const activation = fc.constantFrom(undefined, 'IMMEDIATE', 'PARKED', 'NEXT_DRIVE' as const);
    fc.assert(
      fc.property(activation, requires, fc.integer({ min: 0, max: 100 }), (activation, requires, percentage) => {
        const next = { defaultValue: false, rules: [], requires, ...(activation !== undefined && { activation }) };
        const whole = { ...flag, activation: 'IMMEDIATE', release: { id: 'r', percentage, next } } as FlagDefinition;
        const form = signedForm(whole);
        expect(definitionVersion(whole)).toBe(1);
        expect(form).toMatchObject(flag);
        expect(form).not.toHaveProperty('content');
        expect(flagInForm(form)).toMatchObject({ ...flag, release: { next } });
      }),
    );
  });

  it('has the bound of returns beside the content, so that older agents find the flag as before', () => {
    for (const killActivation of ['IMMEDIATE', 'PARKED'] as const) {
      const form = signedForm({ ...flag, killActivation, noReturnBelow: 7 });
      const { noReturnBelow, ...former } = form;
      expect([noReturnBelow, former]).toEqual([7, signedForm({ ...flag, killActivation })]);
      expect(flagInForm(form)).toMatchObject({ noReturnBelow: 7 });
    }
  });

  it('is read from any JSON without an error', () => {
    fc.assert(fc.property(fc.jsonValue(), (form) => expect(flagInForm(form)).toBeInstanceOf(Object)));
  });
});
