/**
 * `/graphql` over HTTP: who is calling, how often they may, which operation they name, and whether they have its answer
 * already; then Apollo Server runs it, with every check of its own.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller, CallerIdentity, RequestOrigin } from '../../../core/access/caller.ts';
import type { RateLimiter } from '../../../core/access/rate-limiter.ts';
import type { Credentials } from '../../credentials/authenticate.ts';
import type { GatewayContext, GatewayLogger } from '../../context.ts';
import { countOperation, rateHeaders } from '../../operations/limits/key-rate.ts';
import { mayBeKillSwitch } from '../../operations/turns/kill-switch-operation.ts';
import type { RightOfWay } from '../../operations/turns/right-of-way.ts';
import { isNamed, tagOfAnswer, type EntityTags } from '../../operations/persisted-operations/entity-tag.ts';
import type { NamingRequest } from '../../operations/persisted-operations/operation-reference.ts';
import type { OperationText } from '../../operations/persisted-operations/operation-texts.ts';
import { resolveOperation, type OperationSources } from '../../operations/persisted-operations/resolve-operation.ts';
import type { GraphqlServer } from '../../operations/graphql-server.ts';
import { acceptableType } from './media-type.ts';
import { OperationCall } from './operation-call.ts';
import { refuse } from './refusal.ts';

export interface GraphqlRouteOptions {
  readonly graphql: GraphqlServer;
  readonly authenticate: (credentials: Credentials, origin: RequestOrigin) => Promise<Caller>;
  readonly limiter: RateLimiter;
  readonly operations: OperationSources;
  readonly tags: EntityTags;
  readonly rightOfWay: RightOfWay;
  readonly logger: GatewayLogger;
}

/** An answer may be kept by the client that it was made for, and asked about each time. */
const CACHED = { 'cache-control': 'private, no-cache', vary: 'x-api-key, authorization, accept, origin' };

const header = ({ headers }: FastifyRequest, name: string) => {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
};

/** Whether a request may hold a kill switch: one that names its operation may, and a GET changes nothing. */
function mayBeKill({ method, body }: FastifyRequest): boolean {
  if (method === 'GET') return false;
  const query = (body as NamingRequest | null | undefined)?.query;
  return typeof query !== 'string' || mayBeKillSwitch(query);
}

/** @param originOf where a request comes from */
export function addGraphqlRoute(
  app: FastifyInstance,
  options: GraphqlRouteOptions,
  originOf: (request: FastifyRequest) => RequestOrigin,
): void {
  const { graphql, authenticate, limiter, operations, tags, rightOfWay, logger } = options;

  async function run(request: FastifyRequest, reply: FastifyReply, identity: CallerIdentity): Promise<FastifyReply> {
    const call = new OperationCall(request);
    const { naming } = call;
    const { caller } = identity;
    const operation = await resolveOperation(naming, caller, operations);
    const isCacheable = request.method === 'GET' && operation !== null && !naming.query;
    const ahead = isCacheable ? await tagAhead(call, operation, caller) : null;
    if (ahead !== null && isNamed(ahead, header(request, 'if-none-match')))
      return reply
        .status(304)
        .headers({ ...CACHED, etag: ahead })
        .send();

    const outcome = { complete: false };
    const contextValue: GatewayContext = { identity, outcome };
    const answer = await graphql.apollo.executeHTTPGraphQLRequest({
      httpGraphQLRequest: call.forApollo(operation?.body ?? null),
      context: async () => contextValue,
    });
    if (answer.body.kind !== 'complete') throw new Error('The gateway answered incrementally');
    const { string } = answer.body;
    for (const [name, value] of answer.headers) reply.header(name, value);
    reply.status(answer.status ?? 200);
    if (!isCacheable || !outcome.complete) return reply.send(string);
    const etag = ahead ?? tagOfAnswer(string);
    reply.headers({ ...CACHED, etag });
    return isNamed(etag, header(request, 'if-none-match')) ? reply.status(304).send() : reply.send(string);
  }

  async function tagAhead(
    call: OperationCall,
    { sha256, body }: OperationText,
    caller: Caller,
  ): Promise<string | null> {
    const { variables } = call;
    return variables === null ? null : tags.ahead({ sha256, body, variables }, caller);
  }

  app.route({
    url: '/graphql',
    method: ['GET', 'POST'],
    exposeHeadRoute: false,
    async handler(request, reply) {
      // Before anything is run: a change that is made, and then not told because no form would do, is worse than a
      // refusal.
      if (acceptableType(request.headers.accept) === null) {
        return refuse(
          request,
          reply,
          new FleetFlagError(
            'BAD_USER_INPUT',
            'Answers are application/graphql-response+json or application/json: accept one of them.',
          ),
          406,
        );
      }
      try {
        // To authenticate and to look a text up takes its time as well. Whether it is a kill switch is found out once
        // it may run.
        if (!mayBeKill(request)) await rightOfWay.clear();
        const origin = originOf(request);
        const caller = await authenticate(
          { authorization: header(request, 'authorization'), apiKey: header(request, 'x-api-key') },
          origin,
        );
        const rate = await countOperation(caller, limiter);
        if (rate !== null) reply.headers(rateHeaders(rate));
        if (rate?.refusal) throw rate.refusal;
        return await run(request, reply, { caller, origin });
      } catch (error) {
        if (!(error instanceof FleetFlagError)) logger.error({ err: error, requestId: request.id }, 'A request failed');
        return refuse(request, reply, error);
      }
    },
  });
}
