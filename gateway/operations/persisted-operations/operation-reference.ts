/**
 * Reads which persisted operation a request names: by `documentId` (GraphQL over HTTP, "Persisted Documents"), by `id`,
 * which means the same, or by Apollo's `extensions.persistedQuery`.
 */
import { badInput } from '../../../core/errors.ts';
import { membersOf } from '../../../core/json/json-value.ts';

/** The members of a request that may name an operation, not yet checked: over HTTP, or in a subscribe message. */
export interface NamingRequest {
  readonly query?: unknown;
  readonly id?: unknown;
  readonly documentId?: unknown;
  readonly extensions?: unknown;
}

/** The members that a client may send in place of a text. */
export const NAMING_MEMBERS = ['id', 'documentId', 'extensions'] as const;

/**
 * The name of a persisted operation. An id that has the form of a SHA-256 is always that of its text (subgraphs/audit
 * checks this in manifests), so it is looked up as a SHA-256.
 */
export type OperationName = { readonly id: string } | { readonly sha256: string };

/** A name, and the path of the member of the request that holds it. */
export type OperationReference = OperationName & { readonly field: string };

const ID = /^[\x21-\x7e]{1,128}$/;
const SHA256 = /^[0-9a-f]{64}$/i;
/** The prefix with which the specification writes an id that is a text's SHA-256. */
const PREFIX = 'sha256:';

/**
 * Reads the name of the operation.
 *
 * @returns null where the request names none
 * @throws BAD_USER_INPUT for a name that no operation can have
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

/** Reads the name in Apollo's form. Source: https://www.apollographql.com/docs/apollo-server/performance/apq#verify */
function apolloReference(persistedQuery: unknown): OperationReference {
  const { version, sha256Hash } = membersOf(persistedQuery);
  if (version !== 1) throw badInput('extensions.persistedQuery.version', 'Expected version 1.');
  const field = 'extensions.persistedQuery.sha256Hash';
  if (typeof sha256Hash !== 'string' || !SHA256.test(sha256Hash))
    throw badInput(field, 'A SHA-256 must have 64 hexadecimal digits.');
  return { sha256: sha256Hash.toLowerCase(), field };
}
