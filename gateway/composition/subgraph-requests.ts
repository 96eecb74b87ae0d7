/**
 * Requests to one instance of a subgraph over connections that stay open. They use Node's own client, because `fetch`
 * takes twice its CPU for a small request, and a gateway sends some hundreds a second.
 */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { DRAINING_HEADER } from '../../core/wire/subgraph/draining.ts';

/** The answer to a request. */
export interface SubgraphAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** Whether the instance is about to stop, so that it should get no more requests. */
  readonly isDraining: boolean;
}

/** A request that has no answer. */
export class LostRequest extends Error {
  override readonly name = 'LostRequest';
  /**
   * @param progress `unsent` where no connection was made, so that the instance cannot have begun with it; `late` where
   *   the timeout has passed; `cut` where the connection broke
   */
  constructor(
    readonly progress: 'unsent' | 'cut' | 'late',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Milliseconds after which an idle connection is closed: before the subgraph's process does it (72 s, fastify). */
const IDLE_MS = 30_000;

/** Sends requests to one instance. */
export class SubgraphRequests {
  readonly #agent: HttpAgent;

  /** @param url the base URL of the subgraph's process, http or https */
  constructor(
    readonly url: URL,
    private readonly timeoutMs: number,
  ) {
    const options = { keepAlive: true, timeout: IDLE_MS };
    this.#agent = this.#isSecure ? new HttpsAgent(options) : new HttpAgent(options);
  }

  get #isSecure(): boolean {
    return this.url.protocol === 'https:';
  }

  /**
   * Sends a body. Rejects with a LostRequest where the connection is lost, or where the whole answer has not come in
   * time.
   *
   * @param isAlone whether the request gets a connection of its own. An instance may close a shared one at the moment
   *   at which the request is sent; then it is unknown whether the instance has begun with the request
   */
  post(
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    isAlone = false,
  ): Promise<SubgraphAnswer> {
    const send = this.#isSecure ? httpsRequest : httpRequest;
    const options = {
      ...urlToHttpOptions(new URL(path, this.url)),
      agent: isAlone ? false : this.#agent,
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    };
    return new Promise<SubgraphAnswer>((resolve, reject) => {
      let isConnected = false;
      const sent = send(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', failed);
        response.on('end', () => {
          clearTimeout(late);
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks),
            isDraining: response.headers[DRAINING_HEADER] !== undefined,
          });
        });
      });
      sent.on('socket', (socket) => {
        if (socket.connecting) socket.once('connect', () => (isConnected = true));
        else isConnected = true;
      });
      const failed = (cause: Error) => {
        clearTimeout(late);
        reject(
          cause instanceof LostRequest
            ? cause
            : new LostRequest(isConnected ? 'cut' : 'unsent', `The request has no answer: ${cause.message}`, { cause }),
        );
      };
      const late = setTimeout(
        () => sent.destroy(new LostRequest('late', `The subgraph has not answered in ${this.timeoutMs} ms.`)),
        this.timeoutMs,
      );
      sent.on('error', failed);
      sent.end(body);
    });
  }

  /** Closes the connections. */
  close(): void {
    this.#agent.destroy();
  }
}
