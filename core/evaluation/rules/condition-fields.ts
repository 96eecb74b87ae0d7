/**
 * Reads the members of `conditions`. Each reader gives the value in its type, or throws BAD_USER_INPUT at the value's
 * dotted path.
 */
import { FleetFlagError, badInput } from '../../errors.ts';
import { isPossibleRange, readRange, versionTest, type VersionTest } from '../versions/version-range.ts';
import type { EvaluationContext, JsonObject } from '../../model.ts';
import { isJsonObject } from '../../json/json-value.ts';

/**
 * Decides whether a rule applies. Never throws: the members of `context` may be any JSON, whatever its type says.
 * `nonce` is the agent's string for `sticky: false`, or empty.
 */
export type Matcher = (context: EvaluationContext, nonce: string) => boolean;

/** Reads an object with no other keys than `allowed`. An unknown key is refused: it may have been meant to narrow. */
export function readObject(value: unknown, path: string, allowed: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw badInput(path, 'Expected an object.');
  for (const key of Object.keys(value)) {
    if (!allowed.includes(key)) throw badInput(`${path}.${key}`, `Unknown key; expected one of ${allowed.join(', ')}.`);
  }
  return value;
}

/** Reads the value of a key; undefined when the key is absent. */
export function readOptional<T>(
  object: JsonObject,
  key: string,
  path: string,
  read: (value: unknown, path: string) => T,
): T | undefined {
  return Object.hasOwn(object, key) ? read(object[key], `${path}.${key}`) : undefined;
}

/** Reads the value of a key. An absent key is a fault at the key's own path. */
export function readRequired<T>(
  object: JsonObject,
  key: string,
  path: string,
  read: (value: unknown, path: string) => T,
): T {
  if (!Object.hasOwn(object, key)) throw badInput(`${path}.${key}`, `\`${key}\` is missing.`);
  return read(object[key], `${path}.${key}`);
}

/** Reads true or false. */
export function readBoolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') throw badInput(path, 'Expected true or false.');
  return value;
}

/** Reads text that is not blank, and keeps its blanks. */
export function readNonBlank(value: unknown, path: string): string {
  if (typeof value !== 'string' || value.trim() === '') throw badInput(path, 'Expected a string that is not blank.');
  return value;
}

/**
 * Reads a list of at least one item, without duplicates.
 *
 * @param readItem reads an item, or throws at the item's path (`<path>.<index>`)
 * @param limit the most items that the list may have
 * @throws BAD_USER_INPUT, LIMIT_EXCEEDED
 */
export function readList<T>(
  value: unknown,
  path: string,
  readItem: (value: unknown, path: string) => T,
  limit = 10_000,
): Set<T> {
  if (!Array.isArray(value) || value.length === 0) throw badInput(path, 'Expected a list with at least one item.');
  if (value.length > limit)
    throw new FleetFlagError('LIMIT_EXCEEDED', `This list may have at most ${limit} items.`, { field: path, limit });
  const items = new Set<T>();
  value.forEach((item, index) => {
    const itemPath = `${path}.${index}`;
    const read = readItem(item, itemPath);
    if (items.has(read)) throw badInput(itemPath, 'This item is in the list twice.');
    items.add(read);
  });
  return items;
}

/** Reads a list of models or regions, without the blanks around them. */
export function readNames(value: unknown, path: string): Set<string> {
  return readList(value, path, (item, at) => readNonBlank(item, at).trim());
}

/** Reads an npm-style range that some version can be in; gives the test of versions. */
export function readVersionRange(value: unknown, path: string): VersionTest {
  const range = typeof value === 'string' ? readRange(value) : null;
  if (range === null)
    throw badInput(path, 'Expected a version range such as ">=2.5.0 <3"; no alternative beside "||" may be blank.');
  if (!isPossibleRange(range)) throw badInput(path, 'No version can match this range.');
  return versionTest(range);
}
