/** Reads of JSON whose form the schema does not say: values of flags, conditions of rules, entries of the audit log. */

export type JsonMembers = Readonly<Record<string, unknown>>;

/** Says whether a value is a JSON object; lists and null are none. */
export function isMembers(value: unknown): value is JsonMembers {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Gives the members of an object; of anything else, none. */
export const membersOf = (value: unknown): JsonMembers => (isMembers(value) ? value : {});

/** Gives the items of a list; of anything else, none. */
export const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Gives the strings of a list. */
export const stringsOf = (value: unknown): readonly string[] =>
  itemsOf(value).flatMap((item) => (typeof item === 'string' ? [item] : []));

/** Gives the text of a table at `key`; without one, undefined. The table's own members alone count. */
export function textAt(table: Readonly<Record<string, string>>, key: unknown): string | undefined {
  return typeof key === 'string' && Object.hasOwn(table, key) ? table[key] : undefined;
}

/** Gives JSON as people read it in one line. */
export function jsonText(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}

/** Compares two values as JSON does not: members may stand in any order. */
export function isSameJson(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) || Array.isArray(other)) {
    const [left, right] = [itemsOf(one), itemsOf(other)];
    return (
      Array.isArray(one) === Array.isArray(other) &&
      left.length === right.length &&
      left.every((item, index) => isSameJson(item, right[index]))
    );
  }
  if (!isMembers(one) || !isMembers(other)) return one === other;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => isSameJson(one[name], other[name]));
}
