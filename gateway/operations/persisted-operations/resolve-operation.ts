/** From the name of a persisted operation to its text, and who may send a text of their own. */
import { createHash } from 'node:crypto';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { ApiKeyCaller, Caller } from '../../../core/access/caller.ts';
import { referenceIn, type NamingRequest, type OperationReference } from './operation-reference.ts';
import { BINDING_AGE, type OperationText, type OperationTexts, type RegisteredOperation } from './operation-texts.ts';
import type { SentTexts } from './sent-texts.ts';

/** Where texts are found by their names. */
export interface OperationSources {
  readonly registered: OperationTexts;
  readonly sent: SentTexts;
  /** The first field with personal data that an operation selects, or null. */
  readonly personal: (operation: OperationText) => string | null;
}

const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');
const required = (message: string) => new FleetFlagError('PERSISTED_QUERY_REQUIRED', message);

/**
 * The text that came beside its own hash, as Apollo's clients send it when the hash is not known, and on websockets
 * always.
 */
function hashedText(query: string, reference: OperationReference): OperationText {
  const { field } = reference;
  if ('id' in reference) throw badInput(field, 'Send the id or the text of an operation, not both.');
  const sha256 = sha256Of(query);
  if (sha256 !== reference.sha256) throw badInput(field, 'This is not the SHA-256 of the text that was sent.');
  return { sha256, body: query };
}

/**
 * The operation that a request names. A person's text beside its hash is remembered, so that the hash alone names it
 * from then on (docs/decisions/sent-texts.md).
 *
 * @returns null where it names none and may be run as it is
 * @throws PERSISTED_QUERY_REQUIRED to an API key that sends a text which is not the registered one of its hash, or no
 * name; UNAUTHENTICATED to nobody, who learns nothing of what is registered; BAD_USER_INPUT. Rejects with
 * PERSISTED_QUERY_NOT_FOUND, PERSISTED_QUERY_REQUIRED or SERVICE_UNAVAILABLE.
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

// The message is what Apollo's clients for other languages look for, who do not read the code.
function found(operation: OperationText | null): OperationText {
  if (operation === null) throw new FleetFlagError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
  return operation;
}

/**
 * The operation that a key may run under this name, or null: what is bound to others is not there for it.
 *
 * @throws FORBIDDEN for one with personal data that is bound to nobody, unless the key is an administrator's
 */
async function ofKey(
  reference: OperationReference,
  { apiKeyId, role }: ApiKeyCaller,
  { registered, personal }: OperationSources,
): Promise<RegisteredOperation | null> {
  const operation = await registered.find(reference, BINDING_AGE);
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

/** The operation of an API key that sends a text beside its hash: the text has to be the registered one. */
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
