/** What the gateway serves over HTTP. */
import { randomUUID } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';
import { FleetFlagError } from '../../core/errors.ts';
import type { RequestOrigin } from '../../core/protocol/caller.ts';
import { OPERATION_LIMITS } from '../limits/operation-limits.ts';
import { answerTo } from './error-answer.ts';
import { addGraphqlRoute, type GraphqlRouteOptions } from './graphql-route.ts';
import { PLAYGROUND_POLICY, playgroundPage } from './playground/page.ts';

export interface RoutesOptions extends GraphqlRouteOptions {
  /** The public signing keys (RFC 7517). */
  readonly publicKeys: () => Promise<unknown>;
  /** Each part that a request may need, and whether it answers. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly playground: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Where a request comes from. A caller may bring its own request id, to find it again in our log and audit trail. */
export function originOf(headers: Readonly<Record<string, string | string[] | undefined>>, remoteAddress: string | undefined): RequestOrigin {
  const given = headers['x-request-id'];
  const userAgent = headers['user-agent'];
  return {
    ipAddress: remoteAddress?.replace(/^::ffff:/, '') ?? null,
    userAgent: typeof userAgent === 'string' ? userAgent : null,
    requestId: typeof given === 'string' && UUID.test(given) ? given : randomUUID(),
  };
}

/** Everything but the websocket upgrade, which the caller attaches to `.server`. */
export function createRoutes({ publicKeys, readiness, playground, ...graphql }: RoutesOptions): FastifyInstance {
  const { logger } = graphql;
  const app = fastify({ bodyLimit: OPERATION_LIMITS.body, forceCloseConnections: true, genReqId: ({ headers }) => originOf(headers, undefined).requestId });
  // Before anything can fail: whatever the answer is, it can be found in the log.
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));

  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const requestId = request.id;
    const status = error instanceof FleetFlagError ? undefined : error.statusCode;
    // Fastify's own refusals of what is not a request: too large, not JSON, of a strange type.
    if (status !== undefined && status < 500) {
      const refusal = status === 413 ? new FleetFlagError('LIMIT_EXCEEDED', `The body is larger than ${OPERATION_LIMITS.body} bytes.`, { limit: OPERATION_LIMITS.body }) : new FleetFlagError('BAD_USER_INPUT', error.message);
      return reply.status(status).send({ errors: [answerTo(refusal, requestId)] });
    }
    logger.error({ err: error, requestId }, 'A request failed');
    return reply.status(500).send({ errors: [answerTo(error, requestId)] });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send({ errors: [answerTo(new FleetFlagError('NOT_FOUND', `There is nothing at ${request.method} ${request.url.slice(0, 200)}.`))] }),
  );

  addGraphqlRoute(app, graphql, (request) => ({ ...originOf(request.headers, request.ip), requestId: request.id }));

  app.get('/health/live', () => ({ status: 'ok' }));
  app.get('/health/ready', async (_request, reply) => {
    const parts = await readiness();
    const ready = Object.values(parts).every(Boolean);
    return reply.status(ready ? 200 : 503).send({ status: ready ? 'ok' : 'unavailable', parts });
  });
  app.get('/.well-known/jwks.json', async (_request, reply) => reply.header('cache-control', 'public, max-age=60').send(await publicKeys()));

  if (playground) {
    const page = playgroundPage();
    app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').headers({ 'cache-control': 'no-cache', 'content-security-policy': PLAYGROUND_POLICY, 'x-content-type-options': 'nosniff' }).send(page));
  }
  return app;
}
