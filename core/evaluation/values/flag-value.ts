/**
 * "Values must fit the flag's type." (design.md) "A flag's value (defaultValue, a rule's value when given) is never
 * null." (api.graphql)
 */
import { badInput } from '../../errors.ts';
import { FLAG_TYPES, type FlagType, type JsonValue } from '../../model.ts';
import { checkJson, checkJsonSize, isOneOf } from '../../json/json-value.ts';

/** Says whether `value` fits a flag of `type`. Any JSON but null fits `json`; nothing fits an unknown type. */
export function fitsFlagType(type: unknown, value: unknown): boolean {
  switch (type) {
    case 'json':
      return value !== null;
    case 'number':
      return Number.isFinite(value);
    default:
      return isOneOf(FLAG_TYPES, type) && typeof value === type;
  }
}

/**
 * Checks that `value` may be a value of a flag of `type`: a boolean, a string, a finite number, or any JSON but null.
 * It must have at most 256 KB as JSON.
 *
 * @param path the dotted path at which a fault is reported, such as `input.defaultValue`
 * @returns the value
 * @throws BAD_USER_INPUT, LIMIT_EXCEEDED
 */
export function checkFlagValue(type: FlagType, value: unknown, path: string): JsonValue {
  checkJson(value, path);
  if (!fitsFlagType(type, value))
    throw badInput(
      path,
      value === null ? 'A flag value must not be null.' : `A value of this flag must be of type ${type}.`,
    );
  checkJsonSize(value, path);
  return value;
}

/**
 * Gives the default value of a stored flag, for the server and vehicles alike. Older JSON flags may have null, which is
 * now refused; for them it is the empty object.
 */
export function presentDefault(type: unknown, stored: JsonValue): JsonValue {
  return stored === null && type === 'json' ? {} : stored;
}
