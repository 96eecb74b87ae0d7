import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { signedForm } from '../../core/wire/vehicle/definition.ts';
import { testFlag } from '../testing/held-flags.ts';
import { KILL, ON } from '../testing/rules.ts';
import { readSignedDefinition, serve } from './servable.ts';

const read = (form: unknown, version: string | null = null) => readSignedDefinition(form, 'eco', 'production', version);
const eco = testFlag('eco', {
  rules: [ON],
  requires: [{ flag: 'base', variants: ['treatment'] }],
  excludes: ['sport'],
});

test('a signed flag with an activation is read from its content, and is held where this version does not know it', () => {
  const activated = testFlag('eco', {
    rules: [ON],
    ...{ requires: [], excludes: [], activation: 'NEXT_DRIVE', killActivation: 'PARKED' },
  });
  const form = signedForm(activated);
  expect(read(form)).toMatchObject({ definition: activated, fault: null, settled: false });
  for (const change of [{ activation: 'AT_NIGHT' }, { killActivation: 'NEXT_DRIVE' }]) {
    const newer = (more: object = {}) => read({ ...form, content: { ...form.content, ...change, ...more } });
    expect(newer().fault).toBe('this version of the agent does not understand its activation');
    expect(newer({ enabled: false })).toMatchObject({ fault: null, settled: true });
  }
});

describe('a signed flag with dependencies', () => {
  test('is read from its content, and is not disabled because its usual place says so', () => {
    const { definition, fault, settled } = read(signedForm(eco));
    expect(definition).toEqual(eco);
    expect({ fault, settled }).toEqual({ fault: null, settled: false });
  });

  test('is disabled or killed where its content is', () => {
    expect(read(signedForm({ ...eco, enabled: false })).settled).toBe(true);
    expect(read(signedForm({ ...eco, rules: [ON, KILL] })).settled).toBe(true);
    expect(read({ ...signedForm(eco), rules: [KILL] }).settled).toBe(true);
  });

  test('is disabled where its content cannot be read', () => {
    for (const content of [null, 7, 'enabled', []])
      expect(read({ ...signedForm(eco), content })).toMatchObject({ definition: null, settled: true });
    const newer = read({ ...signedForm(eco), content: { enabled: true, rules: 'none' } });
    expect(newer).toMatchObject({ definition: null, settled: false });
    expect(newer.fault).toMatch(/form of a flag definition/);
  });

  test.each([
    [{ requires: 'base' }],
    [{ requires: [{ flag: 'base', below: 3 }] }],
    [{ requires: [{ flag: 'base', variants: [] }] }],
    [{ excludes: [{ flag: 'sport' }] }],
  ])('has a fault where this version does not understand them: %j', (change) => {
    const form = signedForm(eco);
    const { definition, fault, settled } = read({ ...form, content: { ...form.content, ...change } });
    expect(fault).toBe('this version of the agent does not understand its dependencies');
    expect({ key: definition?.key, settled }).toEqual({ key: 'eco', settled: false });
  });

  test('has no fault while it is killed, whatever its dependencies are', () => {
    const { definition, fault, settled } = read(signedForm({ ...eco, rules: [KILL], requires: [{}] as never }));
    expect({ key: definition?.key, fault, settled }).toEqual({ key: 'eco', fault: null, settled: true });
  });

  test('is read without an error, whatever JSON it is', () => {
    const form = fc.oneof(
      fc.jsonValue(),
      fc.jsonValue().map((content) => ({ ...signedForm(eco), content })),
    );
    fc.assert(fc.property(form, (any) => expect(typeof read(any).settled).toBe('boolean')));
  });
});

describe('a signed flag with a release', () => {
  const release = { id: 'a', percentage: 10, next: { defaultValue: true, rules: [ON] } };
  const limit = testFlag('eco', { release });

  test('is read with both contents', () => {
    expect(read(signedForm(limit))).toMatchObject({ definition: limit, fault: null, settled: false });
    expect(read(signedForm({ ...eco, release })).definition).toEqual({ ...eco, release });
  });

  test('has a fault where this version does not understand it, so that what was served before stays', () => {
    const fault = 'this version of the agent does not understand its release';
    for (const change of [{ percentage: 101 }, { next: null }, { rings: 3 }, { canary: { fleets: ['a'] } }])
      expect(read({ ...signedForm(limit), release: { ...release, ...change } })).toMatchObject({
        fault,
        settled: false,
      });
  });

  test('has a fault where this version does not understand a rule or a need of the new content', () => {
    const next = { ...release.next, rules: [{ ...ON, id: 'moon', type: 'lunar_phase' }] };
    expect(read({ ...signedForm(limit), release: { ...release, next } }).fault).toMatch(/rules moon$/);
    const needs = { ...release.next, requires: [{}] };
    expect(read({ ...signedForm(limit), release: { ...release, next: needs } }).fault).toMatch(/dependencies$/);
  });

  test('has no fault while it is killed or disabled, whatever its release is', () => {
    for (const off of [{ rules: [KILL] }, { enabled: false }])
      expect(read({ ...signedForm({ ...limit, ...off }), release: 7 })).toMatchObject({ fault: null, settled: true });
  });
});

describe('a signed flag whose release has a value outside its contract', () => {
  const valueSchema = { const: false };
  const release = { id: 'r', percentage: 100, next: { defaultValue: true, rules: [] } };

  test('is not served, and without a definition before, its stable default is served to all', () => {
    const { definition, fault, outsideContract, settled } = read(signedForm(testFlag('eco', { valueSchema, release })));
    expect({ outsideContract, settled }).toEqual({ outsideContract: true, settled: false });
    expect(fault).toContain('release.next.defaultValue');
    const signed = { revision: 1, jws: 'jws', digest: '', definition, fault, outsideContract, settled, scope: null };
    expect(serve(signed, null)?.definition).toMatchObject({ defaultValue: false, rules: [], release: null });
  });
});
