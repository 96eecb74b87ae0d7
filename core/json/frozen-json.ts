import type { JsonValue } from '../model.ts';

/** The depth below which values are not copied. Stored values are far less deep (json-value.ts). */
const MAX_COPIED_DEPTH = 100;

/**
 * Gives a deeply frozen copy, so that no caller can change the value that the next caller gets. Never throws on JSON,
 * however deep it is.
 */
export function frozenJson(value: JsonValue, depth = 0): JsonValue {
  if (typeof value !== 'object' || value === null || depth === MAX_COPIED_DEPTH) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => frozenJson(item, depth + 1));
    Object.freeze(items);
    return items;
  }
  // Object.fromEntries defines members instead of assigning them, so that `__proto__` is a member like any other.
  return Object.freeze(
    Object.fromEntries(Object.entries(value).map(([key, member]) => [key, frozenJson(member, depth + 1)])),
  );
}
