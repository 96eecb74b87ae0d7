/** The routes of the gateway: GraphQL, health, metrics and the public keys. Pages add their own (gateway/pages/). */
import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { FleetFlagError } from '../../../core/errors.ts';
import { REQUEST_ID_HEADER, requestIdOf } from '../../../core/wire/network/request-id.ts';
import { OPERATION_LIMITS } from '../../operations/limits/operation-limits.ts';
import type { MetricsText } from '../../../core/monitoring/metrics.ts';
import type { GatewayMetrics } from '../../monitoring/gateway-metrics.ts';
import { addGraphqlRoute, type GraphqlRouteOptions } from './graphql/graphql-route.ts';
import { KnownRequests, type Handler } from './graphql/known-requests.ts';
import { admitPages, type PageOrigins } from './page-origins.ts';
import { refuse, addHttpRefusals } from './refusal.ts';
import { readPlainBodies, refuseBytes } from './request-body.ts';
import type { PeerReader } from './request-origin.ts';
import { TracedRequests } from './traced-requests.ts';

/** The timeouts of requests, in milliseconds. The first two are limits (operation-limits.ts). */
export interface RequestTimes {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** The time between two checks for requests that are past a timeout. */
  readonly checkIntervalMs: number;
}

/** Node checks every 30 s by default, which would make a timeout of 30 s one of up to 60 s. */
const TIMES: RequestTimes = { ...OPERATION_LIMITS, checkIntervalMs: 1_000 };

/** The parts of the gateway that the routes use. */
export interface RoutesOptions extends GraphqlRouteOptions {
  /** The public signing keys (RFC 7517). */
  readonly publicKeys: () => Promise<unknown>;
  /** Resolves to whether each subgraph and store that requests need answers, by its name. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  /** Gives the address and user agent of a request. */
  readonly peerOf: PeerReader;
  /** The origins whose pages may call `/graphql`. */
  readonly pages: PageOrigins;
  readonly metrics: GatewayMetrics;
  /** Gives what `/metrics` answers. */
  readonly scrape: () => Promise<MetricsText>;
  /** Rejects with a FleetFlagError where the request may not read the metrics. */
  readonly checkScrape: (request: IncomingMessage) => Promise<void>;
  readonly times?: RequestTimes | undefined;
  /** Says whether this process is about to stop. */
  readonly isEnding?: () => boolean;
}

/** Creates the HTTP server. It has no websocket upgrade: the caller attaches that to `.server`. */
export function createRoutes({
  publicKeys,
  readiness,
  peerOf,
  pages,
  metrics,
  scrape,
  checkScrape,
  times = TIMES,
  isEnding = () => false,
  ...graphql
}: RoutesOptions): FastifyInstance {
  const { logger } = graphql;
  const app = fastify({
    bodyLimit: OPERATION_LIMITS.bodyBytes,
    // `__proto__` and `constructor` are refused by the validation of JSON arguments, which names their path.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    requestTimeout: times.requestTimeoutMs,
    // The one route that needs query parameters reads them itself (operation-call.ts).
    routerOptions: { querystringParser: () => ({}) },
    http: {
      headersTimeout: times.headersTimeoutMs,
      requestTimeout: times.requestTimeoutMs,
      connectionsCheckingInterval: times.checkIntervalMs,
    },
    forceCloseConnections: 'idle',
    clientErrorHandler: refuseBytes,
    genReqId: ({ headers }) => requestIdOf(headers),
    // A request without a valid URL (`/%`) reaches neither a route nor the error handler.
    frameworkErrors: (_error, request, reply) =>
      void refuse(
        request,
        // oxlint-disable-next-line typescript/consistent-type-assertions -- Fastify types the reply of this one handler without the server
        (reply as FastifyReply).header(REQUEST_ID_HEADER, request.id),
        new FleetFlagError('BAD_USER_INPUT', 'The request has no valid URL.'),
      ),
  });
  // This comes first, so that every answer, a failure included, names its request id.
  app.addHook('onRequest', (request, reply, next) => {
    reply.header(REQUEST_ID_HEADER, request.id);
    // The client's next request opens another connection, which a load balancer leads to another gateway.
    if (isEnding()) reply.header('connection', 'close');
    next();
  });

  const traces = new TracedRequests();
  app.addHook('preHandler', (request, _reply, next) => traces.resume(request.raw, next));
  app.addHook('onResponse', (request, reply, next) => {
    traces.named(request.raw, request.routeOptions.url ?? 'none', request.id);
    metrics.answered(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1_000);
    next();
  });

  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    if (error instanceof FleetFlagError) return refuse(request, reply, error);
    const status = error.statusCode;
    // Fastify itself refuses bodies that are too large, not JSON, or of another media type.
    if (status !== undefined && status < 500) {
      const refusal =
        status === 413
          ? new FleetFlagError('LIMIT_EXCEEDED', `The body is larger than ${OPERATION_LIMITS.bodyBytes} bytes.`, {
              limit: OPERATION_LIMITS.bodyBytes,
            })
          : new FleetFlagError('BAD_USER_INPUT', error.message);
      return refuse(request, reply, refusal, status);
    }
    logger.error(
      { err: error, requestId: request.id },
      'Cannot answer a request; the client gets INTERNAL_SERVER_ERROR',
    );
    return refuse(request, reply, error);
  });
  addHttpRefusals(app);
  readPlainBodies(app);

  const known = new KnownRequests({
    pipeline: graphql.pipeline,
    rightOfWay: graphql.rightOfWay,
    answered: (status, seconds) => metrics.answered('/graphql', status, seconds),
  });
  // oxlint-disable-next-line typescript/consistent-type-assertions -- Node gives listeners as mere functions
  for (const handler of app.server.listeners('request') as Handler[]) {
    app.server.off('request', handler);
    app.server.on('request', traces.before(known.before(handler.bind(app.server))));
  }
  app.addHook('preClose', (done) => {
    known.close();
    done();
  });

  void app.register(async (scope) => {
    await admitPages(scope, '/graphql', pages);
    addGraphqlRoute(scope, graphql, known, (request) => ({ ...peerOf(request.raw), requestId: request.id }));
  });

  app.get('/health/live', () => ({ status: 'ok' }));
  let missingBefore: readonly string[] = [];
  app.get('/health/ready', async (_request, reply) => {
    const missing = Object.entries(await readiness()).flatMap(([part, answers]) => (answers ? [] : [part]));
    // The missing parts go to the log and not to the client. Probes come every few seconds, so only changes are logged.
    if (missing.join() !== missingBefore.join())
      logger.warn({ missing }, missing.length > 0 ? 'Not ready: the parts in "missing" do not answer' : 'Ready again');
    missingBefore = missing;
    // The next probe opens another connection, which may lead to another process behind the same address.
    if (missing.length > 0) reply.header('connection', 'close');
    return reply.status(missing.length === 0 ? 200 : 503).send({ status: missing.length === 0 ? 'ok' : 'unavailable' });
  });
  app.get('/metrics', async (request, reply) => {
    await checkScrape(request.raw);
    const { type, body } = await scrape();
    return reply.type(type).header('cache-control', 'no-store').send(body);
  });
  app.get('/.well-known/jwks.json', async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=60').send(await publicKeys()),
  );
  return app;
}
