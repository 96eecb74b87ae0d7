/** What the gateway serves over HTTP. */
import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { FleetFlagError } from '../../../core/errors.ts';
import type { RequestOrigin } from '../../../core/access/caller.ts';
import { OPERATION_LIMITS } from '../../operations/limits/operation-limits.ts';
import type { GatewayMetrics } from '../../monitoring/gateway-metrics.ts';
import { addGraphqlRoute, type GraphqlRouteOptions } from './graphql-route.ts';
import { admitPages, type PageOrigins } from './page-origins.ts';
import { refuse, refuseAsHttpSays } from './refusal.ts';
import { readPlainBodies, refuseBytes } from './request-body.ts';
import { requestIdOf } from './request-origin.ts';

/**
 * Milliseconds; the first two are limits (operation-limits.ts), the third passes between two looks for what is late.
 */
export interface RequestTimes {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly lookForLate: number;
}

/** Node looks every 30 s: its limit of 30 s would be one of 60. */
const TIMES: RequestTimes = { ...OPERATION_LIMITS, lookForLate: 1_000 };

export interface RoutesOptions extends GraphqlRouteOptions {
  /** The public signing keys (RFC 7517). */
  readonly publicKeys: () => Promise<unknown>;
  /** Each part that a request may need, and whether it answers. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly originOf: (request: IncomingMessage) => RequestOrigin;
  /** Whose pages may call `/graphql`. */
  readonly pages: PageOrigins;
  readonly playground: boolean;
  readonly metrics: GatewayMetrics;
  /** Rejects where the request may not read them. */
  readonly checkScrape: (request: IncomingMessage) => Promise<void>;
  readonly times?: RequestTimes | undefined;
}

/** Everything but the websocket upgrade, which the caller attaches to `.server`. */
export function createRoutes({
  publicKeys,
  readiness,
  originOf,
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
    // Such members are refused where JSON is taken in, with their path; here they would be called no JSON at all.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    requestTimeout: times.requestTimeout,
    http: {
      headersTimeout: times.headersTimeout,
      requestTimeout: times.requestTimeout,
      connectionsCheckingInterval: times.lookForLate,
    },
    forceCloseConnections: true,
    clientErrorHandler: refuseBytes,
    genReqId: ({ headers }) => requestIdOf(headers),
    // What is no URL (`/%`) comes to no route and to no handler of errors.
    frameworkErrors: (_error, request, reply) =>
      void refuse(
        request,
        (reply as FastifyReply).header('x-request-id', request.id),
        new FleetFlagError('BAD_USER_INPUT', 'The request has no valid URL.'),
      ),
  });
  // Before anything can fail: whatever the answer is, it can be found in the log.
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));

  app.addHook('onResponse', async (request, reply) =>
    metrics.answered(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1_000),
  );

  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    if (error instanceof FleetFlagError) return refuse(request, reply, error);
    const status = error.statusCode;
    // Fastify's own refusals of what is not a request: too large, not JSON, of a strange type.
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
    addGraphqlRoute(scope, graphql, (request) => ({ ...originOf(request.raw), requestId: request.id }));
  });

  app.get('/health/live', () => ({ status: 'ok' }));
  let missingBefore: readonly string[] = [];
  app.get('/health/ready', async (_request, reply) => {
    const missing = Object.entries(await readiness()).flatMap(([part, answers]) => (answers ? [] : [part]));
    // Which part it is concerns operators, not who asks from outside; and it is asked every few seconds.
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
    // Nine megabytes that most starts never serve: loaded and put together for the first who asks.
    let made: Promise<{ page: Buffer; policy: string }> | undefined;
    app.get('/', async (_request, reply) => {
      const { page, policy } = await (made ??= import('../../pages/playground/page.ts').then(
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
