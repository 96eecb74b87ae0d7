import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { FlagDefinition } from '../../model.ts';
import { compileFlag } from '../evaluate.ts';
import { explainFlag } from '../explain.ts';
import { ScopedFlags } from './scoped-flags.ts';

const MODELS = ['EV6', 'EV9', 'Niro'];

const flag = (key: string, scope: readonly string[] | null, requires: readonly string[] = []): FlagDefinition => ({
  key,
  environment: 'production',
  type: 'boolean',
  safetyLevel: 'ASIL-B',
  enabled: true,
  defaultValue: false,
  revision: 1,
  rules: [
    { id: 'r', type: 'user_attribute', priority: 1, enabled: true, conditions: { attribute: 'x', exists: false } },
  ],
  scope,
  requires: requires.map((required) => ({ flag: required })),
});

const flagsOf = (...definitions: readonly FlagDefinition[]) =>
  new ScopedFlags(
    definitions.map((definition) => ({ compiled: compileFlag(definition), scope: definition.scope ?? null })),
  );

describe('flags with scopes', () => {
  const base = flag('base', ['EV6']);
  const eco = flag('eco', null, ['base']);
  const flags = flagsOf(base, eco);

  it('serve their defaults to models out of their scope, and say so', () => {
    expect(flags.evaluate('base', { model: 'EV6' })).toMatchObject({ inScope: true, evaluation: { value: true } });
    for (const context of [{ model: 'EV9' }, {}, { model: null }, { model: '*' }])
      expect(flags.evaluate('base', context)).toEqual({
        inScope: false,
        evaluation: { value: false, variant: 'control', reason: 'DEFAULT', ruleId: null, revision: 1 },
      });
  });

  it('are missing for those that require them, out of their scope', () => {
    expect(flags.evaluate('eco', { model: 'EV6' })).toMatchObject({ inScope: true, evaluation: { value: true } });
    expect(flags.evaluate('eco', { model: 'EV9' })).toMatchObject({
      inScope: true,
      evaluation: { reason: 'PREREQUISITE_FAILED', failedPrerequisite: 'base' },
    });
  });

  it('explain what they ask of others, and what these serve', () => {
    const asked = { key: 'base', kind: 'requires', variants: null };
    expect(flags.explain('eco', { model: 'EV6' })).toEqual([{ ...asked, variant: 'enabled', holds: true }]);
    expect(flags.explain('eco', { model: 'EV9' })).toEqual([{ ...asked, variant: null, holds: false }]);
    expect([flags.explain('base', {}), flags.explain('nobody', {})]).toEqual([[], []]);
  });

  it('are the ones that were given', () => {
    expect(flags.evaluate('nobody', {})).toBeUndefined();
    expect(flags.dependenciesOf('eco')).toEqual(['base', 'eco']);
    expect(flags.dependenciesOf('base')).toEqual(['base']);
    expect(flags.evaluate('base', null as never)?.inScope).toBe(false);
  });

  it('are explained by what they serve together', () => {
    const outcomes = (key: string, definition: FlagDefinition, model: string) =>
      explainFlag(definition, { model }, '', new Map(), flags.evaluate(key, { model })).rules.map(
        ({ outcome }) => outcome,
      );
    expect(outcomes('eco', eco, 'EV6')).toEqual(['DECIDED']);
    expect(outcomes('eco', eco, 'EV9')).toEqual(['NOT_REACHED']);
    expect(outcomes('base', base, 'EV9')).toEqual(['NOT_REACHED']);
  });

  it('give a vehicle of any model what a set of only its own flags gives', () => {
    const KEYS = ['a', 'b', 'c'];
    const definitions = fc.tuple(
      ...KEYS.map((key) =>
        fc
          .tuple(fc.option(fc.subarray(MODELS, { minLength: 1 }), { nil: null }), fc.subarray(KEYS))
          .map(([scope, requires]) => flag(key, scope, requires)),
      ),
    );
    fc.assert(
      fc.property(definitions, fc.constantFrom(...MODELS, 'a model that nobody named'), (all, model) => {
        const own = all.filter(({ scope }) => scope == null || scope.includes(model));
        const alone = flagsOf(...own.map((definition) => ({ ...definition, scope: null })));
        const together = flagsOf(...all);
        const evaluated = together.evaluateAll({ model });
        expect([...evaluated.keys()]).toEqual(KEYS);
        for (const key of KEYS) {
          expect(evaluated.get(key)).toEqual(together.evaluate(key, { model }));
          const expected = alone.evaluate(key, { model });
          expect(evaluated.get(key)?.inScope).toBe(expected !== undefined);
          if (expected !== undefined) expect(evaluated.get(key)).toEqual(expected);
        }
      }),
    );
  });
});
