/** The law of value contracts in the vehicle: no value outside the contract of its definition is ever served. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileFlag, evaluateFlag } from '../../core/evaluation/evaluate.ts';
import type { FlagDefinition, JsonObject, JsonValue } from '../../core/model.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { signedForm } from '../../core/wire/vehicle/definition.ts';
import type { HeldFlag } from '../state.ts';
import { heldFlag } from '../sync/apply.ts';
import { testFlag } from '../testing/held-flags.ts';
import { EU, KILL, ON } from '../testing/rules.ts';
import { formerOf, readSignedDefinition } from './servable.ts';

/** Schemas, each beside a predicate that is written by hand; those that cannot be read allow nothing. */
const CONTRACTS: readonly { readonly valueSchema: unknown; readonly allows: (value: JsonValue) => boolean }[] = [
  { valueSchema: null, allows: () => true },
  { valueSchema: { maximum: 5 }, allows: (value) => typeof value !== 'number' || value <= 5 },
  { valueSchema: { enum: [0, 7, 'eco'] }, allows: (value) => value === 0 || value === 7 || value === 'eco' },
  {
    valueSchema: { properties: { limit: { type: 'integer' } }, required: ['limit'] },
    allows: (value) =>
      typeof value !== 'object' || value === null || Array.isArray(value) || Number.isInteger(value['limit']),
  },
  { valueSchema: { maximum: 5, pattern: 'x' }, allows: () => false },
  { valueSchema: 'integer', allows: () => false },
];

const value = fc.constantFrom<JsonValue>(
  0,
  5,
  6,
  7,
  'eco',
  'sport',
  { limit: 3 },
  { limit: 2.5 },
  { other: 1 },
  [1],
  null,
);
const contract = fc.constantFrom(...CONTRACTS);
const definitions = fc
  .record({
    contract,
    type: fc.constantFrom('json' as const, 'number' as const),
    defaultValue: value,
    enabled: fc.oneof({ arbitrary: fc.constant(true), weight: 5 }, fc.constant(false)),
    rules: fc.subarray([ON, EU, { ...KILL, value: 99 }]),
    values: fc.tuple(value, value, value),
    excludes: fc.constantFrom([], ['other']),
    isAhead: fc.boolean(),
  })
  .map(({ contract: { valueSchema }, rules, values, isAhead, ...parts }) => ({
    isAhead,
    flag: testFlag('eco', {
      ...parts,
      valueSchema: valueSchema as JsonObject | null,
      rules: rules.map((rule, index) => ({ value: values[index]!, ...rule })),
    }),
  }));

/** Gives a flag that was held as `flag` after the next definition of it has arrived. */
function next(flag: HeldFlag | null, definition: FlagDefinition, jws: string, isAhead: boolean): HeldFlag {
  const read = readSignedDefinition(signedForm(definition), 'eco', 'production', null);
  const signed = { ...read, revision: definition.revision, jws, digest: jws, scope: null };
  if (flag === null) return heldFlag('eco', signed, null, null, 1, 1);
  return isAhead && signed.settled
    ? heldFlag('eco', flag.held, flag.former, signed, 1, 1)
    : heldFlag('eco', signed, formerOf(flag.held, flag.former), null, 1, 1);
}

test('whatever definitions arrive in whatever order, each value is within the contract of its own definition', () => {
  let served = 0;
  // Drawing a definition takes longer than reading it: each sequence consists of definitions of one list.
  const drawn = fc.sample(definitions, { numRuns: rounds(300, 10_000), seed: 20_261_129 });
  const choice = fc.integer({ min: 0, max: drawn.length - 1 });
  fc.assert(
    fc.property(fc.array(choice, { minLength: 10, maxLength: 10 }), (choices) => {
      let flag: HeldFlag | null = null;
      for (const [index, place] of choices.entries()) {
        const { flag: definition, isAhead } = drawn[place]!;
        flag = next(flag, { ...definition, revision: index }, `jws ${index}`, isAhead);
        // A restart reads the same definitions again, so what is served must follow from them alone.
        const again: HeldFlag = heldFlag('eco', flag.held, flag.former, flag.ahead, 1, 1);
        if (JSON.stringify(again.served) !== JSON.stringify(flag.served))
          throw new Error('Served otherwise after a restart');
        if (flag.served === null) continue;
        served += 1;
        const compiled = compileFlag(flag.served.definition);
        const { allows } = CONTRACTS.find(
          ({ valueSchema }) => valueSchema === (flag?.served?.definition.valueSchema ?? null),
        )!;
        // A million times, so without `expect`, which takes longer than all the rest.
        for (const context of [{}, { vin: 'KMH1234567890ABCD', region: 'EU' }])
          for (const stale of [false, true]) {
            const { value: given } = evaluateFlag(compiled, context, { stale });
            if (!allows(given)) throw new Error(`Served ${JSON.stringify(given)} of ${JSON.stringify(flag.served)}`);
          }
        if ((flag.ahead ?? flag.held).settled && compiled.settled === null)
          throw new Error(`Not stopped: ${JSON.stringify(flag)}`);
      }
    }),
    { numRuns: rounds(200, 50_000) },
  );
  expect(served).toBeGreaterThan(rounds(200, 50_000));
}, 900_000);
