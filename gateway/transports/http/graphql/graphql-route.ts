/**
 * `/graphql` over HTTP: reads a request, runs it through the pipeline (operations/pipeline.ts), and writes the answer
 * or refusal as status, header fields and body. A GET of a persisted query is answered with 304 where the client
 * already holds the answer.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ERROR_CATALOGUE, FleetFlagError } from '../../../../core/errors.ts';
import { isErrorCode } from '../../../../core/wire/api/error-form.ts';
import type { Caller, CallerIdentity, RequestOrigin } from '../../../../core/access/caller.ts';
import { newOutcome, type GatewayLogger, type OperationOutcome } from '../../../context.ts';
import type { GraphqlServer } from '../../../operations/graphql-server.ts';
import type { GovernedCall } from '../../../operations/answers/revision-answers.ts';
import type { KeyRate } from '../../../operations/limits/key-rate.ts';
import type { GovernedAnswer, OperationPipeline } from '../../../operations/pipeline.ts';
import type { OperationText } from '../../../operations/persisted-operations/operation-texts.ts';
import { mayBeKillSwitch } from '../../../operations/turns/kill-switch-operation.ts';
import type { RightOfWay } from '../../../operations/turns/right-of-way.ts';
import { isNamed, tagOfAnswer } from './entity-tag.ts';
import { CACHED, type KnownRequests } from './known-requests.ts';
import { acceptableType, wantsPlainJson } from './media-type.ts';
import { OperationCall } from './operation-call.ts';
import { rateHeaders } from '../rate-headers.ts';
import { refuse } from '../refusal.ts';
import { membersOf } from '../../../../core/json/json-value.ts';

/** The parts of the gateway that the route uses. */
export interface GraphqlRouteOptions {
  readonly pipeline: OperationPipeline;
  readonly graphql: GraphqlServer;
  readonly rightOfWay: RightOfWay;
  readonly logger: GatewayLogger;
}

const header = ({ headers }: FastifyRequest, name: string) => {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
};

/**
 * Says whether a request may pull a kill switch. A persisted operation may, because its text is not known yet; a GET
 * changes nothing.
 */
function mayBeKill({ method, body }: FastifyRequest): boolean {
  if (method === 'GET') return false;
  const { query } = membersOf(body);
  return typeof query !== 'string' || mayBeKillSwitch(query);
}

/** Gives the status and header fields of an answer that is a refusal; null for any other answer. */
function refusalHead(
  { refusal, executed }: OperationOutcome,
  accept: string | undefined,
): { readonly status: number; readonly headers: Record<string, string> } | null {
  if (refusal === null) return null;
  const { code, retryAfter } = refusal.extensions ?? {};
  const { httpStatus } = ERROR_CATALOGUE[isErrorCode(code) ? code : 'INTERNAL_SERVER_ERROR'];
  return {
    status: httpStatus === 400 && !executed && wantsPlainJson(accept) ? 200 : httpStatus,
    headers: typeof retryAfter === 'number' ? { 'retry-after': String(retryAfter) } : {},
  };
}

/**
 * Sends an answer of the pipeline as Apollo Server would have sent it.
 *
 * @param type the media type of the answer
 */
function sendAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  { tag, json, refusal }: GovernedAnswer,
  type: string,
): FastifyReply {
  const refused = refusalHead({ refusal, executed: false, complete: false }, request.headers.accept);
  reply.headers(tag === null ? { 'cache-control': 'no-store', ...refused?.headers } : { ...CACHED, etag: tag });
  if (json === null) return reply.status(304).send();
  return reply
    .status(refused?.status ?? 200)
    .header('content-type', type)
    .send(json);
}

/**
 * Adds the route `/graphql` to `app`.
 *
 * @param known receives the requests that it may answer by itself from now on
 * @param originOf gives the address, user agent and id of a request
 */
export function addGraphqlRoute(
  app: FastifyInstance,
  options: GraphqlRouteOptions,
  known: Pick<KnownRequests, 'learn' | 'countOf'>,
  originOf: (request: FastifyRequest) => RequestOrigin,
): void {
  const { pipeline, graphql, rightOfWay, logger } = options;

  async function run(
    request: FastifyRequest,
    reply: FastifyReply,
    call: OperationCall,
    operation: OperationText | null,
    { credential, ...identity }: CallerIdentity & { readonly credential: string | null },
    type: string,
  ): Promise<FastifyReply> {
    const isCacheable = request.method === 'GET' && operation !== null && !call.naming.query;
    const sent = call.sent(operation?.body ?? null);
    const { caller } = identity;
    const governed = sent && pipeline.governed(sent, caller);
    if (isCacheable && governed !== null && caller.kind === 'apiKey' && credential !== null) {
      const { accept } = request.headers;
      known.learn(request.raw.url ?? '', {
        known: { credential, role: caller.role, operation, call: governed },
        accept,
        type,
      });
    }
    const answer = governed && (await governedAnswer(request, governed, caller, isCacheable));
    return answer === null
      ? runByApollo(request, reply, call, operation, identity, isCacheable)
      : sendAnswer(request, reply, isCacheable ? answer : { ...answer, tag: null }, type);
  }

  function governedAnswer(
    request: FastifyRequest,
    governed: GovernedCall,
    caller: Caller,
    isCacheable: boolean,
  ): Promise<GovernedAnswer | null> {
    const tagIn = isCacheable ? header(request, 'if-none-match') : undefined;
    return pipeline.answer(governed, caller, (tag) => isNamed(tag, tagIn));
  }

  async function runByApollo(
    request: FastifyRequest,
    reply: FastifyReply,
    call: OperationCall,
    operation: OperationText | null,
    identity: CallerIdentity,
    isCacheable: boolean,
  ): Promise<FastifyReply> {
    if (isCacheable) call.checkVariables();
    const outcome = newOutcome();
    const answer = await graphql.apollo.executeHTTPGraphQLRequest({
      httpGraphQLRequest: call.forApollo(operation?.body ?? null),
      context: async () => ({ identity, outcome }),
    });
    if (answer.body.kind !== 'complete') throw new Error('The gateway answered incrementally');
    const { string } = answer.body;
    for (const [name, value] of answer.headers) reply.header(name, value);
    // Apollo Server answers a mutation by GET with 405 and its own header fields.
    const refused = answer.status === 405 ? null : refusalHead(outcome, request.headers.accept);
    reply.status(refused?.status ?? answer.status ?? 200).headers(refused?.headers ?? {});
    if (!isCacheable || !outcome.complete) return reply.send(string);
    const etag = tagOfAnswer(string);
    reply.headers({ ...CACHED, etag });
    return isNamed(etag, header(request, 'if-none-match')) ? reply.status(304).send() : reply.send(string);
  }

  app.route({
    url: '/graphql',
    method: ['GET', 'POST'],
    exposeHeadRoute: false,
    async handler(request, reply) {
      // This is checked before anything runs: refusing is better than making a change whose answer cannot be sent.
      const type = acceptableType(request.headers.accept);
      if (type === null) {
        return refuse(
          request,
          reply,
          new FleetFlagError(
            'BAD_USER_INPUT',
            'Accept must allow application/graphql-response+json or application/json.',
          ),
          406,
        );
      }
      try {
        // Any other request waits for kill switches before its caller is authenticated and its text is loaded, because
        // both take time.
        if (rightOfWay.isTaken && !mayBeKill(request)) await rightOfWay.clear();
        const origin = originOf(request);
        const credentials = { authorization: header(request, 'authorization'), apiKey: header(request, 'x-api-key') };
        const { caller, credential } = await pipeline.caller(credentials, origin.ipAddress);
        const call = new OperationCall(request);
        const counted = (rate: KeyRate) => void reply.headers(rateHeaders(rate));
        const operation = await pipeline.name(caller, () => call.naming, counted, known.countOf(request.raw));
        return await run(request, reply, call, operation, { caller, origin, credential }, type);
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
