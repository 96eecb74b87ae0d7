import canonicalizeModule from 'canonicalize';

// oxlint-disable-next-line typescript/consistent-type-assertions -- a CommonJS package: Node gives its function, TypeScript sees a module
const canonicalize = canonicalizeModule as never as (value: unknown) => string | undefined;

/**
 * Writes a JSON value as canonical JSON (RFC 8785, JCS), in which the order of members does not matter.
 *
 * @throws Error for a number that JSON cannot carry
 */
export function canonicalJson(value: unknown): string {
  return canonicalize(value) ?? 'null';
}
