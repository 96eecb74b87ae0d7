/** Refusals over HTTP: status, header fields and body, the same wherever a request is refused. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ERROR_CATALOGUE, FleetFlagError } from '../../../core/errors.ts';
import { answerTo } from '../../operations/refusals/error-answer.ts';
import { refusalType } from './graphql/media-type.ts';
import { isErrorCode } from '../../../core/wire/api/error-form.ts';

/**
 * Answers with an error of the catalogue, in the media type that the client accepts.
 *
 * @param error a FleetFlagError, or a fault, of which the client gets only the request id
 * @param status the status, where it differs from that of the error's code
 */
export function refuse(request: FastifyRequest, reply: FastifyReply, error: unknown, status?: number): FastifyReply {
  const answer = answerTo(error, request.id);
  const code = answer.extensions?.['code'];
  return reply
    .status(status ?? ERROR_CATALOGUE[isErrorCode(code) ? code : 'INTERNAL_SERVER_ERROR'].httpStatus)
    .headers({ 'cache-control': 'no-store', 'content-type': refusalType(request.headers.accept) })
    .send(JSON.stringify({ errors: [answer] }));
}

/** Gives the challenge that every 401 must have (RFC 9110, section 11.6.1; RFC 6750, section 3). */
function challengeFor({ headers }: FastifyRequest): string {
  return `Bearer realm="FleetFlag"${headers.authorization === undefined ? '' : ', error="invalid_token"'}`;
}

/**
 * Adds the challenge to every 401, and answers an unknown method of a known path with 405 and `Allow` (RFC 9110,
 * sections 15.5.2 and 15.5.6). It must be called before routes are added.
 */
export function addHttpRefusals(app: FastifyInstance): void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsOf.get(url) ?? new Set();
    methodsOf.set(url, new Set([...methods, ...[method].flat()]));
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (reply.statusCode === 401) reply.header('www-authenticate', challengeFor(request));
    done(null, payload);
  });
  const refuseUnknown = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { method, url } = request;
    const path = url.split('?', 1)[0] ?? '';
    const methods = methodsOf.get(path);
    if (methods === undefined)
      return refuse(
        request,
        reply,
        new FleetFlagError('NOT_FOUND', `The path of ${method} ${url.slice(0, 200)} does not exist.`),
      );
    const allowed = [...methods].join(', ');
    reply.header('allow', allowed);
    return refuse(
      request,
      reply,
      new FleetFlagError('BAD_USER_INPUT', `${path} accepts ${allowed}, not ${method}.`),
      405,
    );
  };
  // This comes before the body is read: a fault in the body would otherwise hide that the method is wrong.
  app.addHook('onRequest', (request, reply, next) => {
    if (request.is404) refuseUnknown(request, reply);
    else next();
  });
  app.setNotFoundHandler(refuseUnknown);
}
