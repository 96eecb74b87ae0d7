/**
 * The agent's HTTP server for programs in the vehicle: OFREP, measurements and status, on loopback.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { unattended } from '../../core/async/unattended.ts';
import { isLoopback } from '../../core/protocol/loopback.ts';
import type { AgentStatus } from './agent-status.ts';
import { evaluateAll, evaluateOne, type FlagSource, type OfrepAnswer } from './ofrep.ts';
import { track, type Tracker } from './track.ts';

const MAX_BODY_BYTES = 65_536;
const EVALUATE_PATH = '/ofrep/v1/evaluate/flags';

/** Milliseconds. */
export interface LocalServerTimes {
  /** From the connection, or the first byte of a further request, to the end of the request's headers. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Between two looks for what is late. Node's own is 30 s: for so long a hundred silent sockets would keep everybody out. */
  readonly lookMs: number;
}

const TIMES: LocalServerTimes = { headersMs: 3_000, requestMs: 10_000, lookMs: 500 };

export interface LocalServerOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly times?: LocalServerTimes;
  readonly agent: FlagSource & Tracker & { status(): AgentStatus };
}

export class LocalServer {
  readonly #options: LocalServerOptions;
  readonly #server: Server;

  constructor(options: LocalServerOptions) {
    this.#options = options;
    const { headersMs, requestMs, lookMs } = options.times ?? TIMES;
    const timers = { headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval: lookMs };
    this.#server = createServer(timers, (request, response) => unattended(this.#answer(request, response), 'Answering a program'));
    this.#server.maxConnections = 100;
  }

  /** Listens. Resolves to the address as `http://host:port`; rejects where the port is taken. */
  async listen(): Promise<string> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    const { address, family, port: bound } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: OfrepAnswer;
    try {
      answer = await this.#route(request);
    } catch (error) {
      // Read to its end, a request counts as destroyed: only the socket tells whether somebody still listens.
      if (request.socket.destroyed) return;
      answer = error instanceof BodyTooLarge ? tooLarge() : failure(500, 'The agent failed to answer.');
    }
    const text = answer.body === null ? '' : JSON.stringify(answer.body);
    response.writeHead(answer.status, {
      ...(text === '' ? {} : { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...answer.headers,
    });
    response.end(text);
  }

  async #route(request: IncomingMessage): Promise<OfrepAnswer> {
    const { agent } = this.#options;
    // A page in a browser can point a name of its own at 127.0.0.1 (DNS rebinding); its requests carry that name.
    if (isLoopback(this.#options.host) && !isLoopback(hostName(request.headers.host))) return failure(403, 'This agent answers to loopback names only.');
    const path = (request.url ?? '').split('?', 1)[0]!;
    if (path === '/v1/status') {
      if (request.method !== 'GET') return wrongMethod('GET');
      return { status: 200, body: JSON.parse(JSON.stringify(agent.status())) as OfrepAnswer['body'] };
    }
    if (path === '/v1/track') return request.method === 'POST' ? track(agent, await readBody(request)) : wrongMethod('POST');
    if (path !== EVALUATE_PATH && !path.startsWith(`${EVALUATE_PATH}/`)) return failure(404, 'There is nothing at this path.');
    if (request.method !== 'POST') return wrongMethod('POST');
    if (path === EVALUATE_PATH) return evaluateAll(agent, await readBody(request), request.headers['if-none-match']);
    const key = decodeKey(path.slice(EVALUATE_PATH.length + 1));
    if (key === null) return failure(404, 'There is nothing at this path.');
    return evaluateOne(agent, key, await readBody(request));
  }
}

class BodyTooLarge extends Error {}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // The rest is still read, and dropped, so that the client sees the answer and not a reset.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    else if (size > MAX_BODY_BYTES * 16) request.destroy();
  }
  if (size > MAX_BODY_BYTES) throw new BodyTooLarge();
  return Buffer.concat(chunks).toString('utf8');
}

function decodeKey(segment: string): string | null {
  try {
    return segment === '' || segment.includes('/') ? null : decodeURIComponent(segment);
  } catch {
    return null;
  }
}

function hostName(header: string | undefined): string {
  return (header ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

function failure(status: number, errorDetails: string): OfrepAnswer {
  return { status, body: { errorDetails } };
}

function tooLarge(): OfrepAnswer {
  return { status: 413, headers: { connection: 'close' }, body: { errorCode: 'PARSE_ERROR', errorDetails: `The body is larger than ${MAX_BODY_BYTES} bytes.` } };
}

function wrongMethod(allow: string): OfrepAnswer {
  return { status: 405, headers: { allow }, body: { errorDetails: `Use ${allow}.` } };
}
