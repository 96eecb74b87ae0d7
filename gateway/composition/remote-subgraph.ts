/**
 * A subgraph that is a process of its own: queries and mutations over HTTP, subscriptions over one websocket, each
 * request with the caller's identity, signed for it alone.
 */
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { FleetFlagError } from '../../core/errors.ts';
import type { CallerIdentity } from '../../core/access/caller.ts';
import {
  CONNECTION_BODY,
  IDENTITY_HEADER,
  signedBody,
  type IdentityTokens,
} from '../../core/credentials/identity-token.ts';
import type {
  SubgraphConnection,
  SubgraphName,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../core/wire/subgraph.ts';
import { membersOf } from '../../core/json/json-value.ts';

export interface RemoteSubgraphOptions {
  readonly name: SubgraphName;
  /** Base URL of its process, such as `http://127.0.0.1:4001`. */
  readonly url: string;
  readonly tokens: IdentityTokens;
  /** Milliseconds between pings on the websocket, and how long each may stay unanswered. Default 10,000. */
  readonly pingInterval?: number;
}

/** Longer than any answer of a healthy subgraph; what takes longer holds up a client for nothing. */
const REQUEST_TIMEOUT = 10_000;
const READY_TIMEOUT = 2_000;
const PING_INTERVAL = 10_000;

/** Names no address: the message may reach a client. */
const unavailable = (cause?: unknown) =>
  new FleetFlagError(
    'SERVICE_UNAVAILABLE',
    'A part of the service does not answer; try again.',
    { retryAfter: 1 },
    { cause },
  );

/** The subgraph says with a ping that a subscription stands: graphql-transport-ws has no acknowledgement of its own. */
function establishedId(payload: unknown): string | null {
  const id = membersOf(payload).established;
  return typeof id === 'string' ? id : null;
}

/** The websocket itself is opened by the gateway for nobody in particular; each subscription names its caller. */
const GATEWAY_ITSELF: CallerIdentity = {
  caller: { kind: 'anonymous' },
  origin: { ipAddress: null, userAgent: null, requestId: '' },
};

interface Pending {
  resolve(result: IteratorResult<SubgraphResponse>): void;
  reject(error: unknown): void;
}

/** Responses as the websocket pushes them, for a reader that pulls. */
class PushedStream implements SubgraphStream {
  readonly established: Promise<void>;
  establish!: () => void;
  #failToEstablish!: (error: Error) => void;
  dispose: () => void = () => undefined;
  #responses: SubgraphResponse[] = [];
  #pending: Pending | null = null;
  #end: { error?: Error | undefined } | null = null;

  constructor() {
    this.established = new Promise((resolve, reject) => {
      this.establish = resolve;
      this.#failToEstablish = reject;
    });
    // next() says the same to whoever reads; nobody has to ask both.
    this.established.catch(() => undefined);
  }

  push(response: SubgraphResponse): void {
    if (this.#pending === null) this.#responses.push(response);
    else this.#pending.resolve({ done: false, value: response });
    this.#pending = null;
  }

  /** @param error undefined for an orderly end */
  finish(error?: Error): void {
    this.#end ??= { error };
    if (error === undefined) this.establish();
    else this.#failToEstablish(error);
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return;
    if (this.#end.error === undefined) pending.resolve({ done: true, value: undefined });
    else pending.reject(this.#end.error);
  }

  next(): Promise<IteratorResult<SubgraphResponse>> {
    const response = this.#responses.shift();
    if (response !== undefined) return Promise.resolve({ done: false, value: response });
    if (this.#end?.error !== undefined) return Promise.reject(this.#end.error);
    if (this.#end !== null) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => (this.#pending = { resolve, reject }));
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  return(): Promise<IteratorResult<SubgraphResponse>> {
    this.#responses = [];
    this.finish();
    this.dispose();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/**
 * Connects to a subgraph's process. The websocket is opened by the first subscription, and again by the next one after
 * a loss.
 */
export function connectRemote({
  name,
  url,
  tokens,
  pingInterval = PING_INTERVAL,
}: RemoteSubgraphOptions): SubgraphConnection {
  const endpoint = new URL('/graphql', url);
  const streams = new Map<string, PushedStream>();
  let count = 0;
  let nextId = '';
  let unanswered: NodeJS.Timeout | undefined;

  const client: Client = createClient({
    url: endpoint.href.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    lazy: true,
    connectionParams: async () => ({ [IDENTITY_HEADER]: await tokens.sign(GATEWAY_ITSELF, name, CONNECTION_BODY) }),
    // A lost upstream may have missed events: who reads it has to know, so nothing is retried behind its back.
    retryAttempts: 0,
    keepAlive: pingInterval,
    lazyCloseTimeout: 1_000,
    generateID: () => nextId,
    on: {
      ping(received, payload) {
        if (received) streams.get(establishedId(payload) ?? '')?.establish();
        // A machine or a network that is gone closes nothing: silence is the only sign of it.
        else unanswered = setTimeout(() => client.terminate(), pingInterval);
      },
      pong: (received) => received && clearTimeout(unanswered),
      closed: () => clearTimeout(unanswered),
    },
  });

  return {
    name,

    async execute(request) {
      const token = await tokens.sign(request.identity, name, signedBody(request));
      let response: Response;
      try {
        response = await fetch(endpoint, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json', [IDENTITY_HEADER]: token },
          body: JSON.stringify({
            query: request.query,
            operationName: request.operationName,
            variables: request.variables,
          }),
          signal: AbortSignal.timeout(REQUEST_TIMEOUT),
        });
        const answer = (await response.json()) as SubgraphResponse;
        if (answer.data === undefined && answer.errors === undefined) throw new Error(`HTTP ${response.status}`);
        return answer;
      } catch (cause) {
        throw unavailable(cause);
      }
    },

    subscribe(request: SubgraphRequest) {
      const stream = new PushedStream();
      const id = `${++count}`;
      streams.set(id, stream);
      void tokens
        .sign(request.identity, name, signedBody(request))
        .then((token) => {
          if (stream.ended) {
            streams.delete(id);
            return;
          }
          // graphql-ws asks for the id synchronously in subscribe().
          nextId = id;
          const dispose = client.subscribe(
            {
              query: request.query,
              operationName: request.operationName ?? null,
              variables: request.variables ?? null,
              extensions: { [IDENTITY_HEADER]: token },
            },
            {
              next: (response) => stream.push(response as SubgraphResponse),
              error: (error) => {
                streams.delete(id);
                // An `error` message is the subgraph's refusal; anything else is the loss of the connection.
                if (Array.isArray(error)) {
                  stream.push({ errors: error as NonNullable<SubgraphResponse['errors']> });
                  stream.finish();
                } else stream.finish(unavailable(error));
              },
              complete: () => {
                streams.delete(id);
                stream.finish();
              },
            },
          );
          stream.dispose = dispose;
        })
        .catch((error: unknown) => {
          streams.delete(id);
          stream.finish(unavailable(error));
        });
      return stream;
    },

    async ready() {
      try {
        const response = await fetch(new URL('/health/ready', url), { signal: AbortSignal.timeout(READY_TIMEOUT) });
        return response.ok;
      } catch {
        return false;
      }
    },

    async close() {
      await client.dispose();
    },
  };
}
