/** From the name of a persisted operation to its text, and who may send a text of their own. */
import { createHash } from 'node:crypto';
import { FleetFlagError, badInput } from '../../core/errors.ts';
import type { Caller } from '../../core/protocol/caller.ts';
import { referenceIn, type NamingRequest, type OperationReference } from './operation-reference.ts';
import type { OperationText, OperationTexts } from './operation-texts.ts';

const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');

/** Apollo's clients that send a hash first send the text beside it when the hash is not known. */
function hashedText(query: string, reference: OperationReference): OperationText {
  if ('id' in reference) throw badInput('id', 'Give the id or the text of an operation, not both.');
  const sha256 = sha256Of(query);
  if (sha256 !== reference.sha256) throw badInput('extensions.persistedQuery.sha256Hash', "This is not the text's SHA-256.");
  return { sha256, body: query };
}

/**
 * The operation that a request names.
 *
 * @returns null where it names none and may be run as it is
 * @throws PERSISTED_QUERY_REQUIRED to an API key that sends a text, or no name; UNAUTHENTICATED to nobody, who learns
 * nothing of what is registered; BAD_USER_INPUT. Rejects with PERSISTED_QUERY_NOT_FOUND or SERVICE_UNAVAILABLE.
 */
export function resolveOperation(request: NamingRequest, caller: Caller, texts: OperationTexts): Promise<OperationText> | null {
  const { query } = request;
  const hasText = query !== undefined && query !== null && query !== '';
  if (caller.kind === 'apiKey' && hasText) throw new FleetFlagError('PERSISTED_QUERY_REQUIRED', 'An API key may run registered operations only: send the id, without a text.');
  const reference = referenceIn(request);
  if (reference === null) {
    if (caller.kind === 'apiKey') throw new FleetFlagError('PERSISTED_QUERY_REQUIRED', 'An API key may run registered operations only: send the id of one.');
    return null;
  }
  if (caller.kind === 'nobody') throw new FleetFlagError('UNAUTHENTICATED', 'Sign in to run persisted operations.');
  if (typeof query === 'string' && hasText) return Promise.resolve(hashedText(query, reference));
  return lookUp(reference, texts);
}

async function lookUp(reference: OperationReference, texts: OperationTexts): Promise<OperationText> {
  const found = await texts.find(reference);
  // The message is what Apollo's clients for other languages look for, who do not read the code.
  if (found === null) throw new FleetFlagError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
  return found;
}
