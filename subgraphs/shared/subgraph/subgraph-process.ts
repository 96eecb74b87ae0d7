/**
 * A subgraph as a process of its own: HTTP for queries and mutations, a websocket for subscriptions. It serves only
 * gateways, which sign each caller's identity (core/credentials/identity-token.ts).
 */
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { GraphQLError, parse } from 'graphql';
import { handleProtocols, MessageType } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer, type WebSocket } from 'ws';
import { ERROR_CATALOGUE, FleetFlagError } from '../../../core/errors.ts';
import { clientError } from '../../../core/wire/api/error-form.ts';
import { LISTEN_BACKLOG, closeInOrder } from '../../../core/wire/network/http-server.ts';
import { plainAddress } from '../../../core/wire/network/plain-address.ts';
import { REQUEST_ID_HEADER, requestIdOf } from '../../../core/wire/network/request-id.ts';
import { FailedCredentials } from '../../../core/credentials/failed-credentials.ts';
import type { Metrics } from '../../../core/monitoring/metrics.ts';
import { checkScrape } from '../../../core/monitoring/scrape-access.ts';
import { TRACE_HEADER } from '../../../core/monitoring/tracing.ts';
import {
  CONNECTION_BODY,
  IDENTITY_HEADER,
  signedBody,
  type IdentityTokens,
  type ReplayGuard,
} from '../../../core/credentials/identity-token.ts';
import { ANSWERS_PATH, answerLine, readQuestions } from '../../../core/wire/subgraph/answer-texts.ts';
import { DRAINING_HEADER } from '../../../core/wire/subgraph/draining.ts';
import type { SubgraphRequest } from '../../../core/wire/subgraph/subgraph.ts';
import { executeOn, subscribeOn } from './in-process-connection.ts';
import type { Subgraph } from './subgraph.ts';
import { isObject, membersOf } from '../../../core/json/json-value.ts';

/** The settings of a subgraph's server. */
export interface SubgraphProcessOptions {
  readonly subgraph: Subgraph;
  readonly tokens: IdentityTokens;
  /** The replay guard of identity tokens, shared by all instances of the subgraph where possible. */
  readonly replayGuard: ReplayGuard;
  readonly ready: () => Promise<boolean>;
  readonly host: string;
  /** The TCP port; 0 picks a free one. */
  readonly port: number;
  /** Says whether it is about to stop: it still answers, and sends gateways to other instances; never by default. */
  readonly isEnding?: () => boolean;
  /** The key set of the subgraph that signs, served at `/.well-known/jwks.json`. */
  readonly publicKeys?: unknown;
  /** The metrics of this process, served at `/metrics`; without them, that path does not exist. */
  readonly scraped?: ScrapedMetrics;
}

/** The metrics that `/metrics` serves, and who may read them. */
export interface ScrapedMetrics {
  readonly metrics: Metrics;
  /** The token that readers must send; null where only this machine may read. */
  readonly token: string | null;
}

/** The most bytes of a request, over HTTP and websockets alike. */
const BODY_LIMIT = 2 * 1024 * 1024;
/** The milliseconds between two pings on a websocket. */
const PING_INTERVAL_MS = 10_000;

type Operation = Pick<SubgraphRequest, 'query' | 'operationName' | 'variables'>;

function readOperation(body: unknown): Operation {
  const { query, operationName, variables } = membersOf(body);
  if (typeof query !== 'string') throw new FleetFlagError('BAD_USER_INPUT', 'The body must be a GraphQL request.');
  return {
    query,
    operationName: typeof operationName === 'string' ? operationName : undefined,
    variables: isObject(variables) ? { ...variables } : undefined,
  };
}

function isRequest(value: unknown): value is SubgraphRequest {
  return isObject(value) && typeof value['query'] === 'string' && isObject(value['identity']);
}

/** The request that `onSubscribe` has put into an operation's context. */
function requestIn({ contextValue }: { readonly contextValue?: unknown }): SubgraphRequest {
  if (!isRequest(contextValue))
    throw new Error('The context of an operation must be the request that onSubscribe has verified');
  return contextValue;
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port');
  return address.port;
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** Serves `subgraph` until `close` is called. Rejects when the port is taken. */
export async function serveSubgraph(
  options: SubgraphProcessOptions,
): Promise<{ port: number; close(): Promise<void> }> {
  const { subgraph, tokens, replayGuard } = options;
  const { name, logger } = subgraph;
  /**
   * Verifies the token and gives the request of a signed operation. Throws UNAUTHENTICATED before reading anything else
   * of it.
   */
  const signedRequest = async (operation: Operation, token: unknown): Promise<SubgraphRequest> => ({
    ...operation,
    identity: await tokens.verify(text(token), name, signedBody(operation), replayGuard),
  });

  const app = fastify({
    bodyLimit: BODY_LIMIT,
    forceCloseConnections: 'idle',
    // A request that has reached this process is answered, and not sent back with a body that no gateway can read.
    return503OnClosing: false,
    genReqId: ({ headers }) => requestIdOf(headers),
  });
  const isEnding = options.isEnding ?? (() => false);
  // This comes first, so that every answer, a failure included, names its request.
  app.addHook('onRequest', (request, reply, next) => {
    reply.header(REQUEST_ID_HEADER, request.id);
    if (isEnding()) reply.header(DRAINING_HEADER, '1').header('connection', 'close');
    next();
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const refusal = clientError(
      error instanceof FleetFlagError
        ? error
        : {
            message: error.message,
            originalError:
              (error.statusCode ?? 500) < 500 ? new FleetFlagError('BAD_USER_INPUT', error.message) : undefined,
          },
    );
    if (refusal.extensions.code === 'INTERNAL_SERVER_ERROR')
      logger.error(
        { err: error, subgraph: name, requestId: request.id },
        'Cannot answer a request of a gateway; it gets INTERNAL_SERVER_ERROR',
      );
    return reply.status(ERROR_CATALOGUE[refusal.extensions.code].httpStatus).send({ errors: [refusal] });
  });
  app.post('/graphql', async (request) =>
    executeOn(
      subgraph,
      await signedRequest(readOperation(request.body), request.headers[IDENTITY_HEADER]),
      text(request.headers[TRACE_HEADER]),
    ),
  );
  app.post(ANSWERS_PATH, async (request, reply) => {
    const body = text(request.body) ?? '';
    const { caller } = await tokens.verify(text(request.headers[IDENTITY_HEADER]), name, body, replayGuard);
    if (caller.kind !== 'gateway')
      throw new FleetFlagError('FORBIDDEN', 'Only a gateway may ask on behalf of several callers.');
    const questions = readQuestions(body);
    if (questions === null) throw new FleetFlagError('BAD_USER_INPUT', 'The body must be a list of GraphQL requests.');
    const responses = await Promise.all(
      questions.map((question) => executeOn(subgraph, question, question.traceparent)),
    );
    return reply.type('text/plain; charset=utf-8').send(responses.map(answerLine).join(''));
  });
  app.get('/health/live', () => ({ status: 'ok' }));
  app.get('/health/ready', async (_request, reply) => {
    const ready = await options.ready();
    // The gateway's next probe opens another connection, which may lead to another instance behind the same address.
    if (!ready) reply.header('connection', 'close');
    return reply.status(ready ? 200 : 503).send({ status: ready ? 'ok' : 'unavailable' });
  });
  const { publicKeys, scraped } = options;
  const failures = new FailedCredentials();
  if (scraped !== undefined)
    app.get('/metrics', async (request, reply) => {
      await checkScrape(request.raw, plainAddress(request.raw.socket.remoteAddress), scraped.token, failures);
      const { type, body } = await scraped.metrics.text();
      return reply.type(type).header('cache-control', 'no-store').send(body);
    });
  if (publicKeys !== undefined) app.get('/.well-known/jwks.json', () => publicKeys);

  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: BODY_LIMIT,
    handleProtocols,
  });
  const graphqlWs = useServer<Record<string, unknown>, { socket: WebSocket }>(
    {
      connectionInitWaitTimeout: 3_000,
      async onConnect({ connectionParams }) {
        try {
          await tokens.verify(text(connectionParams?.[IDENTITY_HEADER]), name, CONNECTION_BODY, replayGuard);
          return true;
        } catch {
          return false;
        }
      },
      async onSubscribe(_context, _id, payload) {
        try {
          const operation = readOperation(payload);
          const request = await signedRequest(operation, payload.extensions?.[IDENTITY_HEADER]);
          return {
            schema: subgraph.schema,
            document: parse(operation.query),
            operationName: operation.operationName,
            contextValue: request,
          };
        } catch (error) {
          const { message, extensions } = clientError(error instanceof Error ? error : new Error(String(error)));
          return [new GraphQLError(message, { extensions })];
        }
      },
      // Results come formatted: their errors are plain objects, for which graphql-ws has no type.
      // oxlint-disable-next-line typescript/consistent-type-assertions -- as the comment above says
      subscribe: (args) => subscribeOn(subgraph, requestIn(args)) as never,
      // oxlint-disable-next-line typescript/consistent-type-assertions -- as the comment above says
      execute: (args) => executeOn(subgraph, requestIn(args)) as never,
      // Results are already formatted; graphql-ws would call toJSON on each error, which plain objects lack.
      onNext: (_context, _id, _payload, _args, result) => result,
      async onOperation({ extra }, id, _payload, _args, result) {
        // The protocol has no acknowledgement of a subscription; a ping that names it serves as one (see
        // remote-subgraph.ts).
        const { established } = membersOf(result);
        if (established instanceof Promise) await established.catch(() => undefined);
        extra.socket.send(JSON.stringify({ type: MessageType.Ping, payload: { established: id } }));
      },
    },
    webSockets,
    PING_INTERVAL_MS,
  );
  subgraph.metrics?.watchSockets(name, () => webSockets.clients.size);
  app.server.on('upgrade', (request, socket, head) => {
    if (request.url === '/graphql')
      webSockets.handleUpgrade(request, socket, head, (client) => webSockets.emit('connection', client, request));
    else
      socket
        .on('error', () => socket.destroy())
        .end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });

  await app.listen({ host: options.host, port: options.port, backlog: LISTEN_BACKLOG });
  return {
    port: portOf(app.server.address()),
    async close() {
      await graphqlWs.dispose();
      await closeInOrder(app);
    },
  };
}
