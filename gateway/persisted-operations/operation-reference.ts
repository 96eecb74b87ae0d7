/** Which persisted operation a request names, in any of the ways that it may: its `id`, or Apollo's `extensions.persistedQuery`. */
import { badInput } from '../../core/errors.ts';

/** The members of a request that matter here, as they came: over HTTP, or in a subscribe message. */
export interface NamingRequest {
  readonly query?: unknown;
  readonly id?: unknown;
  readonly extensions?: unknown;
}

/** An id that looks like a SHA-256 always is the text's (subgraphs/audit holds manifests to that), so it is looked up as one. */
export type OperationReference = { readonly id: string } | { readonly sha256: string };

const ID = /^[\x21-\x7e]{1,128}$/;
const SHA256 = /^[0-9a-f]{64}$/i;

/**
 * @returns null where the request names none
 * @throws BAD_USER_INPUT for what no operation can be called, before anybody is asked
 */
export function referenceIn({ id, extensions }: NamingRequest): OperationReference | null {
  const persistedQuery = typeof extensions === 'object' && extensions !== null ? (extensions as Record<string, unknown>)['persistedQuery'] : undefined;
  if (id === undefined || id === null) return persistedQuery === undefined || persistedQuery === null ? null : apolloReference(persistedQuery);
  if (typeof id !== 'string' || !ID.test(id)) throw badInput('id', 'An id has 1 to 128 printable ASCII characters and no space.');
  if (persistedQuery !== undefined) throw badInput('id', 'Name the operation once: by id or by extensions.persistedQuery.');
  return SHA256.test(id) ? { sha256: id.toLowerCase() } : { id };
}

/** https://www.apollographql.com/docs/apollo-server/performance/apq#verify */
function apolloReference(persistedQuery: unknown): OperationReference {
  const { version, sha256Hash } = (typeof persistedQuery === 'object' ? persistedQuery : {}) as Record<string, unknown>;
  if (version !== 1) throw badInput('extensions.persistedQuery.version', 'The version is 1.');
  if (typeof sha256Hash !== 'string' || !SHA256.test(sha256Hash)) throw badInput('extensions.persistedQuery.sha256Hash', 'A SHA-256 has 64 hexadecimal digits.');
  return { sha256: sha256Hash.toLowerCase() };
}
