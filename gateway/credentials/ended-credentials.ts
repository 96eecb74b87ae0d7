/**
 * Follows the stream of ended credentials of the audit subgraph. The stream comes from the audit log, in order and
 * without gaps, and resumes after a lost connection where it stopped, so that no end is missed.
 */
import { Backoff } from '../../core/async/backoff.ts';
import { Poller } from '../../core/async/poller.ts';
import { unattended } from '../../core/async/unattended.ts';
import type { Caller } from '../../core/access/caller.ts';
import type { EndedCredential } from '../../core/credentials/ended-credential.ts';
import type { SubgraphConnection } from '../../core/wire/subgraph.ts';
import type { GatewayLogger } from '../context.ts';
import { gatewayIdentity, type ApiKeyDirectory } from './api-key-directory.ts';
import type { OpenSockets } from './credentials-in-use.ts';
import type { VehicleTokenGenerations } from './vehicle-token-generations.ts';

const ENDED =
  'subscription ($after: Int) { endedCredentials(after: $after) { position userId sessionKey apiKeyId vin } }';

/** Milliseconds before another attempt; with full jitter, so that gateways do not all come at once. */
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
  readonly apiKeys: Pick<ApiKeyDirectory, 'end'>;
  readonly generations: Pick<VehicleTokenGenerations, 'learn'>;
  readonly sockets: Pick<OpenSockets, 'disconnect'>;
}

/** Gives a function that makes the gateway refuse an ended credential, and closes the sockets that it opened. */
export function endingOf({ apiKeys, generations, sockets }: CredentialHolders): (ended: EndedCredential) => void {
  return (ended) => {
    if (ended.apiKeyId !== null) apiKeys.end(ended.apiKeyId);
    const disconnect = () => void sockets.disconnect((identity) => isConcerned(ended, identity));
    // The credential is refused before its sockets are closed, because their client may reconnect at once.
    if (ended.vin !== null)
      unattended(generations.learn().then(disconnect), 'Closing the sockets of a revoked vehicle token');
    else disconnect();
  };
}

/**
 * Calls `onEnded` for each credential that ends from now on, and reconnects for as long as the audit subgraph is away.
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
        const ended = data['endedCredentials'] as EndedCredential;
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
