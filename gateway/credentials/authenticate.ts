/** Authenticates a caller by the credentials of an HTTP request or of a websocket's connection_init. */
import { FleetFlagError } from '../../core/errors.ts';
import { apiKeyHash, isApiKey, looksLikeApiKey } from '../../core/credentials/api-key.ts';
import type { Caller, UserCaller } from '../../core/access/caller.ts';
import { isSessionToken, sessionKey } from '../../core/credentials/session.ts';
import type { VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { ApiKeyDirectory } from './api-key-directory.ts';
import type { FailedCredentials } from '../../core/credentials/failed-credentials.ts';
import type { VehicleTokenGenerations } from './vehicle-token-generations.ts';

/**
 * Finds the user of a session token; null when the session is unknown or has ended. Rejects with SERVICE_UNAVAILABLE
 * when sessions cannot be read.
 */
export type FindSession = (token: string) => Promise<{ caller: UserCaller; expiresAt: Date } | null>;

/** The credentials of a request, by the headers that carry them. */
export interface Credentials {
  /** `Bearer <session token or vehicle token>`. */
  readonly authorization?: string | undefined;
  readonly apiKey?: string | undefined;
}

/** The sources by which credentials are checked. */
export interface CredentialSources {
  readonly findSession: FindSession;
  readonly apiKeys: Pick<ApiKeyDirectory, 'known' | 'find'>;
  readonly vehicles: VehicleCredentials;
  readonly failures: FailedCredentials;
}

/** A caller whose credentials were checked. */
export interface Authenticated {
  readonly caller: Caller;
  /** The time at which the credentials expire; null where they do not. */
  readonly expiresAt: Date | null;
  /**
   * The key of a session (core/credentials/session.ts) or the hash of an API key, but never the credential itself. Null
   * for vehicle tokens, which are verified without a look-up, and for the anonymous caller.
   */
  readonly credential: string | null;
}

/** The most characters of a credential: more than any has. Longer ones are refused before they are parsed. */
const MAX_CREDENTIAL = 2_048;

const refused = (message = 'The credentials are not valid.') => new FleetFlagError('UNAUTHENTICATED', message);

const isVehicleToken = (text: string) => /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/.test(text);

/**
 * Gives the refusal of a credential in the wrong header, which names the right one. The form of the credential decides,
 * so nothing is looked up.
 */
function misplaced(credential: string): FleetFlagError {
  if (looksLikeApiKey(credential)) return refused('This is an API key: send it in the header x-api-key.');
  if (isSessionToken(credential))
    return refused('This is a session token: send it in the header authorization, as Bearer <token>.');
  return isVehicleToken(credential)
    ? refused('This is a vehicle token: send it in the header authorization, as Bearer <token>.')
    : refused();
}

/** Reads the credentials in a websocket's connection_init payload, by the names of the HTTP headers in any case. */
export function credentialsOf(payload: Readonly<Record<string, unknown>>): Credentials {
  const entry = (name: string) => {
    const value = Object.entries(payload).find(([key]) => key.toLowerCase() === name)?.[1];
    if (value !== undefined && typeof value !== 'string') throw refused();
    return value;
  };
  return { authorization: entry('authorization'), apiKey: entry('x-api-key') };
}

/** The parts that check vehicle tokens: whether they are genuine, and whether they were revoked. */
export interface VehicleCredentials {
  readonly tokens: Pick<VehicleTokens, 'verify'>;
  readonly generations: Pick<VehicleTokenGenerations, 'admits'>;
}

async function vehicleOf(token: string, { tokens, generations }: VehicleCredentials): Promise<Authenticated> {
  const { caller, expiresAt, generation } = await tokens.verify(token);
  if (!generations.admits(caller.vin, generation)) throw refused();
  return { caller, expiresAt, credential: null };
}

/**
 * Authenticates a caller.
 *
 * @param address the address from which the request comes
 * @returns the caller; the anonymous caller where there are no credentials at all
 * @throws UNAUTHENTICATED for wrong credentials, which never make an anonymous caller. RATE_LIMITED instead where the
 *   address has sent too many wrong ones; SERVICE_UNAVAILABLE when they cannot be looked up
 */
export async function authenticate(
  { authorization, apiKey }: Credentials,
  address: string | null,
  sources: CredentialSources,
): Promise<Authenticated> {
  if (apiKey !== undefined) {
    // With two credentials, the choice of a caller would be a guess.
    if (authorization !== undefined)
      throw refused('Send either authorization or x-api-key, not both: they name two callers.');
    return keyCaller(apiKey, address, sources);
  }
  if (authorization === undefined) return { caller: { kind: 'anonymous' }, expiresAt: null, credential: null };
  const token = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization)?.[1];
  if (token === undefined) throw misplaced(authorization);
  if (token.length > MAX_CREDENTIAL) throw refused();
  if (isVehicleToken(token)) return vehicleOf(token, sources.vehicles);
  if (!isSessionToken(token)) throw misplaced(token);
  const credential = sessionKey(token);
  const session = await sources.failures.lookUp(address, credential, () => sources.findSession(token));
  if (session === null) throw refused();
  return { ...session, credential };
}

async function keyCaller(
  apiKey: string,
  address: string | null,
  { apiKeys, failures }: CredentialSources,
): Promise<Authenticated> {
  if (!isApiKey(apiKey)) throw looksLikeApiKey(apiKey) ? refused() : misplaced(apiKey);
  const credential = apiKeyHash(apiKey);
  // A key that is cached was valid a moment ago: whatever else its address has sent does not affect it.
  const known =
    apiKeys.known(credential) ?? (await failures.lookUp(address, credential, () => apiKeys.find(credential)));
  if (known === null) throw refused();
  const { id, role, rateLimitPerMin, expiresAt } = known;
  return { caller: { kind: 'apiKey', apiKeyId: id, role, rateLimitPerMin }, expiresAt, credential };
}
