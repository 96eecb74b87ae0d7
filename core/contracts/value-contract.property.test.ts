/** Value contracts against ajv, a well-known implementation of JSON Schema that shares no code with ours. */
import { expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import type { JsonValue } from '../model.ts';
import { rounds } from '../testing/rounds.ts';
import { isMultipleOf } from './multiple-of.ts';
import { readValueContract } from './value-contract.ts';

/** One of them is inherited by every object; the oracle's comparison cannot take others, such as `toString`. */
const name = fc.constantFrom('a', 'b', 'isPrototypeOf', '0');
const number = fc.oneof(
  fc.integer({ min: -3, max: 6 }),
  fc.integer({ min: -300, max: 300 }).map((hundredths) => hundredths / 100),
  fc.constantFrom(-0, 1e15, 1e-7, 0.1, 0.3),
);
const text = fc.string({ unit: fc.constantFrom('a', 'é', '😀'), maxLength: 3 });
const scalar = fc.oneof(fc.constant(null), fc.boolean(), number, text);

const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 4, withCrossShrink: true },
    { weight: 3, arbitrary: scalar },
    { weight: 2, arbitrary: fc.array(tie('value'), { maxLength: 3 }) },
    { weight: 3, arbitrary: fc.dictionary(name, tie('value'), { maxKeys: 3 }).map((members) => ({ ...members })) },
  ),
}));

const count = fc.integer({ min: 0, max: 3 });
const type = fc.constantFrom('null', 'boolean', 'object', 'array', 'number', 'string', 'integer');
const distinct = (each: fc.Arbitrary<JsonValue>) =>
  fc.uniqueArray(each, { minLength: 1, maxLength: 4, selector: (one) => JSON.stringify(one) });

const { schema } = fc.letrec<{ schema: object; inner: object | boolean }>((tie) => ({
  inner: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    { weight: 1, arbitrary: fc.boolean() },
    { weight: 5, arbitrary: tie('schema') },
  ),
  schema: fc
    .record(
      {
        type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 4 })),
        // A list may have one of several equal numbers, such as 0 and −0.
        enum: distinct(fc.oneof(fc.boolean(), text, fc.integer({ min: -2, max: 2 }), fc.constant<JsonValue>([1]))),
        const: value,
        minimum: number,
        maximum: number,
        exclusiveMinimum: number,
        exclusiveMaximum: number,
        multipleOf: fc.constantFrom(0.01, 0.1, 0.25, 0.3, 1, 2, 3),
        minLength: count,
        maxLength: count,
        properties: fc.dictionary(name, tie('inner'), { maxKeys: 3 }).map((members) => ({ ...members })),
        required: fc.uniqueArray(name, { maxLength: 2 }),
        additionalProperties: tie('inner'),
        items: tie('inner'),
        minItems: count,
        maxItems: count,
      },
      { requiredKeys: [] },
    )
    // Few keywords at once, so that many values fit.
    .chain((all) => {
      const entries = Object.entries(all);
      return fc.subarray(entries, { maxLength: Math.min(4, entries.length) }).map((some) => Object.fromEntries(some));
    }),
}));

const oracle = new Ajv2020({
  strict: false,
  ownProperties: true,
  multipleOfPrecision: 9,
  validateSchema: false,
  addUsedSchema: false,
  logger: false,
});

/** Says whether a value has a number of so many digits that the oracle's division rounds it. */
const isBeyondOracle = (json: JsonValue): boolean =>
  typeof json === 'number'
    ? Math.abs(json) > 1e9
    : json !== null && typeof json === 'object' && Object.values(json).some(isBeyondOracle);

/** The seed of the values; each run draws those of the schemas again. */
const SEED = 20_261_129;

test('a value fits a contract exactly where ajv says so', () => {
  // Drawing a value takes longer than checking it: each schema gets the values of another part of one list.
  const perSchema = rounds(20, 500);
  const values = fc.sample(value, { numRuns: rounds(500, 20_000), seed: SEED });
  let fitting = 0;
  let checked = 0;
  fc.assert(
    fc.property(schema, fc.integer({ min: 0, max: values.length - perSchema }), (schema, from) => {
      // A schema that nests deeper than allowed does not arise at this depth.
      const contract = readValueContract(JSON.parse(JSON.stringify(schema)), 'schema');
      const fits = oracle.compile(schema);
      const hasSteps = JSON.stringify(schema).includes('multipleOf');
      for (const each of values.slice(from, from + perSchema)) {
        if (hasSteps && isBeyondOracle(each)) continue;
        const ours = contract.faultOf(each) === null;
        checked += 1;
        if (ours) fitting += 1;
        if (ours !== fits(each)) throw new Error(`${JSON.stringify(schema)} on ${JSON.stringify(each)}: ours ${ours}`);
      }
    }),
    { numRuns: rounds(40, 2_000) },
  );
  // The random schemas are neither too strict nor too lax to show anything.
  expect(fitting).toBeGreaterThan(checked / 20);
  expect(fitting).toBeLessThan(checked - checked / 20);
}, 600_000);

test('a number is a multiple of another exactly where whole numbers of their last decimal say so', () => {
  const decimals = fc.integer({ min: 0, max: 6 });
  const whole = fc.integer({ min: -1_000_000, max: 1_000_000 });
  fc.assert(
    fc.property(whole, decimals, fc.integer({ min: 1, max: 5_000 }), decimals, (a, b, c, d) => {
      const [value, step] = [Number(`${a}e-${b}`), Number(`${c}e-${d}`)];
      const expected = (BigInt(a) * 10n ** BigInt(6 - b)) % (BigInt(c) * 10n ** BigInt(6 - d)) === 0n;
      return isMultipleOf(value, step) === expected;
    }),
    { numRuns: rounds(500, 20_000) },
  );
});

test('reading any JSON as a schema, and checking any JSON, ends with an answer', () => {
  const key = fc.constantFrom(
    'type',
    'enum',
    'const',
    'minimum',
    'multipleOf',
    'properties',
    'required',
    'items',
    '__proto__',
    'maxItems',
  );
  const { any } = fc.letrec<{ any: unknown }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      scalar,
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(key, tie('any'), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(any, fc.jsonValue(), (schema, json) => {
      try {
        expect([null, expect.any(String)]).toContainEqual(readValueContract(schema, 's').faultOf(json)?.path ?? null);
      } catch (error) {
        expect(error).toHaveProperty('details.field', expect.stringMatching(/^s/));
      }
    }),
    { numRuns: rounds(500, 10_000) },
  );
});
