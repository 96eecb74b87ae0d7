import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FleetFlagError } from '../errors.ts';
import { MAX_DEPENDENCIES, validateDependencies } from './validate-dependencies.ts';

const read = (requires: unknown, excludes: unknown = null) =>
  validateDependencies({ requires, excludes }, 'eco', 'input');

const faultOf = (read: () => unknown): string | undefined => {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    return error.details.field;
  }
};

describe('dependencies as they are written', () => {
  it('are stored as required flags with their variants, and excluded ones', () => {
    expect(
      read(
        [
          { flagKey: 'base', variants: null },
          { flagKey: 'more', variants: ['b', 'a'] },
        ],
        ['sport'],
      ),
    ).toEqual({
      requires: [{ flag: 'base' }, { flag: 'more', variants: ['b', 'a'] }],
      excludes: ['sport'],
    });
    expect(validateDependencies({}, 'eco', 'input')).toEqual({ requires: [], excludes: [] });
    expect(validateDependencies({ requires: [{ flag: 'base' }] }, 'eco', 'flags.eco', 'flag').requires).toEqual([
      { flag: 'base' },
    ]);
  });

  const many = (count: number) => Array.from({ length: count }, (_, index) => `flag_${index}`);
  const requiring = (variants: unknown) => [{ flagKey: 'base', variants }];

  it.each<[string, unknown, unknown, string | undefined]>([
    ['no list', 'base', null, 'input.requires'],
    ['no list', null, 'sport', 'input.excludes'],
    ['no object', [{ flagKey: 'base' }, 'more'], null, 'input.requires.1'],
    ['no key', [{ flagKey: 'base' }, { flagKey: 'not a key' }], null, 'input.requires.1.flagKey'],
    ['no key', null, ['sport', 7], 'input.excludes.1'],
    ['itself', [{ flagKey: 'eco' }], null, 'input.requires.0.flagKey'],
    ['itself', null, ['eco'], 'input.excludes.0'],
    ['one flag twice', [{ flagKey: 'base' }, { flagKey: 'base' }], null, 'input.requires.1.flagKey'],
    ['one flag twice', [{ flagKey: 'base' }], ['base'], 'input.excludes.0'],
    ['as many as may be', many(MAX_DEPENDENCIES).map((flagKey) => ({ flagKey })), null, undefined],
    ['one too many', many(MAX_DEPENDENCIES + 1).map((flagKey) => ({ flagKey })), null, 'input.requires'],
    ['one too many', null, many(MAX_DEPENDENCIES + 1), 'input.excludes'],
    ['no variants', requiring([]), null, 'input.requires.0.variants'],
    ['no list of variants', requiring('a'), null, 'input.requires.0.variants'],
    ['a malformed variant', requiring(['a', 'not one']), null, 'input.requires.0.variants.1'],
    ['a variant that is no text', requiring([1]), null, 'input.requires.0.variants.0'],
    ['control', requiring(['control']), null, 'input.requires.0.variants.0'],
    ['one variant twice', requiring(['a', 'b', 'a']), null, 'input.requires.0.variants.2'],
    ['too many variants', requiring(many(MAX_DEPENDENCIES + 1)), null, 'input.requires.0.variants'],
  ])('with %s have their fault named: %j, %j', (_, requires, excludes, field) => {
    expect(faultOf(() => read(requires, excludes))).toBe(field);
  });

  it('are refused at a path within the input, or stored, whatever they are', () => {
    const entry = fc.oneof(
      fc.jsonValue(),
      fc.record({ flagKey: fc.constantFrom('a', 'eco', 'b'), variants: fc.jsonValue() }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.array(entry)), fc.jsonValue(), (requires, excludes) => {
        expect(faultOf(() => read(requires, excludes)) ?? 'input.').toMatch(/^input\./);
      }),
    );
  });
});
