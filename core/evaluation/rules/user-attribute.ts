/**
 * "user_attribute: `{"attribute": "subscription", "operator": "in", "values": ["premium"]}` or `{"all": [ … ]}`;
 * operators eq, ne, in, not_in, lt, lte, gt, gte, contains, starts_with, ends_with, semver, exists. A missing
 * attribute matches nothing (except `exists: false`)." (design.md)
 */
import { badInput } from '../../errors.ts';
import type { JsonObject } from '../../model.ts';
import {
  readBoolean,
  readList,
  readNonBlank,
  readObject,
  readOptional,
  readRequired,
  type Matcher,
} from './condition-fields.ts';
import { isJsonObject } from '../../json/json-value.ts';
import { OPERATORS, compileOperator, type AttributeTest } from './attribute-operators.ts';

const MAX_COMPARISONS = 100;

/** One comparison of an attribute. */
export interface AttributeComparison {
  /** A key of the context's `attributes`. It is taken literally: a dot does not lead into an object. */
  readonly attribute: string;
  /** The test of the attribute's value; null where the attribute must be missing. */
  readonly test: AttributeTest | null;
}

function readOperator(value: unknown, path: string): string {
  if (typeof value !== 'string' || !OPERATORS.includes(value))
    throw badInput(path, `Unknown operator; expected one of ${OPERATORS.join(', ')}.`);
  return value;
}

const isPresent: AttributeTest = () => true;

/**
 * Parses `exists` as an operator: `{"operator": "exists"}` means true, and `"values": [true]` or `[false]` may follow.
 * The short form `{"exists": false}` is read by `parseComparison`.
 */
function parseExists(object: JsonObject, path: string): AttributeTest | null {
  const values = readOptional(object, 'values', path, (value, at) => readList(value, at, readBoolean));
  if (values !== undefined && values.size > 1)
    throw badInput(`${path}.values`, '`exists` requires one value: true or false.');
  return values?.has(false) === true ? null : isPresent;
}

function parseComparison(value: unknown, path: string): AttributeComparison {
  if (isJsonObject(value) && Object.hasOwn(value, 'exists')) {
    const object = readObject(value, path, ['attribute', 'exists']);
    const attribute = readRequired(object, 'attribute', path, readNonBlank);
    return { attribute, test: readRequired(object, 'exists', path, readBoolean) ? isPresent : null };
  }
  const object = readObject(value, path, ['attribute', 'operator', 'values']);
  const attribute = readRequired(object, 'attribute', path, readNonBlank);
  const operator = readRequired(object, 'operator', path, readOperator);
  if (operator === 'exists') return { attribute, test: parseExists(object, path) };
  return {
    attribute,
    test: readRequired(object, 'values', path, (values, at) => compileOperator(operator, values, at)),
  };
}

/**
 * Parses the conditions of a user_attribute rule.
 *
 * @param conditions one comparison, or `{"all": [comparison, …]}` with 1 to 100 of them, all of which must hold
 * @returns the comparisons, ready to run
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function parseUserAttribute(conditions: unknown, path: string): readonly AttributeComparison[] {
  if (!isJsonObject(conditions) || !Object.hasOwn(conditions, 'all')) return [parseComparison(conditions, path)];
  const object = readObject(conditions, path, ['all']);
  return [...readRequired(object, 'all', path, (value, at) => readList(value, at, parseComparison, MAX_COMPARISONS))];
}

const NO_ATTRIBUTES: JsonObject = {};

/** Says whether a comparison holds for a context's attributes. */
export function comparisonHolds({ attribute, test }: AttributeComparison, attributes: JsonObject): boolean {
  // Inherited keys do not count: no user has an attribute called `constructor`.
  const value = Object.hasOwn(attributes, attribute) ? (attributes[attribute] ?? null) : null;
  return value === null || test === null ? value === test : test(value);
}

/** Compiles comparisons to a matcher; all of them must hold. */
export function compileUserAttribute(comparisons: readonly AttributeComparison[]): Matcher {
  return ({ attributes }) => {
    const known = isJsonObject(attributes) ? attributes : NO_ATTRIBUTES;
    for (const comparison of comparisons) if (!comparisonHolds(comparison, known)) return false;
    return true;
  };
}
