/** Who is calling: from the credentials of an HTTP request or of a websocket's connection_init to a `Caller`. */
import { FleetFlagError } from '../../core/errors.ts';
import { apiKeyHash, isApiKey, looksLikeApiKey } from '../../core/credentials/api-key.ts';
import type { Caller, UserCaller } from '../../core/access/caller.ts';
import { isSessionToken, sessionKey } from '../../core/credentials/session.ts';
import type { VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { ApiKeyDirectory } from './api-key-directory.ts';
import type { FailedCredentials } from './failed-credentials.ts';
import type { VehicleTokenGenerations } from './vehicle-token-generations.ts';

/**
 * Finds a user by session token; null when it is unknown or over. Rejects with SERVICE_UNAVAILABLE when sessions cannot
 * be read.
 */
export type FindSession = (token: string) => Promise<{ caller: UserCaller; expiresAt: Date } | null>;

export interface Credentials {
  /** `Bearer <session token or vehicle token>`. */
  readonly authorization?: string | undefined;
  readonly apiKey?: string | undefined;
}

/** Where credentials are looked up. */
export interface CredentialSources {
  readonly findSession: FindSession;
  readonly apiKeys: Pick<ApiKeyDirectory, 'find'>;
  readonly vehicles: VehicleCredentials;
  readonly failures: FailedCredentials;
}

export interface Authenticated {
  readonly caller: Caller;
  /** When the credentials end by themselves. */
  readonly expiresAt: Date | null;
  /**
   * The key of a session (core/credentials/session.ts), or an API key's hash; never the credential itself. Null for what
   * is not looked up.
   */
  readonly credential: string | null;
}

/** Longer than any credential of ours: what is longer is refused before it is looked at. */
const MAX_CREDENTIAL = 2_048;

const refused = (message = 'The credentials are not valid.') => new FleetFlagError('UNAUTHENTICATED', message);

const isVehicleToken = (text: string) => /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/.test(text);

/**
 * The refusal of a credential where it does not belong, which says where it does. Its form tells: nothing is looked up.
 */
function misplaced(credential: string): FleetFlagError {
  if (looksLikeApiKey(credential)) return refused('This is an API key: it belongs in x-api-key.');
  if (isSessionToken(credential))
    return refused('This is a session token: it belongs in authorization, as Bearer <token>.');
  return isVehicleToken(credential)
    ? refused("This is a vehicle's token: it belongs in authorization, as Bearer <token>.")
    : refused();
}

/** The credentials in a websocket's connection_init payload: the same names as the HTTP headers, in any case. */
export function credentialsOf(payload: Readonly<Record<string, unknown>>): Credentials {
  const entry = (name: string) => {
    const value = Object.entries(payload).find(([key]) => key.toLowerCase() === name)?.[1];
    if (value !== undefined && typeof value !== 'string') throw refused();
    return value;
  };
  return { authorization: entry('authorization'), apiKey: entry('x-api-key') };
}

/** How vehicles' tokens are checked: that they are genuine, and that they have not been revoked. */
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
 * @param address that the request comes from
 * @returns the caller; nobody where there are no credentials at all
 * @throws UNAUTHENTICATED for credentials that are wrong: they never fall back to nobody. RATE_LIMITED instead where
 *   the address has shown too many wrong ones; SERVICE_UNAVAILABLE when they cannot be looked up
 */
export async function authenticate(
  { authorization, apiKey }: Credentials,
  address: string | null,
  sources: CredentialSources,
): Promise<Authenticated> {
  if (apiKey !== undefined) {
    // Which of two callers it is would be a guess.
    if (authorization !== undefined) throw refused('Send either authorization or x-api-key: these are two callers.');
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
  const known = await failures.lookUp(address, credential, () => apiKeys.find(credential));
  if (known === null) throw refused();
  const { id, role, rateLimitPerMin, expiresAt } = known;
  return { caller: { kind: 'apiKey', apiKeyId: id, role, rateLimitPerMin }, expiresAt, credential };
}
