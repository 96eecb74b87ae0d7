/**
 * One websocket to the gateway (graphql-transport-ws), from its opening to its end. It never reconnects: that is
 * for its user, who also decides about codes that the client library takes for final.
 */
import type { Socket } from 'node:net';
import { createClient, type Client } from 'graphql-ws/client';
import { WebSocket } from 'ws';
import { describeError } from '../log.ts';
import { CHANGES_SUBSCRIPTION } from './operations.ts';
import type { Route } from './route.ts';
import { CLOSING_MS, vehicleWebSocket } from './vehicle-web-socket.ts';
import { membersOf } from '../../core/json/json-value.ts';

/** How many times as long an answer may take that is on its way: 1.5 MB at 2.5 KB a second with the usual timings. */
const SLOW_ANSWER = 20;

export interface LinkTimings {
  /** Milliseconds for the proxy and the TCP, TLS and websocket handshakes together. */
  readonly openMs: number;
  /** Milliseconds for connection_ack. */
  readonly acknowledgeMs: number;
  /** Milliseconds between pings. */
  readonly pingMs: number;
  /** Milliseconds for a pong, or anything else: a pong waits behind a large answer that is still arriving. */
  readonly pongMs: number;
  /** Milliseconds for the answer of a query to begin, and then without a byte of it. */
  readonly requestMs: number;
}

/** How a link ended. */
export interface LinkEnding {
  /** The websocket's close code; 1006 without one. */
  readonly code: number;
  readonly reason: string;
}

/** A GraphQL answer, nothing of it checked. */
export interface GraphqlResult {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[];
}

/**
 * Bounds, in seconds, of the wait that a refusal can name. Nobody signs it: it must neither silence a vehicle nor make
 * it ask without end.
 */
const RETRY_AFTER = { least: 1, most: 3_600 } as const;

/** The gateway's refusal of a query, with what its first error says beside the message. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly code: string | undefined;
  /** Dotted path of what is wrong in the variables. */
  readonly field: string | undefined;
  /** Seconds, 1 to 3,600 whatever was named. */
  readonly retryAfter: number | undefined;

  constructor(errors: unknown) {
    super(messageOf(errors));
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const { code, field, retryAfter } = membersOf(membersOf(first).extensions);
    this.code = typeof code === 'string' ? code : undefined;
    this.field = typeof field === 'string' ? field : undefined;
    this.retryAfter =
      typeof retryAfter === 'number' && retryAfter >= 0
        ? Math.min(Math.max(retryAfter, RETRY_AFTER.least), RETRY_AFTER.most)
        : undefined;
  }
}

/**
 * Milliseconds until a refused request is to be sent again, spread over as long again so that a fleet does not come
 * back in one wave; undefined where the gateway named no time.
 */
export function retryAfterMs(error: unknown, random: () => number): number | undefined {
  const { retryAfter } = error instanceof RequestRefused ? error : {};
  return retryAfter === undefined ? undefined : retryAfter * 1_000 * (1 + random());
}

export class GatewayLink {
  /** Resolves when the link is down, for whatever reason; never rejects. */
  readonly ended: Promise<LinkEnding>;
  /** Resolves when the gateway has acknowledged; rejects with an Error when the link ends before. */
  readonly acknowledged: Promise<void>;
  readonly #client: Client;
  readonly #timings: LinkTimings;
  #socket: WebSocket | null = null;
  /** What is under the websocket once it is open. */
  #raw: Socket | null = null;
  /** Bytes that had been read when the last message was complete. */
  #bytesOfMessages = 0;
  readonly #opening = new AbortController();
  readonly #openTimer: NodeJS.Timeout;
  #pongTimer: NodeJS.Timeout | undefined;
  #requests = 0;
  /**
   * Rejects the queries that are under way; a set and not `ended.then`, which would keep every answer until the end.
   */
  readonly #waiting = new Set<(error: Error) => void>();
  #end!: (ending: LinkEnding) => void;
  /** Why the agent itself cut the link. */
  #cut: string | null = null;
  #isOver = false;

  constructor(url: string, token: string, timings: LinkTimings, route: Route) {
    this.#timings = timings;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    let acknowledge: () => void;
    this.acknowledged = new Promise((resolve, reject) => {
      acknowledge = resolve;
      this.ended.then(({ code, reason }) => reject(new Error(`${reason || 'closed'} (${code})`)), reject);
    });
    // Not every user waits for it.
    this.acknowledged.catch(() => undefined);
    // One for all of it: a handshake that comes a byte at a time would outlast any limit between two bytes.
    this.#openTimer = setTimeout(
      () => this.terminate(`no handshake within ${timings.openMs} ms`),
      timings.openMs,
    ).unref();

    this.#client = createClient({
      url,
      lazy: false,
      retryAttempts: 0,
      onNonLazyError: () => undefined,
      connectionParams: { authorization: `Bearer ${token}` },
      connectionAckWaitTimeout: timings.acknowledgeMs,
      keepAlive: timings.pingMs,
      // The stream has one id in all vehicles, so that the gateway can send all of them the same bytes.
      generateID: ({ query }) => (query === CHANGES_SUBSCRIPTION ? 'changes' : `request-${++this.#requests}`),
      webSocketImpl: vehicleWebSocket(
        route.connection(new URL(url).protocol === 'wss:', this.#opening.signal),
        (socket) => {
          this.#socket = socket;
          socket.once('upgrade', (response) => (this.#raw = response.socket));
        },
      ),
      on: {
        opened: () => clearTimeout(this.#openTimer),
        connected: () => acknowledge(),
        message: () => (this.#bytesOfMessages = this.#bytesRead),
        ping: (received) => {
          if (!received) this.#awaitPong();
        },
        pong: (received) => {
          if (received) clearTimeout(this.#pongTimer);
        },
        error: (error) => {
          this.#cut ??= messageOf(error);
          this.terminate(this.#cut);
        },
        closed: (event) => {
          const { code, reason } = membersOf(event);
          this.#closed({
            ...(typeof code === 'number' && { code }),
            ...(typeof reason === 'string' && { reason }),
          });
        },
      },
    });
  }

  get #bytesRead(): number {
    return this.#raw?.bytesRead ?? 0;
  }

  /** Drops the link when nothing at all comes any more. */
  #awaitPong(): void {
    const before = this.#bytesRead;
    this.#pongTimer = setTimeout(() => {
      if (this.#bytesRead > before) this.#awaitPong();
      else this.terminate('no pong');
    }, this.#timings.pongMs).unref();
  }

  /** Starts a subscription. Its results go to `onResult`; when the gateway ends it, the link is closed. */
  subscribe(query: string, variables: Record<string, unknown>, onResult: (result: GraphqlResult) => void): void {
    // The library would open another socket.
    if (this.#isOver) return;
    this.#client.subscribe(
      { query, variables },
      {
        next: (result) => onResult(result),
        error: (error) => this.terminate(`subscription refused: ${messageOf(error)}`),
        complete: () => this.terminate('subscription ended by the gateway'),
      },
    );
  }

  /**
   * Runs a query or mutation. Rejects with a RequestRefused when it is refused, with an Error when it is not answered
   * in time, or the link ends.
   */
  async request(query: string, variables: Record<string, unknown>): Promise<unknown> {
    if (this.#isOver) throw new Error('the connection has ended');
    let timer: NodeJS.Timeout | undefined;
    let abandon: (error: Error) => void;
    try {
      return await new Promise((resolve, reject) => {
        abandon = reject;
        this.#waiting.add(abandon);
        let result: GraphqlResult | undefined;
        const latest = performance.now() + this.#timings.requestMs * SLOW_ANSWER;
        const awaitAnswer = () => {
          const before = this.#bytesRead;
          timer = setTimeout(() => {
            // Bytes after the last whole message are those of one that is arriving; pongs alone are no answer.
            if (this.#bytesRead > Math.max(before, this.#bytesOfMessages) && performance.now() < latest)
              return awaitAnswer();
            this.terminate('a query was not answered');
            reject(new Error('not answered in time'));
          }, this.#timings.requestMs).unref();
        };
        awaitAnswer();
        this.#client.subscribe(
          { query, variables },
          {
            next: (value) => (result = value),
            error: (error) => reject(new RequestRefused(error)),
            complete: () => {
              if (result?.errors !== undefined && result.errors.length > 0) reject(new RequestRefused(result.errors));
              else resolve(result?.data);
            },
          },
        );
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(abandon!);
    }
  }

  /** Closes in the regular way. */
  close(): void {
    this.#dispose();
    // A gateway that does not answer the closing handshake must not hold a stopping agent.
    if (this.#socket?.readyState === WebSocket.CONNECTING) this.terminate('closed');
    else setTimeout(() => this.terminate('closed'), CLOSING_MS).unref();
  }

  /** Drops the connection at once: for a peer that no longer answers. */
  terminate(reason: string): void {
    this.#cut ??= reason;
    this.#opening.abort();
    if (this.#socket === null) this.#closed({ code: 1006 });
    else this.#socket.terminate();
  }

  #dispose(): void {
    // While it still connects, disposing rejects with how that ended; `ended` tells it already.
    Promise.resolve(this.#client.dispose()).catch(() => undefined);
  }

  #closed({ code = 1006, reason = '' }: { code?: number; reason?: string }): void {
    this.#isOver = true;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#pongTimer);
    // Disposed, or the library would open a new socket after a regular close (1000).
    this.#dispose();
    for (const abandon of this.#waiting) abandon(new Error(`the connection ended (${code})`));
    this.#end({ code, reason: reason || (this.#cut ?? '') });
  }
}

function messageOf(error: unknown): string {
  if (Array.isArray(error)) return error.map(messageOf).join('; ');
  const { message, error: cause } = membersOf(error);
  if (cause !== undefined) return describeError(cause);
  if (error instanceof Error || typeof message !== 'string' || message === '') return describeError(error);
  return message;
}
