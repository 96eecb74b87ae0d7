import canonicalizeModule from 'canonicalize';

// A CommonJS package with a default export: Node gives the function, TypeScript sees the module.
const canonicalize = canonicalizeModule as unknown as (value: unknown) => string | undefined;

/**
 * One text for each JSON value, whatever the order of its members: RFC 8785 (JCS).
 *
 * @throws Error for a number that JSON cannot carry
 */
export function canonicalJson(value: unknown): string {
  return canonicalize(value) ?? 'null';
}
