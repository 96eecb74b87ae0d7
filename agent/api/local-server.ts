/**
 * The agent's HTTP server for programs in the vehicle: OFREP, measurements, faults and status, by default on loopback.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { AgentStatus } from './agent-status.ts';
import { BrowserGuard, contentTypeRefusal, isPreflight, type RequestRefusal } from './browser-guard.ts';
import {
  EVENTS_PATH,
  EVENT_STREAM_LIMITS,
  EventStreams,
  type ChangeSource,
  type EventStreamLimits,
} from './event-streams.ts';
import { LocalConnections, READ_ANSWER_MS } from './local-connections.ts';
import { evaluateAll, evaluateOne, type FlagSource, type LocalAnswer } from './ofrep.ts';
import { reportFault, type FaultReporter } from './fault.ts';
import { track, type Tracker } from './track.ts';
import { putVehicleState, type VehicleStateTaker } from './vehicle-state.ts';
import { describeError, type Log } from '../log.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';
import { isJsonObject, parseJson } from '../../core/json/json-value.ts';

const MAX_BODY_BYTES = 65_536;
/** The most bytes of a too large body that are read and dropped, so that its client gets to read the answer. */
const MAX_DROPPED_BYTES = 64 * 1_048_576;
/** The most failures that are logged. Their texts may have parts that a client chooses, and must not fill the log. */
const MAX_LOGGED_FAILURES = 100;
const EVALUATE_PATH = '/ofrep/v1/evaluate/flags';

/** The timeouts of the server, in milliseconds. */
export interface LocalServerTimes {
  /** The longest time from the connection, or from the first byte of a further request, to the end of the headers. */
  readonly headersMs: number;
  /** The longest time from the same moment to the end of the request. */
  readonly requestMs: number;
  /**
   * The time between two checks for late requests. Node's default is 30 s, for which a hundred silent sockets could
   * block all other clients.
   */
  readonly checkMs: number;
}

const TIMES: LocalServerTimes = { headersMs: 3_000, requestMs: 10_000, checkMs: 500 };

/** The options of the server. */
export interface LocalServerOptions {
  readonly host: string;
  /** The port; 0 picks a free one. */
  readonly port: number;
  readonly times?: LocalServerTimes;
  readonly eventStreams?: EventStreamLimits;
  readonly agent: FlagSource & Tracker & FaultReporter & VehicleStateTaker & ChangeSource & { status(): AgentStatus };
  /** The origins whose pages are allowed, as browsers write them (`http://hmi.local:8080`); none by default. */
  readonly allowedOrigins?: readonly string[];
  /** The log of the requests that the agent failed to answer; none by default. */
  readonly log?: Log;
}

/** The handler of a path, and its method. */
interface Route {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Whether a request changes more than the count of evaluations. Its content type must then be JSON. */
  readonly changes?: true;
  /** Gives the answer; null where it has taken over the response. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => LocalAnswer | null | Promise<LocalAnswer>;
}

/** The connections for requests, running or idle. Event streams do not count. */
const MAX_REQUEST_CONNECTIONS = 100;

/** Serves the local API of an agent over HTTP. */
export class LocalServer {
  readonly #options: LocalServerOptions;
  readonly #server: Server;
  readonly #guard: BrowserGuard;
  readonly #eventStreams: EventStreams;
  readonly #connections: LocalConnections;
  /** The log's lines on failed requests, each of which is written once. */
  readonly #loggedFailures = new Set<string>();

  constructor(options: LocalServerOptions) {
    this.#options = options;
    this.#guard = new BrowserGuard(options.allowedOrigins ?? []);
    const { headersMs, requestMs, checkMs } = options.times ?? TIMES;
    const timers = { headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval: checkMs };
    this.#server = createServer(timers, (request, response) =>
      unattended(this.#answer(request, response), 'Answering a local request'),
    );
    const limits = options.eventStreams ?? EVENT_STREAM_LIMITS;
    this.#eventStreams = new EventStreams(options.agent, limits);
    this.#connections = new LocalConnections(MAX_REQUEST_CONNECTIONS + limits.maxStreams);
    this.#server.on('connection', (socket) => this.#connections.add(socket));
  }

  /** Starts listening. Resolves to the address as `http://host:port`; rejects where the port is taken. */
  async listen(): Promise<string> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    const { address, family, port: bound } = boundAddress(this.#server);
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`;
  }

  /** Accepts no more connections, ends event streams in the regular way, and drops all other connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#eventStreams.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#connections.accept(request, response)) return;
    let answer: LocalAnswer | null;
    try {
      answer = await this.#route(request, response);
    } catch (error) {
      // A request that was read to its end counts as destroyed. Only the socket says whether the client is still there.
      if (request.socket.destroyed) return;
      answer = error instanceof BodyTooLarge ? tooLarge() : this.#failed(request, error);
    }
    if (answer === null) return;
    let text = answer.body === null ? '' : JSON.stringify(answer.body);
    const bytes = Buffer.byteLength(text);
    if (!this.#connections.tryReserve(response, bytes)) {
      // The text of a waiting answer would take memory. Its body does not: it shares its values with the flags.
      text = '';
      await this.#connections.reserve(response, bytes);
      if (request.socket.destroyed) return;
      text = JSON.stringify(answer.body);
    }
    response.writeHead(answer.status, {
      ...(text === '' ? {} : { 'content-type': 'application/json; charset=utf-8', 'content-length': bytes }),
      ...this.#headers(request),
      ...answer.headers,
    });
    if (answer.status === 413) {
      response.write(text);
      await dropRest(request);
    }
    response.end(answer.status === 413 ? '' : text);
  }

  /** Logs why a request could not be answered, once for repeated requests, and gives the answer. */
  #failed({ method, url }: IncomingMessage, error: unknown): LocalAnswer {
    const path = pathOf(url);
    const place = path.startsWith(`${EVALUATE_PATH}/`) ? `${EVALUATE_PATH}/{key}` : path;
    const line = `cannot answer ${method} ${place}: ${describeError(error)}`;
    if (!this.#loggedFailures.has(line) && this.#loggedFailures.size < MAX_LOGGED_FAILURES) {
      this.#loggedFailures.add(line);
      this.#options.log?.('error', line);
    }
    return failure(500, 'GENERAL', 'The agent failed to answer.');
  }

  /** Gives the headers of every answer. */
  #headers(request: IncomingMessage): Record<string, string> {
    return { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...this.#guard.headers(request) };
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<LocalAnswer | null> {
    const refusal = this.#guard.refusal(request);
    if (refusal !== null) return refused(refusal);
    const route = this.#find(pathOf(request.url));
    if (route === null) return failure(404, 'GENERAL', 'This path does not exist.');
    if (request.method === 'OPTIONS') {
      return {
        status: 204,
        headers: {
          allow: route.method,
          ...(isPreflight(request) && this.#guard.preflightHeaders(request, route.method)),
        },
        body: null,
      };
    }
    if (request.method !== route.method)
      return { ...failure(405, 'GENERAL', `Use ${route.method}.`), headers: { allow: route.method } };
    const wrongType = route.changes === true ? contentTypeRefusal(request) : null;
    return wrongType === null ? route.answer(request, response) : refused(wrongType);
  }

  #find(path: string): Route | null {
    const { agent } = this.#options;
    if (path === '/v1/status')
      return {
        method: 'GET',
        answer: () => ({ status: 200, body: jsonObject(agent.status()) }),
      };
    if (path === '/v1/track')
      return { method: 'POST', changes: true, answer: async (request) => track(agent, await readBody(request)) };
    if (path === '/v1/fault')
      return {
        ...{ method: 'POST', changes: true },
        answer: async (request) => {
          const answer = reportFault(agent, await readBody(request));
          // The failing program may be the agent's own process and end with it: an accepted fault must be on disk by
          // then.
          await agent.faultsWritten();
          return answer;
        },
      };
    if (path === '/v1/vehicle-state')
      return {
        ...{ method: 'PUT', changes: true },
        answer: async (request) => putVehicleState(agent, await readBody(request)),
      };
    if (path === EVENTS_PATH)
      return {
        method: 'GET',
        answer: (request, response) => (this.#eventStreams.open(request, response, this.#headers(request)), null),
      };
    if (path === EVALUATE_PATH)
      return {
        method: 'POST',
        answer: async (request) =>
          evaluateAll(agent, await readBody(request), request.headers['if-none-match'], eventsUrl(request)),
      };
    if (!path.startsWith(`${EVALUATE_PATH}/`)) return null;
    const key = decodeKey(path.slice(EVALUATE_PATH.length + 1));
    return { method: 'POST', answer: async (request) => evaluateOne(agent, key, await readBody(request)) };
  }
}

/** Gives the path in the target of a request. */
const pathOf = (url = ''): string => url.split('?', 1)[0]!;

/** Gives the address of the event stream, with the host name by which the program has reached this agent. */
function eventsUrl({ headers: { host }, socket }: IncomingMessage): string {
  return `http://${host ?? `${socket.localAddress}:${socket.localPort}`}${EVENTS_PATH}`;
}

class BodyTooLarge extends Error {}

/** Reads the body as text. Rejects with BodyTooLarge at the first chunk beyond the limit, before the rest is read. */
function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) return void chunks.push(chunk);
      request.off('data', take);
      reject(new BodyTooLarge());
    };
    request.on('data', take);
    request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.once('close', () => reject(new Error('The client has disconnected.')));
  });
}

/**
 * Reads the rest of a body and drops it, up to a bound. Closing a connection with unread bytes would lose the answer,
 * too.
 */
async function dropRest(request: IncomingMessage): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  await new Promise<void>((resolve) => {
    let dropped = 0;
    request.on('data', (chunk: Buffer) => {
      dropped += chunk.length;
      if (dropped <= MAX_DROPPED_BYTES || request.isPaused()) return;
      request.pause();
      setTimeout(resolve, READ_ANSWER_MS).unref();
    });
    request.once('end', resolve).once('close', resolve).resume();
  });
}

/**
 * Gives the key in a path. Text that cannot be decoded stays as it is, because no flag has such a key or one with a
 * slash.
 */
function decodeKey(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function failure(status: number, errorCode: string, errorDetails: string): LocalAnswer {
  return { status, body: { errorCode, errorDetails } };
}

function refused({ status, errorCode, errorDetails }: RequestRefusal): LocalAnswer {
  return failure(status, errorCode, errorDetails);
}

function tooLarge(): LocalAnswer {
  return {
    ...failure(413, 'PARSE_ERROR', `The body must have at most ${MAX_BODY_BYTES} bytes.`),
    headers: { connection: 'close' },
  };
}

/** Gives an object as its JSON form, without undefined members. */
function jsonObject(value: object): LocalAnswer['body'] {
  const json = parseJson(JSON.stringify(value));
  return isJsonObject(json) ? json : null;
}
