/**
 * Asking again for the credentials of open sockets, every few seconds: what has ended while nobody could tell, or while
 * a socket was being opened, is found out within the five seconds in which an end has to be effective.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { unattended } from '../../core/async/unattended.ts';
import type { Caller } from '../../core/access/caller.ts';
import type { ApiKeyDirectory } from './api-key-directory.ts';

/** Who a socket belongs to, for as long as the credential is good. */
export interface AuthenticatedCaller {
  readonly caller: Caller;
  /** When the socket is to be closed with 4403. */
  readonly expiresAt?: Date | undefined;
  /** What tells this credential from others of the same caller, for `disconnect`; never a secret. */
  readonly credential?: string | undefined;
}

/** Open sockets, whose credentials may end. */
export interface OpenSockets {
  /** Who the open sockets belong to; those that have not said it yet are left out. */
  identities(): Iterable<AuthenticatedCaller>;
  /** Closes the sockets that `concerned` names with 4403, as when a session or token is revoked; gives their number. */
  disconnect(concerned: (identity: AuthenticatedCaller) => boolean): number;
}

/** Those of the session keys that have no session any more. Rejects when sessions cannot be read. */
export type EndedSessions = (sessionKeys: readonly string[]) => Promise<ReadonlySet<string>>;

export interface CredentialsInUse {
  readonly sockets: OpenSockets;
  readonly endedSessions: EndedSessions;
  readonly apiKeys: Pick<ApiKeyDirectory, 'ended'>;
}

/** Milliseconds; the rest of the five seconds is for the answers to come. */
const INTERVAL = 3_000;

const NONE: ReadonlySet<string> = new Set();

/**
 * One look at all sockets: closes those whose session or key has ended. A store that does not answer closes nothing.
 */
export async function recheckCredentials({ sockets, endedSessions, apiKeys }: CredentialsInUse): Promise<void> {
  const inUse = { user: new Set<string>(), apiKey: new Set<string>() };
  for (const { caller, credential } of sockets.identities()) {
    if (credential !== undefined && (caller.kind === 'user' || caller.kind === 'apiKey'))
      inUse[caller.kind].add(credential);
  }
  const ask = (of: ReadonlySet<string>, which: EndedSessions) =>
    of.size === 0 ? NONE : which([...of]).catch(() => NONE);
  // Each by itself: a store that is slow to fail must not hold up what the other says.
  const closeEnded = async (kind: 'user' | 'apiKey', which: EndedSessions) => {
    const ended = await ask(inUse[kind], which);
    if (ended.size === 0) return;
    sockets.disconnect(
      ({ caller, credential }: AuthenticatedCaller) =>
        caller.kind === kind && credential !== undefined && ended.has(credential),
    );
  };
  await Promise.all([closeEnded('user', endedSessions), closeEnded('apiKey', (hashes) => apiKeys.ended(hashes))]);
}

/** Looks every few seconds, until the function that it gives is called. */
export function keepRechecking(credentials: CredentialsInUse): () => void {
  const over = new AbortController();
  const pause = () => delay(INTERVAL, undefined, { signal: over.signal, ref: false }).catch(() => undefined);
  async function forEver(): Promise<void> {
    for (await pause(); !over.signal.aborted; await pause()) await recheckCredentials(credentials);
  }
  unattended(forEver(), 'Asking whether the credentials in use are still good');
  return () => over.abort();
}
