import type { JsonValue } from '../model.ts';

/** What may be stored is far less deep (`rules/json.ts`); below this, values are passed on as they are. */
const MAX_COPIED_DEPTH = 100;

/**
 * A deeply frozen copy: whoever gets an evaluation cannot change what the next one gets. Never throws on JSON,
 * however deep.
 */
export function frozenJson(value: JsonValue, depth = 0): JsonValue {
  if (typeof value !== 'object' || value === null || depth === MAX_COPIED_DEPTH) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => frozenJson(item, depth + 1));
    Object.freeze(items);
    return items;
  }
  // Object.fromEntries defines members, so that `__proto__` is a member like any other.
  return Object.freeze(
    Object.fromEntries(Object.entries(value).map(([key, member]) => [key, frozenJson(member, depth + 1)])),
  );
}
