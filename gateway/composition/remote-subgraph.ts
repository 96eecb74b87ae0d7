/**
 * Connects to a subgraph in another process: queries and mutations over HTTP, and subscriptions over one websocket.
 * Each request carries the caller's identity, which is signed for that request alone.
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
import {
  isErrorList,
  isSubgraphResponse,
  type SubgraphConnection,
  type SubgraphName,
  type SubgraphRequest,
  type SubgraphResponse,
  type SubgraphStream,
} from '../../core/wire/subgraph/subgraph.ts';
import { TRACE_HEADER, traced, traceparent } from '../../core/monitoring/tracing.ts';
import { REQUEST_ID_HEADER } from '../../core/wire/network/request-id.ts';
import { remoteAnswers } from './remote-answers.ts';
import { isRepeatable } from './repeatable.ts';
import { SubgraphInstances } from './subgraph-instances.ts';
import type { SubgraphAnswer } from './subgraph-requests.ts';
import { membersOf } from '../../core/json/json-value.ts';

/** The options of a connection. */
export interface RemoteSubgraphOptions {
  readonly name: SubgraphName;
  /** The base URLs of the subgraph's instances, such as `http://127.0.0.1:4001`; one or more. */
  readonly urls: readonly string[];
  readonly tokens: IdentityTokens;
  /** The milliseconds between pings on the websocket, and the timeout of each pong; 10,000 by default. */
  readonly pingIntervalMs?: number;
}

/** The milliseconds that an answer may take: longer than any answer of a healthy subgraph. */
const REQUEST_TIMEOUT_MS = 10_000;
const PING_INTERVAL_MS = 10_000;

/** Makes the error for a subgraph that cannot be reached. It names no address, because it may reach a client. */
const unavailable = (cause?: unknown) =>
  new FleetFlagError(
    'SERVICE_UNAVAILABLE',
    'A part of the service is not answering; try again.',
    { retryAfter: 1 },
    { cause },
  );

/** Reads a GraphQL response. Throws an Error for anything else. */
function responseIn({ status, body }: SubgraphAnswer): SubgraphResponse {
  const response: unknown = JSON.parse(body.toString());
  if (!isSubgraphResponse(response)) throw new Error(`HTTP ${status}`);
  return response;
}

/**
 * Gives the id of the subscription that a ping names as established; null where it names none. Subgraphs use pings for
 * this, because graphql-transport-ws does not acknowledge subscriptions.
 */
function establishedId(payload: unknown): string | null {
  const id = membersOf(payload).established;
  return typeof id === 'string' ? id : null;
}

/**
 * The identity with which the gateway opens the websocket. Each subscription carries the identity of its own caller.
 */
const GATEWAY_ITSELF: CallerIdentity = {
  caller: { kind: 'anonymous' },
  origin: { ipAddress: null, userAgent: null, requestId: '' },
};

interface Pending {
  resolve(result: IteratorResult<SubgraphResponse>): void;
  reject(error: unknown): void;
}

/** Queues the responses that the websocket pushes for a reader that pulls them. */
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
    // next() rejects with the same error, so a reader need not handle both.
    this.established.catch(() => undefined);
  }

  push(response: SubgraphResponse): void {
    if (this.#pending === null) this.#responses.push(response);
    else this.#pending.resolve({ done: false, value: response });
    this.#pending = null;
  }

  /**
   * Ends the stream.
   *
   * @param error the reason; undefined for a regular end
   */
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
 * Connects to a subgraph's instances. The first subscription opens the websocket, and so does the next one after a lost
 * connection.
 */
export function connectRemote({
  name,
  urls,
  tokens,
  pingIntervalMs = PING_INTERVAL_MS,
}: RemoteSubgraphOptions): SubgraphConnection {
  const instances = new SubgraphInstances({ urls, timeoutMs: REQUEST_TIMEOUT_MS });
  const streams = new Map<string, PushedStream>();
  let count = 0;
  let nextId = '';
  let unanswered: NodeJS.Timeout | undefined;

  const client: Client = createClient({
    url: async () => new URL('/graphql', await instances.answering()).href.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    lazy: true,
    connectionParams: async () => ({ [IDENTITY_HEADER]: await tokens.sign(GATEWAY_ITSELF, name, CONNECTION_BODY) }),
    // A lost upstream may have missed events. Its reader has to know that, so the client must not retry by itself.
    retryAttempts: 0,
    keepAlive: pingIntervalMs,
    lazyCloseTimeout: 1_000,
    generateID: () => nextId,
    on: {
      ping(received, payload) {
        if (received) streams.get(establishedId(payload) ?? '')?.establish();
        // A machine or a network that is gone closes no socket. A missing pong is the only sign of it.
        else unanswered = setTimeout(() => client.terminate(), pingIntervalMs);
      },
      pong: (received) => received && clearTimeout(unanswered),
      closed: () => clearTimeout(unanswered),
    },
  });

  const post = async (request: SubgraphRequest): Promise<SubgraphResponse> => {
    const { query, operationName, variables, identity } = request;
    const trace = traceparent();
    // A token is good for one request.
    const attempt = async () => ({
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        [IDENTITY_HEADER]: await tokens.sign(identity, name, signedBody(request)),
        [REQUEST_ID_HEADER]: identity.origin.requestId,
        ...(trace !== null && { [TRACE_HEADER]: trace }),
      },
      body: JSON.stringify({ query, operationName, variables }),
    });
    try {
      return isRepeatable(query)
        ? await instances.ask('/graphql', attempt, responseIn)
        : responseIn(await instances.post('/graphql', attempt, false));
    } catch (cause) {
      throw unavailable(cause);
    }
  };

  const connection: SubgraphConnection = {
    name,

    execute: (request) =>
      traced(
        () => ({ name: `ask ${name}`, kind: 'client', attributes: { 'fleetflag.subgraph': name } }),
        () => post(request),
      ),

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
          // graphql-ws generates the id synchronously in subscribe().
          nextId = id;
          const dispose = client.subscribe(
            {
              query: request.query,
              operationName: request.operationName ?? null,
              variables: request.variables ?? null,
              extensions: { [IDENTITY_HEADER]: token },
            },
            {
              next: (response) =>
                isSubgraphResponse(response)
                  ? stream.push(response)
                  : stream.finish(unavailable(new Error('The subgraph sent something other than a response.'))),
              error: (error) => {
                streams.delete(id);
                // The errors of an `error` message are the subgraph's refusal. Anything else means a lost connection.
                if (isErrorList(error)) {
                  stream.push({ errors: error });
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

    ready: () => instances.ready(),

    async close() {
      instances.close();
      await client.dispose();
    },
  };
  return {
    ...connection,
    answer: remoteAnswers({ name, tokens, instances, execute: (request) => connection.execute(request) }),
  };
}
