/**
 * "Values must fit the flag's type." (design.md) "A flag's value (defaultValue, a rule's value when given) is never
 * null." (api.graphql)
 */
import { badInput } from '../errors.ts';
import { FLAG_TYPES, type FlagType, type JsonValue } from '../model.ts';
import { checkJson, checkJsonSize, isOneOf } from '../json/json-value.ts';

/** Whether `value` fits a flag of `type`: any JSON but null fits `json`; nothing fits a type that is not known. */
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
 * That `value` may be a value of a flag of `type`: a boolean, text, a finite number, or any JSON but null; in all at
 * most 256 KB as JSON.
 *
 * @param path the dotted path that a fault is reported at, such as `input.defaultValue`
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
 * The default value of a stored flag: of a JSON flag that has null, from before that was refused, the empty object,
 * for the server and for vehicles alike.
 */
export function presentDefault(type: unknown, stored: JsonValue): JsonValue {
  return stored === null && type === 'json' ? {} : stored;
}
