/**
 * Follows the stream of ended credentials of the audit subgraph. The stream comes from the audit log, in order and
 * without gaps, and resumes after a lost connection where it stopped, so that no end is missed.
 */
import { Backoff } from '../../core/async/backoff.ts';
import { Poller } from '../../core/async/poller.ts';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { Caller } from '../../core/access/caller.ts';
import { isEndedCredential, type EndedCredential } from '../../core/credentials/ended-credential.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import type { ApiKeyDirectory } from './api-key-directory.ts';
import { gatewayIdentity } from './gateway-identity.ts';
import type { EndedSessions, OpenSockets } from './credentials-in-use.ts';
import type { VehicleTokenGenerations } from './vehicle-token-generations.ts';

const ENDED =
  'subscription ($after: Int) { endedCredentials(after: $after) { position userId sessionKey apiKeyId vin } }';

/** The bounds of the wait before another attempt; with full jitter, so that gateways do not all come at once. */
const RETRY = { baseMs: 200, capMs: 5_000 };

/** Says whether a caller's credential has ended by this event. */
export function isConcerned(
  ended: EndedCredential,
  { caller, credential }: { readonly caller: Caller; readonly credential?: string | undefined },
): boolean {
  switch (caller.kind) {
    case 'user':
      return ended.sessionKey === null
        ? caller.userId !== null && caller.userId === ended.userId
        : credential === ended.sessionKey;
    case 'apiKey':
      return caller.apiKeyId !== null && caller.apiKeyId === ended.apiKeyId;
    case 'vehicle':
      return caller.vin !== null && caller.vin === ended.vin;
    case 'anonymous':
    case 'gateway':
      return false;
  }
}

/** The parts of the gateway that hold credentials or depend on them. */
export interface CredentialHolders {
  readonly apiKeys: Pick<ApiKeyDirectory, 'revoke'>;
  readonly generations: Pick<VehicleTokenGenerations, 'learn'>;
  readonly sockets: OpenSockets;
  readonly endedSessions: EndedSessions;
}

/** Gives a function that makes the gateway refuse an ended credential, and closes the sockets that it opened. */
export function endingOf(holders: CredentialHolders): (ended: EndedCredential) => void {
  const { apiKeys, generations, sockets } = holders;
  return (ended) => {
    if (ended.apiKeyId !== null) apiKeys.revoke(ended.apiKeyId);
    const disconnect = () => void sockets.disconnect((identity) => isConcerned(ended, identity));
    if (ended.userId !== null) {
      unattended(disconnectSessions(ended, holders), 'Closing the sockets of ended sessions');
      return;
    }
    // The credential is refused before its sockets are closed, because their client may reconnect at once.
    if (ended.vin !== null)
      unattended(generations.learn().then(disconnect), 'Closing the sockets of a revoked vehicle token');
    else disconnect();
  };
}

/**
 * Closes the sockets of a person whose sessions have ended. The event comes up to some seconds after that: a person who
 * has signed in again meanwhile keeps the new session. Where sessions cannot be read, all of the person's sockets are
 * closed.
 */
async function disconnectSessions(
  ended: EndedCredential,
  { sockets, endedSessions }: Pick<CredentialHolders, 'sockets' | 'endedSessions'>,
): Promise<void> {
  const keys = new Set<string>();
  for (const identity of sockets.identities())
    if (isConcerned(ended, identity) && identity.credential !== undefined) keys.add(identity.credential);
  const over = keys.size === 0 ? keys : await endedSessions([...keys]).catch(() => null);
  sockets.disconnect((identity) => {
    const { credential } = identity;
    return isConcerned(ended, identity) && (over === null || credential === undefined || over.has(credential));
  });
}

/**
 * Calls `onEnded` for each credential that ends from now on, and reconnects for as long as the audit subgraph is down.
 * Gives the function that stops it.
 *
 * @param onEnded must not throw
 */
export function followEndedCredentials(
  audit: Pick<SubgraphConnection, 'subscribe'>,
  onEnded: (ended: EndedCredential) => void,
  logger: GatewayLogger,
): () => void {
  const over = new AbortController();
  let after: number | null = null;
  const backoff = new Backoff({ ...RETRY, random: Math.random });

  async function once(): Promise<void> {
    const stream = audit.subscribe({ query: ENDED, variables: { after }, identity: gatewayIdentity() });
    const stop = () => {
      stream.return?.().catch(() => undefined);
    };
    over.signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const { data, errors } of stream) {
        if (!data || errors !== undefined)
          throw new Error('The audit subgraph refused to stream revoked credentials.', { cause: errors });
        const ended = data['endedCredentials'];
        if (!isEndedCredential(ended))
          throw new Error('The audit subgraph sent an event that this gateway cannot read.');
        after = ended.position;
        backoff.reset();
        onEnded(ended);
      }
    } finally {
      over.signal.removeEventListener('abort', stop);
    }
  }

  /** Follows until the stream ends. Resolves to the milliseconds until the next attempt; never rejects. */
  async function follow(): Promise<number | null> {
    let cause: unknown;
    try {
      await once();
    } catch (error) {
      cause = error;
    }
    if (over.signal.aborted) return null;
    if (backoff.failures === 0)
      logger.warn({ err: cause }, 'Lost the stream of revoked credentials; polling open connections until it is back');
    return backoff.next();
  }

  const poller = new Poller(follow);
  unattended(poller.start(), 'Streaming revoked credentials');
  return () => {
    over.abort();
    unattended(poller.close(), 'Streaming revoked credentials');
  };
}
