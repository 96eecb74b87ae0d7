/**
 * The keywords of value contracts, as JSON Schema 2020-12 defines them
 * (json-schema.org/draft/2020-12/json-schema-validation and -core). Each reads its operand once and gives the check of
 * values.
 */
import { badInput } from '../errors.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import { checkJson, isCount, isJsonObject, isObject, isOneOf, type Members } from '../json/json-value.ts';
import type { JsonObject, JsonValue } from '../model.ts';
import { isMultipleOf } from './multiple-of.ts';
import type { ValueFault } from './value-contract.ts';

/** Gives the first fault of a value at `path`; null where it has none. */
export type ValueCheck = (value: JsonValue, path: string) => ValueFault | null;

/** Reads a schema within another one. */
export type SchemaReader = (schema: unknown, path: string) => ValueCheck;

/**
 * Reads the operand of a keyword.
 *
 * @param path the path of the operand
 * @param schema the schema that has the keyword
 */
type Checker = (operand: unknown, path: string, read: SchemaReader, schema: Members) => ValueCheck;

const TYPES = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer'] as const;
type Type = (typeof TYPES)[number];

/** Joins a path within a value with the name of a member or the index of an item. */
const below = (path: string, name: string | number) => (path === '' ? String(name) : `${path}.${name}`);

function hasType(type: Type, value: JsonValue): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'object':
      return isJsonObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** Gives the check of one kind of values: one that `isOf` accepts and `fits` refuses has the fault `message`. */
const check =
  <T extends JsonValue>(
    isOf: (value: JsonValue) => value is T,
    fits: (value: T) => boolean,
    message: string,
  ): ValueCheck =>
  (value, path) =>
    isOf(value) && !fits(value) ? { path, message } : null;

const isAny = (value: JsonValue): value is JsonValue => value !== undefined;
const isNumber = (value: JsonValue): value is number => typeof value === 'number';
const isString = (value: JsonValue): value is string => typeof value === 'string';
const isArray = (value: JsonValue): value is JsonValue[] => Array.isArray(value);

function readList(operand: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(operand)) throw badInput(path, 'Expected a list.');
  return operand;
}

/** Reads a list whose items must all be different. */
function readDistinct<T>(operand: unknown, path: string, readItem: (item: unknown, path: string) => T): T[] {
  const seen = new Set<T>();
  return readList(operand, path).map((item, index) => {
    const one = readItem(item, `${path}.${index}`);
    if (seen.has(one)) throw badInput(`${path}.${index}`, 'This is listed twice.');
    seen.add(one);
    return one;
  });
}

function readType(operand: unknown, path: string): Type {
  if (!isOneOf(TYPES, operand)) throw badInput(path, `Expected one of ${TYPES.join(', ')}.`);
  return operand;
}

function readName(operand: unknown, path: string): string {
  if (typeof operand !== 'string') throw badInput(path, 'Expected the name of a member.');
  return operand;
}

/** Gives a value in the form in which equal values are the same text: 1 and 1.0, 0 and −0, members in any order. */
function readComparable(operand: unknown, path: string): string {
  checkJson(operand, path);
  return canonicalJson(operand);
}

const type: Checker = (operand, path) => {
  const types = Array.isArray(operand) ? readDistinct(operand, path, readType) : [readType(operand, path)];
  if (types.length === 0) throw badInput(path, 'Expected at least one type.');
  return check(isAny, (value) => types.some((one) => hasType(one, value)), `must be of type ${types.join(' or ')}.`);
};

const oneOf: Checker = (operand, path) => {
  const allowed = new Set(readDistinct(operand, path, readComparable));
  if (allowed.size === 0) throw badInput(path, 'Expected at least one value.');
  return check(isAny, (value) => allowed.has(canonicalJson(value)), 'must be one of the values in enum.');
};

const constant: Checker = (operand, path) => {
  const only = readComparable(operand, path);
  return check(isAny, (value) => canonicalJson(value) === only, 'must be the value of const.');
};

/** Makes a keyword that compares numbers with its operand. */
const bound =
  (fits: (value: number, operand: number) => boolean, must: string): Checker =>
  (operand, path) => {
    if (typeof operand !== 'number' || !Number.isFinite(operand)) throw badInput(path, 'Expected a number.');
    return check(isNumber, (value) => fits(value, operand), `must be ${must} ${operand}.`);
  };

const multipleOf: Checker = (operand, path, read, schema) => {
  if (typeof operand !== 'number' || operand <= 0) throw badInput(path, 'Expected a number greater than 0.');
  return bound(isMultipleOf, 'a multiple of')(operand, path, read, schema);
};

/** Makes a keyword that bounds a count. */
const count =
  <T extends JsonValue>(
    isOf: (value: JsonValue) => value is T,
    fits: (value: T, operand: number) => boolean,
    bounds: string,
    what: string,
  ): Checker =>
  (operand, path) => {
    if (!isCount(operand)) throw badInput(path, 'Expected a whole number of 0 or more.');
    return check(isOf, (value) => fits(value, operand), `must have ${bounds} ${operand} ${what}.`);
  };

/** Counts characters as JSON Schema does: code points. */
function characters(text: string): number {
  let number = 0;
  for (const _ of text) number += 1;
  return number;
}

/** Gives the first fault that some parts of a value or of its schema have; null where none has one. */
export function firstFault<Part>(parts: Iterable<Part>, faultOf: (part: Part) => ValueFault | null): ValueFault | null {
  for (const part of parts) {
    const fault = faultOf(part);
    if (fault !== null) return fault;
  }
  return null;
}

const required: Checker = (operand, path) => {
  const names = readDistinct(operand, path, readName);
  return (value, at) => {
    if (!isJsonObject(value)) return null;
    const missing = names.find((name) => !Object.hasOwn(value, name));
    return missing === undefined ? null : { path: below(at, missing), message: 'must be there.' };
  };
};

const properties: Checker = (operand, path, read) => {
  if (!isObject(operand)) throw badInput(path, 'Expected an object with a schema for each member.');
  const checks = Object.entries(operand).map(([name, schema]) => [name, read(schema, `${path}.${name}`)] as const);
  return (value, at) => {
    if (!isJsonObject(value)) return null;
    return firstFault(checks, ([name, checkMember]) =>
      Object.hasOwn(value, name) ? checkMember(value[name]!, below(at, name)) : null,
    );
  };
};

const additionalProperties: Checker = (operand, path, read, schema) => {
  const checkMember = read(operand, path);
  const named = new Set(isObject(schema['properties']) ? Object.keys(schema['properties']) : []);
  const others = (value: JsonObject) => Object.entries(value).filter(([name]) => !named.has(name));
  return (value, at) => {
    if (!isJsonObject(value)) return null;
    return firstFault(others(value), ([name, member]) => checkMember(member, below(at, name)));
  };
};

const items: Checker = (operand, path, read) => {
  const checkItem = read(operand, path);
  return (value, at) => {
    if (!isArray(value)) return null;
    return firstFault(value.entries(), ([index, item]) => checkItem(item, below(at, index)));
  };
};

/** The keywords, in the order in which a value is checked by them. */
export const CHECKERS: ReadonlyMap<string, Checker> = new Map([
  ['type', type],
  ['enum', oneOf],
  ['const', constant],
  ['minimum', bound((value, limit) => value >= limit, 'at least')],
  ['maximum', bound((value, limit) => value <= limit, 'at most')],
  ['exclusiveMinimum', bound((value, limit) => value > limit, 'greater than')],
  ['exclusiveMaximum', bound((value, limit) => value < limit, 'less than')],
  ['multipleOf', multipleOf],
  ['minLength', count(isString, (value, limit) => characters(value) >= limit, 'at least', 'characters')],
  ['maxLength', count(isString, (value, limit) => characters(value) <= limit, 'at most', 'characters')],
  ['properties', properties],
  ['required', required],
  ['additionalProperties', additionalProperties],
  ['items', items],
  ['minItems', count(isArray, (value, limit) => value.length >= limit, 'at least', 'items')],
  ['maxItems', count(isArray, (value, limit) => value.length <= limit, 'at most', 'items')],
]);

/** The names of the keywords. */
export const KEYWORDS: readonly string[] = [...CHECKERS.keys()];
