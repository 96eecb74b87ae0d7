/**
 * Checks of JSON, and which JSON may be stored. PostgreSQL's JSONB refuses U+0000 and unpaired surrogates, and a deeply
 * nested value would exhaust the stack of the code that serialises it.
 */
import { FleetFlagError, badInput } from '../errors.ts';
import type { JsonObject, JsonValue } from '../model.ts';

export const MAX_JSON_BYTES = 256 * 1024;
export const MAX_JSON_DEPTH = 32;

const UNSTORABLE = /\0|\p{Surrogate}/u;

/** An object whose members may be anything. */
export type Members = Readonly<Record<string, unknown>>;

/** Says whether `value` is an object in JSON's sense: neither null nor a list. */
export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Says whether `value`, which is JSON or undefined, is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return isObject(value);
}

/** Gives the members of an object, and no members for any other value. */
export function membersOf(value: unknown): Members {
  return isObject(value) ? value : {};
}

/** Says whether `value` is a whole number from 0 to 2^53 − 1, which JSON carries exactly. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Says whether `value` is one of `values`. */
export function isOneOf<const T>(values: readonly T[], value: unknown): value is T {
  return values.some((one) => one === value);
}

/** Reads JSON. Throws a SyntaxError where `text` is not JSON. */
export function parseJson(text: string): JsonValue {
  // oxlint-disable-next-line typescript/consistent-type-assertions -- JSON.parse gives nothing else, and does not say so
  return JSON.parse(text) as JsonValue;
}

/** Throws BAD_USER_INPUT at `path` when `text` holds U+0000 or half of a surrogate pair. */
export function checkText(text: string, path: string): void {
  if (UNSTORABLE.test(text)) throw badInput(path, 'A string must be well-formed Unicode without U+0000.');
}

/**
 * Throws BAD_USER_INPUT at `path` for a number that is not finite, and for a whole number greater than 2^53 − 1 or less
 * than −(2^53 − 1), which may have been rounded already.
 */
export function checkNumber(value: number, path: string): void {
  if (!Number.isFinite(value)) throw badInput(path, 'A number must be finite.');
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    throw badInput(
      path,
      'A whole number must be from −(2^53 − 1) to 2^53 − 1, to be stored exactly; send a larger one as a string.',
    );
}

/**
 * Checks that `value` is JSON that can be stored: numbers that `checkNumber` accepts, well-formed text, no member
 * called `__proto__`, at most 32 levels.
 *
 * @throws BAD_USER_INPUT at the dotted path of the first fault
 */
export function checkJson(value: unknown, path: string): asserts value is JsonValue {
  checkJsonAt(value, path, 0);
}

function checkJsonAt(value: unknown, path: string, depth: number): void {
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') return checkText(value, path);
  if (typeof value === 'number') return checkNumber(value, path);
  if (typeof value !== 'object') throw badInput(path, 'A value must be JSON.');
  if (depth === MAX_JSON_DEPTH) throw badInput(path, `A value may be nested at most ${MAX_JSON_DEPTH} levels deep.`);
  for (const [key, member] of Object.entries(value)) {
    checkText(key, path);
    if (key === '__proto__') throw badInput(`${path}.__proto__`, 'An object must not have a member named __proto__.');
    checkJsonAt(member, `${path}.${key}`, depth + 1);
  }
}

/** Throws LIMIT_EXCEEDED at `path` when `value` takes more than 256 KB (262,144 bytes of UTF-8) as JSON. */
export function checkJsonSize(value: JsonValue, path: string): void {
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_JSON_BYTES) {
    throw new FleetFlagError('LIMIT_EXCEEDED', `A value may have at most ${MAX_JSON_BYTES} bytes as JSON.`, {
      field: path,
      limit: MAX_JSON_BYTES,
    });
  }
}
