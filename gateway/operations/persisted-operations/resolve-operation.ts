/** Resolves the name of a persisted operation to its text, and decides who may send a text of their own. */
import { createHash } from 'node:crypto';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { ApiKeyCaller, Caller } from '../../../core/access/caller.ts';
import { referenceIn, type NamingRequest, type OperationReference } from './operation-reference.ts';
import {
  BINDING_TTL_MS,
  type OperationText,
  type OperationTexts,
  type RegisteredOperation,
} from './operation-texts.ts';
import type { SentTexts } from './sent-texts.ts';

/** The sources in which texts are found by their names. */
export interface OperationSources {
  readonly registered: OperationTexts;
  readonly sent: SentTexts;
  /** Gives the first field with personal data that an operation selects, or null. */
  readonly personal: (operation: OperationText) => string | null;
}

const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');
const required = (message: string) => new FleetFlagError('PERSISTED_QUERY_REQUIRED', message);

/**
 * Gives the text that came with its own hash. Apollo's clients send both when the gateway does not know the hash, and
 * on websockets always.
 */
function hashedText(query: string, reference: OperationReference): OperationText {
  const { field } = reference;
  if ('id' in reference) throw badInput(field, 'Send the id or the text of an operation, not both.');
  // Half a surrogate pair is hashed, and read from a URL, as U+FFFD: the hash would name two texts.
  if (/\p{Surrogate}/u.test(query)) throw badInput('query', 'The text must be well-formed Unicode.');
  const sha256 = sha256Of(query);
  if (sha256 !== reference.sha256) throw badInput(field, 'Expected the SHA-256 of the text that was sent.');
  return { sha256, body: query };
}

/**
 * Finds the operation that a request names. A text that a person sends with its hash is remembered, so that the hash
 * alone names it from then on (docs/decisions/api/sent-texts.md).
 *
 * @returns null where it names none and may be run as it is
 * @throws PERSISTED_QUERY_REQUIRED to an API key that names no operation, or sends a text that is not registered
 *   under its hash; UNAUTHENTICATED to an anonymous caller, who must not learn what is registered; BAD_USER_INPUT.
 *   Rejects with PERSISTED_QUERY_NOT_FOUND, PERSISTED_QUERY_REQUIRED or SERVICE_UNAVAILABLE.
 */
export function resolveOperation(
  request: NamingRequest,
  caller: Caller,
  sources: OperationSources,
): Promise<OperationText> | null {
  const { registered, sent } = sources;
  const { query } = request;
  const hasText = query !== undefined && query !== null && query !== '';
  if (caller.kind === 'apiKey' && hasText) return registeredText(request, caller, sources);
  const reference = referenceIn(request);
  if (reference === null) {
    if (caller.kind === 'apiKey') throw required('An API key may run only registered operations: send the id of one.');
    return null;
  }
  if (caller.kind === 'anonymous') throw new FleetFlagError('UNAUTHENTICATED', 'Sign in to run persisted operations.');
  if (typeof query === 'string' && hasText) {
    const text = hashedText(query, reference);
    if (caller.kind === 'user') sent.remember(text);
    return Promise.resolve(text);
  }
  if (caller.kind === 'apiKey') return ofKey(reference, caller, sources).then(found);
  const remembered = caller.kind === 'user' && 'sha256' in reference ? sent.find(reference.sha256) : undefined;
  return remembered === undefined ? registered.find(reference).then(found) : Promise.resolve(remembered);
}

// Apollo's clients for other languages read the message, and not the code.
function found(operation: OperationText | null): OperationText {
  if (operation === null) throw new FleetFlagError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
  return operation;
}

/**
 * Finds the operation that a key may run under this name, or null. An operation that is bound to other keys is not
 * found.
 *
 * @throws FORBIDDEN for an operation with personal data that is bound to no key, unless the key is an administrator's
 */
async function ofKey(
  reference: OperationReference,
  { apiKeyId, role }: ApiKeyCaller,
  { registered, personal }: OperationSources,
): Promise<RegisteredOperation | null> {
  const operation = await registered.find(reference, BINDING_TTL_MS);
  if (operation === null) return null;
  if (operation.apiKeys !== null) return apiKeyId !== null && operation.apiKeys.includes(apiKeyId) ? operation : null;
  const field = role === 'ADMIN' ? null : personal(operation);
  if (field !== null)
    throw new FleetFlagError(
      'FORBIDDEN',
      `This operation reads ${field}, which is personal data: an API key may run it only if the operation is bound to that key.`,
    );
  return operation;
}

/** Finds the operation of an API key that sends a text with its hash: the text must be the registered one. */
function registeredText(
  { query, ...naming }: NamingRequest,
  caller: ApiKeyCaller,
  sources: OperationSources,
): Promise<OperationText> {
  const reference = typeof query === 'string' ? referenceIn(naming) : null;
  if (typeof query !== 'string' || reference === null || 'id' in reference || sha256Of(query) !== reference.sha256) {
    throw required('An API key may run only registered operations: send the id without a text.');
  }
  return ofKey(reference, caller, sources).then((operation) => {
    if (operation === null)
      throw required('An API key may run only registered operations, and this text is not registered.');
    return operation;
  });
}
