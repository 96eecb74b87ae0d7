import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from '@jest/globals';
import type { FleetFlagError } from '../errors.ts';
import { MAX_SCHEMA_BYTES, readValueContract, validateValueSchema } from './value-contract.ts';

interface Golden {
  readonly schemas: readonly {
    readonly schema: unknown;
    readonly cases: readonly { readonly value: unknown; readonly fault: string | null }[];
  }[];
  readonly refused: readonly { readonly schema: unknown; readonly fault: string }[];
}

const golden = JSON.parse(readFileSync(new URL('../golden/value-contracts.json', import.meta.url), 'utf8')) as Golden;

const fault = (schema: unknown, value: unknown) => readValueContract(schema, 's').faultOf(value);

function refusal(schema: unknown): Pick<FleetFlagError, 'code' | 'details'> | null {
  try {
    readValueContract(schema, 's');
    return null;
  } catch (error) {
    return error as FleetFlagError;
  }
}

/** Nests a value as deeply as asked. */
function nested(depth: number, wrap: (inner: unknown) => unknown, inner: unknown): unknown {
  let value = inner;
  for (let level = 0; level < depth; level++) value = wrap(value);
  return value;
}

describe('golden cases of value contracts', () => {
  const cases = golden.schemas.flatMap(({ schema, cases }) => cases.map((each) => ({ schema, ...each })));

  test.each(cases)('$schema on $value: $fault', ({ schema, value, fault: path }) => {
    expect(fault(schema, value)?.path ?? null).toBe(path);
  });

  test.each(golden.refused)('$schema is refused at $fault', ({ schema, fault: path }) => {
    const error = refusal(schema);
    expect(['BAD_USER_INPUT', 'LIMIT_EXCEEDED']).toContain(error?.code);
    expect(error?.details.field).toBe(path === '' ? 's' : `s.${path}`);
  });
});

describe('a schema', () => {
  it('may have 16,384 bytes as canonical JSON, blanks and order not counted, and no more', () => {
    const ofBytes = (bytes: number) => ({ const: 'x'.repeat(bytes - '{"const":""}'.length) });
    expect(refusal(ofBytes(MAX_SCHEMA_BYTES))).toBeNull();
    expect(refusal(ofBytes(MAX_SCHEMA_BYTES + 1))).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      details: { field: 's', limit: MAX_SCHEMA_BYTES },
    });
    expect(refusal({ const: 'é'.repeat(MAX_SCHEMA_BYTES / 2) })).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it.each([11, 100_000])('of %d schemas within each other is refused, however it is nested', (depth) => {
    for (const wrap of [
      (inner: unknown) => ({ items: inner }),
      (inner: unknown) => ({ properties: { a: inner } }),
      (inner: unknown) => ({ additionalProperties: inner }),
    ])
      expect(refusal(nested(depth, wrap, {}))).toMatchObject({ code: 'LIMIT_EXCEEDED', details: { limit: 10 } });
  });

  it('with a constant that is nested too deeply, or that JSON does not have, is refused', () => {
    const deep = nested(100_000, (inner) => [inner], 1);
    for (const schema of [{ const: deep }, { enum: [deep] }, { const: Infinity }, { const: '\0' }, { const: '\ud800' }])
      expect(refusal(schema)?.code).toBe('BAD_USER_INPUT');
    expect(refusal(JSON.parse('{"multipleOf": 1e400}'))?.details.field).toBe('s.multipleOf');
    expect(refusal(JSON.parse('{"minimum": -1e400}'))?.details.field).toBe('s.minimum');
  });

  it('cannot name members that would change what objects are', () => {
    expect(refusal(JSON.parse('{"properties": {"__proto__": {"type": "string"}}}'))?.code).toBe('BAD_USER_INPUT');
    expect(refusal(JSON.parse('{"__proto__": {"type": "string"}}'))?.details.field).toBe('s.__proto__');
    expect(refusal(JSON.parse('{"const": {"__proto__": 1}}'))?.code).toBe('BAD_USER_INPUT');
  });

  it('is stored as it was written, and none where it is null or absent', () => {
    const schema = { type: 'integer' };
    expect(validateValueSchema(schema, 's')).toBe(schema);
    expect(validateValueSchema(null, 's')).toBeNull();
    expect(validateValueSchema(undefined, 's')).toBeNull();
  });
});

describe('a value', () => {
  it('that is no JSON, or nested more than 32 levels deep, fits no contract', () => {
    for (const value of [undefined, NaN, Infinity, () => 1, nested(100_000, (inner) => [inner], 1)])
      expect(fault({}, value)).toEqual({ path: '', message: 'must be JSON.' });
    expect(fault({}, JSON.parse('[1e400]'))).not.toBeNull();
    expect(
      fault(
        {},
        nested(32, (inner) => [inner], 1),
      ),
    ).toBeNull();
    expect(
      fault(
        {},
        nested(33, (inner) => [inner], 1),
      ),
    ).not.toBeNull();
  });

  it('has the members that it has itself, and no inherited ones', () => {
    const proto = JSON.parse('{"__proto__": {"a": 1}}') as unknown;
    expect(fault({ required: ['a'] }, proto)?.path).toBe('a');
    expect(fault({ additionalProperties: false }, proto)?.path).toBe('__proto__');
    expect(fault({ required: ['__proto__'] }, {})?.path).toBe('__proto__');
    expect(fault({ const: {} }, proto)).not.toBeNull();
    expect(Object.prototype).not.toHaveProperty('a');
  });

  it('of 256 KB is checked in a time that grows with its size', () => {
    const names = Array.from({ length: 500 }, (_, index) => `n${index}`);
    const schema = { items: { required: names, properties: { n0: { enum: names } }, additionalProperties: true } };
    const item = Object.fromEntries(names.map((name) => [name, 'n1']));
    expect(
      fault(
        schema,
        Array.from({ length: 60 }, () => item),
      ),
    ).toBeNull();
    expect(fault({ maxLength: 262_144 }, 'x'.repeat(262_145))).not.toBeNull();
  });

  it('outside its contract is explained', () => {
    expect(fault({ multipleOf: 0.1 }, 0.25)?.message).toBe('must be a multiple of 0.1.');
    expect(fault({ type: ['string', 'null'] }, 1)?.message).toBe('must be of type string or null.');
    expect(fault({ properties: { a: false } }, { a: 1 })).toEqual({ path: 'a', message: 'must not be there.' });
    expect(fault({ required: ['a'] }, {})).toEqual({ path: 'a', message: 'must be there.' });
    expect(fault({ minItems: 2 }, [1])?.message).toBe('must have at least 2 items.');
  });
});
