/** Spans of HTTP requests: each continues the trace that its client names in `traceparent`. */
import type { IncomingMessage } from 'node:http';
import {
  TRACE_HEADER,
  isTracing,
  resumeTrace,
  traced,
  type NoteAttributes,
  type Resume,
} from '../../../core/monitoring/tracing.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import type { Handler } from './graphql/known-requests.ts';

interface RequestSpan {
  readonly note: NoteAttributes;
  /** Node gives a body's events another context than the request had. */
  readonly resume: Resume | null;
}

/** Keeps a span for each request that is under way. */
export class TracedRequests {
  readonly #spans = new WeakMap<IncomingMessage, RequestSpan>();

  /** Gives a handler that runs `next` in the span of its request, which ends with the answer. */
  before(next: Handler): Handler {
    return (request, response) => {
      if (!isTracing()) return next(request, response);
      const answered = traced(
        () => ({
          name: `HTTP ${methodOf(request)}`,
          kind: 'server',
          attributes: { 'http.request.method': methodOf(request) },
          parent: request.headers[TRACE_HEADER],
        }),
        (note) =>
          new Promise<void>((resolve) => {
            this.#spans.set(request, { note, resume: resumeTrace() });
            response.once('close', () => {
              note({ 'http.response.status_code': response.statusCode });
              resolve();
            });
            next(request, response);
          }),
      );
      unattended(answered, 'Answering a traced request');
    };
  }

  /** Runs work under the span of a request. */
  resume(request: IncomingMessage, work: () => void): void {
    const resume = this.#spans.get(request)?.resume;
    if (resume == null) work();
    else resume(work);
  }

  /** Names the route of a request, the pattern and not the path, and its id. */
  named(request: IncomingMessage, route: string, requestId: string): void {
    this.#spans.get(request)?.note({ 'http.route': route, 'fleetflag.request_id': requestId });
  }
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Gives the method of a request; `_OTHER` for one that a client has made up. */
function methodOf({ method = '' }: IncomingMessage): string {
  return METHODS.includes(method) ? method : '_OTHER';
}
