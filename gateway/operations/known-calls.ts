/**
 * Calls of API keys that have passed steps 1 and 3 to 6 of the pipeline before. When one is repeated, it remains to
 * check that the key and the operation have not changed. Source: docs/decisions/api/answers-by-revision.md.
 */
import type { ApiKeyCaller, ApiKeyRole } from '../../core/access/caller.ts';
import type { ApiKeyDirectory } from '../credentials/api-key-directory.ts';
import type { GovernedCall } from './answers/revision-answers.ts';
import type { OperationText, OperationTexts } from './persisted-operations/operation-texts.ts';

/** A governed call, with what its steps have found. */
export interface KnownCall {
  /** The SHA-256 of the API key, hexadecimal. */
  readonly credential: string;
  /** The role of the key at that time: it decides what the key may run and see. */
  readonly role: ApiKeyRole;
  /** The operation as the registry gave it, with the keys that it is bound to. */
  readonly operation: OperationText;
  readonly call: GovernedCall;
}

/** The sources by which a known call is checked. */
export interface KnownCallSources {
  readonly apiKeys: Pick<ApiKeyDirectory, 'known'>;
  readonly registered: Pick<OperationTexts, 'isBelieved'>;
}

/**
 * Gives the caller of a known call, as its steps would find it now. Null where one of them would need a request or
 * could end otherwise: the key is not cached or has ended, its role has changed, or the registry's answer about the
 * keys of the operation is too old.
 */
export function callerOf(known: KnownCall, { apiKeys, registered }: KnownCallSources): ApiKeyCaller | null {
  const key = apiKeys.known(known.credential);
  if (key === null || key.role !== known.role || !registered.isBelieved(known.operation)) return null;
  return { kind: 'apiKey', apiKeyId: key.id, role: key.role, rateLimitPerMin: key.rateLimitPerMin };
}
