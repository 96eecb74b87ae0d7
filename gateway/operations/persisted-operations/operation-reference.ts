/**
 * Which persisted operation a request names, in any of the ways that it may: by `documentId` (GraphQL over HTTP,
 * "Persisted Documents"), by `id`, which is the same, or by Apollo's `extensions.persistedQuery`.
 */
import { badInput } from '../../../core/errors.ts';
import { membersOf } from '../../../core/json/json-value.ts';

/** The members of a request that matter here, as they came: over HTTP, or in a subscribe message. */
export interface NamingRequest {
  readonly query?: unknown;
  readonly id?: unknown;
  readonly documentId?: unknown;
  readonly extensions?: unknown;
}

/** Those of them that a client may send in place of a text. */
export const NAMING_MEMBERS = ['id', 'documentId', 'extensions'] as const;

/**
 * An id that looks like a SHA-256 always is the text's (subgraphs/audit holds manifests to that), so it is looked up as
 * one.
 */
export type OperationName = { readonly id: string } | { readonly sha256: string };

/** A name, and where in the request it stands. */
export type OperationReference = OperationName & { readonly field: string };

const ID = /^[\x21-\x7e]{1,128}$/;
const SHA256 = /^[0-9a-f]{64}$/i;
/** As the specification writes the id that is a text's SHA-256. */
const PREFIX = 'sha256:';

/**
 * @returns null where the request names none
 * @throws BAD_USER_INPUT for what no operation can be called, before anybody is asked
 */
export function referenceIn({ id, documentId, extensions }: NamingRequest): OperationReference | null {
  const { persistedQuery } = membersOf(extensions);
  const [named, other] = Object.entries({ id, documentId }).filter(
    ([, value]) => value !== undefined && value !== null,
  );
  if (named === undefined)
    return persistedQuery === undefined || persistedQuery === null ? null : apolloReference(persistedQuery);
  const [field, value] = named;
  if (typeof value !== 'string' || !ID.test(value))
    throw badInput(field, 'An id must have 1 to 128 printable ASCII characters and no space.');
  if (persistedQuery !== undefined || other !== undefined)
    throw badInput(field, 'Name the operation only once: by id, by documentId or by extensions.persistedQuery.');
  const digits = value.startsWith(PREFIX) ? value.slice(PREFIX.length) : value;
  if (SHA256.test(digits)) return { sha256: digits.toLowerCase(), field };
  if (digits !== value) throw badInput(field, 'Expected 64 hexadecimal digits after sha256:.');
  return { id: value, field };
}

/** https://www.apollographql.com/docs/apollo-server/performance/apq#verify */
function apolloReference(persistedQuery: unknown): OperationReference {
  const { version, sha256Hash } = membersOf(persistedQuery);
  if (version !== 1) throw badInput('extensions.persistedQuery.version', 'Expected version 1.');
  const field = 'extensions.persistedQuery.sha256Hash';
  if (typeof sha256Hash !== 'string' || !SHA256.test(sha256Hash))
    throw badInput(field, 'A SHA-256 must have 64 hexadecimal digits.');
  return { sha256: sha256Hash.toLowerCase(), field };
}
