/**
 * Polls the credentials of open sockets every few seconds. So a credential that ended while the stream of revocations
 * was lost, or while a socket was being opened, takes effect within the promised five seconds, too.
 */
import { Poller } from '../../core/async/poller.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { Caller } from '../../core/access/caller.ts';
import type { ApiKeyDirectory } from './api-key-directory.ts';

/** The caller to whom a socket belongs while the credential is valid. */
export interface AuthenticatedCaller {
  readonly caller: Caller;
  /** The time at which the socket is closed with 4403. */
  readonly expiresAt?: Date | undefined;
  /** An id of this credential among those of the same caller, for `disconnect`; never a secret. */
  readonly credential?: string | undefined;
}

/** Open sockets, whose credentials may end. */
export interface OpenSockets {
  /** Gives the callers of the open sockets, without sockets that are not authenticated yet. */
  identities(): Iterable<AuthenticatedCaller>;
  /** Closes with 4403 the sockets of the callers for which `concerned` gives true. Gives their number. */
  disconnect(concerned: (identity: AuthenticatedCaller) => boolean): number;
}

/** Resolves to those session keys whose sessions have ended. Rejects when sessions cannot be read. */
export type EndedSessions = (sessionKeys: readonly string[]) => Promise<ReadonlySet<string>>;

/** The open sockets, and the sources by which their credentials are polled. */
export interface CredentialsInUse {
  readonly sockets: OpenSockets;
  readonly endedSessions: EndedSessions;
  readonly apiKeys: Pick<ApiKeyDirectory, 'noLongerValid'>;
}

/** The milliseconds between two polls; the rest of the five seconds is for the answers to arrive. */
const POLL_INTERVAL_MS = 3_000;

const NONE: ReadonlySet<string> = new Set();

/**
 * Polls the credentials of all sockets once, and closes the sockets whose session or key has ended. Where a store does
 * not answer, its sockets stay open.
 */
export async function recheckCredentials({ sockets, endedSessions, apiKeys }: CredentialsInUse): Promise<void> {
  const inUse = { user: new Set<string>(), apiKey: new Set<string>() };
  for (const { caller, credential } of sockets.identities()) {
    if (credential !== undefined && (caller.kind === 'user' || caller.kind === 'apiKey'))
      inUse[caller.kind].add(credential);
  }
  const ask = (of: ReadonlySet<string>, which: EndedSessions) =>
    of.size === 0 ? NONE : which([...of]).catch(() => NONE);
  // The two run independently, so that a store that is slow to fail does not hold up the other.
  const closeEnded = async (kind: 'user' | 'apiKey', which: EndedSessions) => {
    const ended = await ask(inUse[kind], which);
    if (ended.size === 0) return;
    sockets.disconnect(
      ({ caller, credential }: AuthenticatedCaller) =>
        caller.kind === kind && credential !== undefined && ended.has(credential),
    );
  };
  await Promise.all([
    closeEnded('user', endedSessions),
    closeEnded('apiKey', (hashes) => apiKeys.noLongerValid(hashes)),
  ]);
}

/** Polls every few seconds. Gives the function that stops it. */
export function keepRechecking(credentials: CredentialsInUse): () => void {
  const poller = new Poller(async () => {
    await recheckCredentials(credentials);
    return POLL_INTERVAL_MS;
  });
  const what = 'Checking the credentials of open connections';
  unattended(poller.start(POLL_INTERVAL_MS), what);
  return () => unattended(poller.close(), what);
}
