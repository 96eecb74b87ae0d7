/**
 * `/graphql` over HTTP: reads a request, takes it through the pipeline (operations/pipeline.ts), and says the answer or
 * the refusal in statuses, header fields and media types. A persisted query by GET whose answer the client has already
 * is not run.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ERROR_CATALOGUE, FleetFlagError, type ErrorCode } from '../../../core/errors.ts';
import type { Caller, CallerIdentity, RequestOrigin } from '../../../core/access/caller.ts';
import { newOutcome, type GatewayLogger, type Outcome } from '../../context.ts';
import type { GraphqlServer } from '../../operations/graphql-server.ts';
import type { KeyRate } from '../../operations/limits/key-rate.ts';
import type { OperationPipeline } from '../../operations/pipeline.ts';
import { isNamed, tagOfAnswer, type EntityTags } from './entity-tag.ts';
import type { OperationText } from '../../operations/persisted-operations/operation-texts.ts';
import { mayBeKillSwitch } from '../../operations/turns/kill-switch-operation.ts';
import type { RightOfWay } from '../../operations/turns/right-of-way.ts';
import { acceptableType, wantsPlainJson } from './media-type.ts';
import { OperationCall } from './operation-call.ts';
import { rateHeaders } from './rate-headers.ts';
import { refuse } from './refusal.ts';
import { membersOf } from '../../../core/json/json-value.ts';

export interface GraphqlRouteOptions {
  readonly pipeline: OperationPipeline;
  readonly graphql: GraphqlServer;
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
  const { query } = membersOf(body);
  return typeof query !== 'string' || mayBeKillSwitch(query);
}

/** The status and header fields of an answer that is nothing but a refusal; none for other answers. */
function refusalHead(
  { refusal, executed }: Outcome,
  accept: string | undefined,
): { readonly status: number; readonly headers: Record<string, string> } | null {
  if (refusal === null) return null;
  const { code, retryAfter } = refusal.extensions ?? {};
  const { httpStatus } = ERROR_CATALOGUE[code as ErrorCode];
  return {
    status: httpStatus === 400 && !executed && wantsPlainJson(accept) ? 200 : httpStatus,
    headers: typeof retryAfter === 'number' ? { 'retry-after': String(retryAfter) } : {},
  };
}

/** @param originOf where a request comes from */
export function addGraphqlRoute(
  app: FastifyInstance,
  options: GraphqlRouteOptions,
  originOf: (request: FastifyRequest) => RequestOrigin,
): void {
  const { pipeline, graphql, tags, rightOfWay, logger } = options;

  async function run(
    request: FastifyRequest,
    reply: FastifyReply,
    call: OperationCall,
    operation: OperationText | null,
    identity: CallerIdentity,
  ): Promise<FastifyReply> {
    const { caller } = identity;
    const isCacheable = request.method === 'GET' && operation !== null && !call.naming.query;
    const ahead = isCacheable ? await tagAhead(call, operation, caller) : null;
    if (ahead !== null && isNamed(ahead, header(request, 'if-none-match')))
      return reply
        .status(304)
        .headers({ ...CACHED, etag: ahead })
        .send();

    const outcome = newOutcome();
    const answer = await graphql.apollo.executeHTTPGraphQLRequest({
      httpGraphQLRequest: call.forApollo(operation?.body ?? null),
      context: async () => ({ identity, outcome }),
    });
    if (answer.body.kind !== 'complete') throw new Error('The gateway answered incrementally');
    const { string } = answer.body;
    for (const [name, value] of answer.headers) reply.header(name, value);
    // A GET that would mutate has a status of its own, and the header that goes with it.
    const refused = answer.status === 405 ? null : refusalHead(outcome, request.headers.accept);
    reply.status(refused?.status ?? answer.status ?? 200).headers(refused?.headers ?? {});
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
            'Answers are application/graphql-response+json or application/json: name one of them in Accept.',
          ),
          406,
        );
      }
      try {
        // To authenticate and to look a text up takes its time as well. Whether it is a kill switch is found out once
        // it may run.
        if (!mayBeKill(request)) await rightOfWay.clear();
        const origin = originOf(request);
        const credentials = { authorization: header(request, 'authorization'), apiKey: header(request, 'x-api-key') };
        const { caller } = await pipeline.caller(credentials, origin.ipAddress);
        const call = new OperationCall(request);
        const counted = (rate: KeyRate) => void reply.headers(rateHeaders(rate));
        const operation = await pipeline.name(caller, () => call.naming, counted);
        return await run(request, reply, call, operation, { caller, origin });
      } catch (error) {
        if (!(error instanceof FleetFlagError))
          logger.error(
            { err: error, requestId: request.id },
            'Cannot answer a request; the client gets INTERNAL_SERVER_ERROR',
          );
        return refuse(request, reply, error);
      }
    },
  });
}
