/** The routes of the gateway: GraphQL, health, metrics, the public keys and the playground. */
import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { FleetFlagError } from '../../../core/errors.ts';
import { OPERATION_LIMITS } from '../../operations/limits/operation-limits.ts';
import type { GatewayMetrics } from '../../monitoring/gateway-metrics.ts';
import { addGraphqlRoute, type GraphqlRouteOptions } from './graphql-route.ts';
import { admitPages, type PageOrigins } from './page-origins.ts';
import { refuse, refuseAsHttpSays } from './refusal.ts';
import { readPlainBodies, refuseBytes } from './request-body.ts';
import { requestIdOf, type PeerReader } from './request-origin.ts';

/** The timeouts of requests, in milliseconds. The first two are limits (operation-limits.ts). */
export interface RequestTimes {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  /** The time between two checks for requests that are past a timeout. */
  readonly checkInterval: number;
}

/** Node checks every 30 s by default, which would make a timeout of 30 s one of up to 60 s. */
const TIMES: RequestTimes = { ...OPERATION_LIMITS, checkInterval: 1_000 };

export interface RoutesOptions extends GraphqlRouteOptions {
  /** The public signing keys (RFC 7517). */
  readonly publicKeys: () => Promise<unknown>;
  /** Resolves to whether each subgraph and store that requests need answers, by its name. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  /** Gives the address and user agent of a request. */
  readonly peerOf: PeerReader;
  /** The origins whose pages may call `/graphql`. */
  readonly pages: PageOrigins;
  readonly playground: boolean;
  readonly metrics: GatewayMetrics;
  /** Rejects with a FleetFlagError where the request may not read the metrics. */
  readonly checkScrape: (request: IncomingMessage) => Promise<void>;
  readonly times?: RequestTimes | undefined;
}

/** Creates the HTTP server. It has no websocket upgrade: the caller attaches that to `.server`. */
export function createRoutes({
  publicKeys,
  readiness,
  peerOf,
  pages,
  playground,
  metrics,
  checkScrape,
  times = TIMES,
  ...graphql
}: RoutesOptions): FastifyInstance {
  const { logger } = graphql;
  const app = fastify({
    bodyLimit: OPERATION_LIMITS.body,
    // `__proto__` and `constructor` are refused by the validation of JSON arguments, which names their path.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    requestTimeout: times.requestTimeout,
    // Who needs query parameters reads them (operation-call.ts).
    routerOptions: { querystringParser: () => ({}) },
    http: {
      headersTimeout: times.headersTimeout,
      requestTimeout: times.requestTimeout,
      connectionsCheckingInterval: times.checkInterval,
    },
    forceCloseConnections: true,
    clientErrorHandler: refuseBytes,
    genReqId: ({ headers }) => requestIdOf(headers),
    // A request without a valid URL (`/%`) reaches neither a route nor the error handler.
    frameworkErrors: (_error, request, reply) =>
      void refuse(
        request,
        (reply as FastifyReply).header('x-request-id', request.id),
        new FleetFlagError('BAD_USER_INPUT', 'The request has no valid URL.'),
      ),
  });
  // This comes first, so that every answer, a failure included, names its request id.
  app.addHook('onRequest', (request, reply, next) => {
    reply.header('x-request-id', request.id);
    next();
  });

  app.addHook('onResponse', (request, reply, next) => {
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
          ? new FleetFlagError('LIMIT_EXCEEDED', `The body is larger than ${OPERATION_LIMITS.body} bytes.`, {
              limit: OPERATION_LIMITS.body,
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
  refuseAsHttpSays(app);
  readPlainBodies(app);

  void app.register(async (scope) => {
    await admitPages(scope, '/graphql', pages);
    addGraphqlRoute(scope, graphql, (request) => ({ ...peerOf(request.raw), requestId: request.id }));
  });

  app.get('/health/live', () => ({ status: 'ok' }));
  let missingBefore: readonly string[] = [];
  app.get('/health/ready', async (_request, reply) => {
    const missing = Object.entries(await readiness()).flatMap(([part, answers]) => (answers ? [] : [part]));
    // The missing parts go to the log and not to the client. Probes come every few seconds, so only changes are logged.
    if (missing.join() !== missingBefore.join())
      logger.warn({ missing }, missing.length > 0 ? 'Not ready: the parts in "missing" do not answer' : 'Ready again');
    missingBefore = missing;
    return reply.status(missing.length === 0 ? 200 : 503).send({ status: missing.length === 0 ? 'ok' : 'unavailable' });
  });
  app.get('/metrics', async (request, reply) => {
    await checkScrape(request.raw);
    const { type, body } = await metrics.text();
    return reply.type(type).header('cache-control', 'no-store').send(body);
  });
  app.get('/.well-known/jwks.json', async (_request, reply) =>
    reply.header('cache-control', 'public, max-age=60').send(await publicKeys()),
  );

  if (playground) {
    // The page has nine megabytes that most gateways never serve, so the first request for it loads them.
    let loading: Promise<{ page: Buffer; policy: string }> | undefined;
    app.get('/', async (_request, reply) => {
      const { page, policy } = await (loading ??= import('../../pages/playground/page.ts').then(
        ({ PLAYGROUND_POLICY, playgroundPage }) => ({ page: playgroundPage(), policy: PLAYGROUND_POLICY }),
      ));
      return reply
        .type('text/html; charset=utf-8')
        .headers({
          'cache-control': 'no-cache',
          'content-security-policy': policy,
          'x-content-type-options': 'nosniff',
        })
        .send(page);
    });
  }
  return app;
}
