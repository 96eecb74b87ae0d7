import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OTHER_MODELS, covers, isInPartition, partitionOf, partitionsOf, type Scope } from './partition.ts';

const MODELS = ['EV6', 'Ioniq 5', 'Ioniq 6', 'Kona'];
const models = fc.subarray(MODELS);
const scope: fc.Arbitrary<Scope> = fc.option(fc.subarray(MODELS, { minLength: 1 }), { nil: null });

describe('partitions', () => {
  test('give a vehicle the flags without a scope and those that name its model, and no others', () => {
    fc.assert(
      fc.property(fc.constantFrom(...MODELS), models, scope, (model, namedBefore, flag) => {
        const named = new Set([...namedBefore, ...(flag ?? [])]);
        expect(isInPartition(flag, partitionOf(model, named))).toBe(flag === null || flag.includes(model));
      }),
    );
  });

  test('are listed for a flag exactly where it is in them', () => {
    fc.assert(
      fc.property(models, scope, (namedBefore, flag) => {
        const named = new Set([...namedBefore, ...(flag ?? [])]);
        const all = [OTHER_MODELS, ...named];
        expect(partitionsOf(flag, named).sort()).toEqual(
          all.filter((partition) => isInPartition(flag, partition)).sort(),
        );
      }),
    );
  });

  test('of one scope cover those of another when each of its vehicles has both flags', () => {
    fc.assert(
      fc.property(scope, scope, (wide, narrow) => {
        const has = (flag: Scope, model: string) => flag === null || flag.includes(model);
        const vehicles = [...MODELS, 'a model that nobody named'];
        expect(covers(wide, narrow)).toBe(vehicles.every((model) => !has(narrow, model) || has(wide, model)));
      }),
    );
  });
});
