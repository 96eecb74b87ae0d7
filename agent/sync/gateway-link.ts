/**
 * One websocket to the gateway (graphql-transport-ws), from its opening to its end. It never reconnects: that is
 * for its user, who also decides about codes that the client library takes for final.
 */
import { createClient, type Client } from 'graphql-ws/client';
import { WebSocket, type ClientOptions } from 'ws';
import { CHANGES_SUBSCRIPTION } from './operations.ts';

/** A sync of 1.5 MB of definitions, with room to spare. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

/** Milliseconds that a regular close may take. */
const CLOSING_MS = 1000;

export interface LinkTimings {
  /** Milliseconds for the TCP, TLS and websocket handshakes. */
  readonly openMs: number;
  /** Milliseconds for connection_ack. */
  readonly acknowledgeMs: number;
  /** Milliseconds between pings. */
  readonly pingMs: number;
  /** Milliseconds for a pong. */
  readonly pongMs: number;
  /** Milliseconds for the answer of a query. */
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

/** The gateway's refusal of a query, with what its first error says beside the message. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly code: string | undefined;
  /** Dotted path of what is wrong in the variables. */
  readonly field: string | undefined;
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor(errors: unknown) {
    super(messageOf(errors));
    const [first] = (Array.isArray(errors) ? errors : []) as { extensions?: Record<string, unknown> }[];
    const { code, field, retryAfter } = first?.extensions ?? {};
    this.code = typeof code === 'string' ? code : undefined;
    this.field = typeof field === 'string' ? field : undefined;
    this.retryAfter = typeof retryAfter === 'number' && retryAfter >= 0 ? retryAfter : undefined;
  }
}

export class GatewayLink {
  /** Resolves when the link is down, for whatever reason; never rejects. */
  readonly ended: Promise<LinkEnding>;
  /** Resolves when the gateway has acknowledged; rejects with an Error when the link ends before. */
  readonly acknowledged: Promise<void>;
  readonly #client: Client;
  readonly #timings: LinkTimings;
  #socket: WebSocket | null = null;
  #pongTimer: NodeJS.Timeout | undefined;
  #requests = 0;
  /** Rejects the queries that are under way; a set and not `ended.then`, which would keep every answer until the end. */
  readonly #waiting = new Set<(error: Error) => void>();
  #end!: (ending: LinkEnding) => void;
  /** Why the agent itself cut the link. */
  #cut: string | null = null;

  constructor(url: string, token: string, timings: LinkTimings) {
    this.#timings = timings;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    let acknowledge: () => void;
    this.acknowledged = new Promise((resolve, reject) => {
      acknowledge = resolve;
      void this.ended.then(({ code, reason }) => reject(new Error(`${reason || 'closed'} (${code})`)));
    });
    // Not every user waits for it.
    this.acknowledged.catch(() => undefined);

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
      webSocketImpl: vehicleWebSocket(timings.openMs, (socket) => (this.#socket = socket)),
      on: {
        connected: () => acknowledge(),
        ping: (received) => {
          if (!received) this.#pongTimer = setTimeout(() => this.terminate('no pong'), timings.pongMs).unref();
        },
        pong: (received) => {
          if (received) clearTimeout(this.#pongTimer);
        },
        error: (error) => {
          this.#cut ??= messageOf(error);
          this.terminate(this.#cut);
        },
        closed: (event) => this.#closed(event as { code?: number; reason?: string }),
      },
    });
  }

  /** Starts a subscription. Its results go to `onResult`; when the gateway ends it, the link is closed. */
  subscribe(query: string, variables: Record<string, unknown>, onResult: (result: GraphqlResult) => void): void {
    this.#client.subscribe(
      { query, variables },
      {
        next: (result) => onResult(result as GraphqlResult),
        error: (error) => this.terminate(`subscription refused: ${messageOf(error)}`),
        complete: () => this.terminate('subscription ended by the gateway'),
      },
    );
  }

  /** Runs a query or mutation. Rejects with a RequestRefused when it is refused, with an Error when it is not answered in time, or the link ends. */
  async request(query: string, variables: Record<string, unknown>): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    let abandon: (error: Error) => void;
    try {
      return await new Promise((resolve, reject) => {
        abandon = reject;
        this.#waiting.add(abandon);
        let result: GraphqlResult | undefined;
        timer = setTimeout(() => {
          this.terminate('a query was not answered');
          reject(new Error('not answered in time'));
        }, this.#timings.requestMs).unref();
        this.#client.subscribe(
          { query, variables },
          {
            next: (value) => (result = value as GraphqlResult),
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
    if (this.#socket === null) this.#closed({ code: 1006 });
    else this.#socket.terminate();
  }

  #dispose(): void {
    // While it still connects, disposing rejects with how that ended; `ended` tells it already.
    Promise.resolve(this.#client.dispose()).catch(() => undefined);
  }

  #closed({ code = 1006, reason = '' }: { code?: number; reason?: string }): void {
    clearTimeout(this.#pongTimer);
    // Disposed, or the library would open a new socket after a regular close (1000).
    this.#dispose();
    for (const abandon of this.#waiting) abandon(new Error(`the connection ended (${code})`));
    this.#end({ code, reason: reason || (this.#cut ?? '') });
  }
}

function vehicleWebSocket(openMs: number, onCreated: (socket: WebSocket) => void): typeof WebSocket {
  const options: ClientOptions = {
    // Compression would cost the agent's memory, and the gateway 200 KB a vehicle.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    handshakeTimeout: openMs,
    followRedirects: false,
  };
  return class extends WebSocket {
    constructor(address: string | URL, protocols?: string | string[]) {
      super(address, protocols, options);
      onCreated(this);
    }
  } as typeof WebSocket;
}

function messageOf(error: unknown): string {
  if (Array.isArray(error)) return error.map(messageOf).join('; ');
  const { message, error: inner } = (error ?? {}) as { message?: unknown; error?: unknown };
  if (typeof message === 'string' && message !== '') return message;
  return inner === undefined ? 'connection failed' : messageOf(inner);
}
