/** "Values must fit the flag's type." (design.md) */
import { badInput } from '../errors.ts';
import { FLAG_TYPES, type FlagType, type JsonValue } from '../model.ts';
import { checkJson, checkJsonSize } from './json.ts';

/** Whether `value` fits a flag of `type`: any JSON, null too, fits `json`; nothing fits a type that is not known. */
export function fitsFlagType(type: FlagType, value: JsonValue): boolean {
  switch (type) {
    case 'json':
      return true;
    case 'number':
      return Number.isFinite(value);
    default:
      return FLAG_TYPES.includes(type) && typeof value === type;
  }
}

/**
 * That `value` may be a value of a flag of `type`: a boolean, text, a finite number, or any JSON; in all at most
 * 256 KB as JSON.
 *
 * @param path the dotted path that a fault is reported at, such as `input.defaultValue`
 * @returns the value
 * @throws BAD_USER_INPUT, LIMIT_EXCEEDED
 */
export function checkFlagValue(type: FlagType, value: unknown, path: string): JsonValue {
  checkJson(value, path);
  if (!fitsFlagType(type, value)) throw badInput(path, `A value of this flag must be of type ${type}.`);
  checkJsonSize(value, path);
  return value;
}
