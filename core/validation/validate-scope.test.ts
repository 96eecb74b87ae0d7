import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MAX_SCOPE, validateScope } from './validate-scope.ts';

const refused = (field: string) => expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field } });
const tooMany = (field: string, limit: number) =>
  expect.objectContaining({ code: 'LIMIT_EXCEEDED', details: { field, limit } });

describe('validateScope', () => {
  it.each([null, undefined])('reads %s as every vehicle', (scope) => {
    expect(validateScope(scope, 'input.scope')).toBeNull();
  });

  it('gives the same list for the same models, in whichever order and with whichever blanks they come', () => {
    const models = fc.uniqueArray(
      fc.string({ unit: fc.constantFrom(...'abXY 7'), minLength: 1, maxLength: 8 }).map((text) => `m${text.trim()}`),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(models, (given) => {
        const scope = validateScope(given, 'scope');
        expect(
          validateScope(
            [...given].reverse().map((model) => ` ${model}\t`),
            'scope',
          ),
        ).toEqual(scope);
        expect(new Set(scope)).toEqual(new Set(given));
      }),
    );
  });

  it.each([
    [[], 'scope'],
    ['Ioniq 6', 'scope'],
    [['Ioniq 6', ' Ioniq 6'], 'scope.1'],
    [['*'], 'scope.0'],
    [['A', ' '], 'scope.1'],
    [['A', 7], 'scope.1'],
    [['A\u200bB'], 'scope.0'],
    [['x'.repeat(101)], 'scope.0'],
  ])('refuses %j', (scope, field) => {
    expect(() => validateScope(scope, 'scope')).toThrow(refused(field));
  });

  it('accepts 500 models and no more', () => {
    const models = Array.from({ length: MAX_SCOPE + 1 }, (_, index) => `Model ${index}`);
    expect(validateScope(models.slice(1), 'scope')).toHaveLength(MAX_SCOPE);
    expect(() => validateScope(models, 'scope')).toThrow(tooMany('scope', MAX_SCOPE));
  });
});
