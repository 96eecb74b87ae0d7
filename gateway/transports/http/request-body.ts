/** Checks a request before its body is parsed as JSON, and answers bytes that are not an HTTP request. */
import { isUtf8 } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ERROR_CATALOGUE, FleetFlagError } from '../../../core/errors.ts';
import { isNestedDeeper } from '../../../core/json/nesting.ts';
import { OPERATION_LIMITS } from '../../operations/limits/operation-limits.ts';
import { clientError } from '../../../core/wire/api/error-form.ts';
import { refuse } from './refusal.ts';

/**
 * Refuses bodies that are compressed, not UTF-8, or nested too deeply. Otherwise a compressed body would be reported as
 * invalid JSON, and bytes that are not UTF-8 would be replaced without an error.
 */
export function readPlainBodies(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, next) => {
    const encoding = request.headers['content-encoding'];
    if (encoding === undefined || encoding.trim() === '' || encoding.trim().toLowerCase() === 'identity') return next();
    // The codings that are accepted instead (RFC 9110, section 15.5.16).
    reply.header('accept-encoding', 'identity');
    refuse(
      request,
      reply,
      new FleetFlagError(
        'BAD_USER_INPUT',
        `The body has Content-Encoding ${JSON.stringify(encoding.slice(0, 100))}: send it uncompressed, without that header.`,
      ),
      415,
    );
  });
  const parseJson = app.getDefaultJsonParser('ignore', 'ignore');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (!isUtf8(body)) return done(new FleetFlagError('BAD_USER_INPUT', 'The body must be UTF-8.'));
    const text = body.toString('utf8');
    if (isNestedDeeper(text, OPERATION_LIMITS.jsonDepth))
      return done(
        new FleetFlagError(
          'LIMIT_EXCEEDED',
          `The body nests lists and objects more than ${OPERATION_LIMITS.jsonDepth} levels deep.`,
          { limit: OPERATION_LIMITS.jsonDepth },
        ),
      );
    return parseJson(request, text, done);
  });
}

/** Gives the status and error for a code of Node's HTTP parser. */
function refusalOfBytes(code: string | undefined): [number, FleetFlagError] {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return [408, new FleetFlagError('BAD_USER_INPUT', 'The request did not arrive in time.')];
  if (code === 'HPE_HEADER_OVERFLOW')
    return [431, new FleetFlagError('LIMIT_EXCEEDED', 'The header fields of the request are too large.')];
  return [
    ERROR_CATALOGUE.BAD_USER_INPUT.httpStatus,
    new FleetFlagError('BAD_USER_INPUT', 'This is not a valid HTTP request.'),
  ];
}

/**
 * Answers bytes that Node's HTTP parser refuses, in the form of all errors. It closes the connection, because where the
 * next request would begin is unknown.
 */
export function refuseBytes(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, refusal] = refusalOfBytes(error.code);
  const body = JSON.stringify({ errors: [clientError(refusal)] });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroy(error);
}
