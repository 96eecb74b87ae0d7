/**
 * A link: one websocket to the gateway (graphql-transport-ws), from its opening to its end. It never reconnects. The
 * code that opens it does, and also handles close codes that the client library considers fatal.
 */
import type { Socket } from 'node:net';
import { createClient, type Client } from 'graphql-ws/client';
import { WebSocket } from 'ws';
import { ERROR_CATALOGUE } from '../../core/errors.ts';
import { describeError } from '../log.ts';
import { FORMER_OPERATIONS, OPERATIONS } from './operations.ts';
import type { Route } from './route.ts';
import { CLOSING_MS, vehicleWebSocket } from './vehicle-web-socket.ts';
import { membersOf } from '../../core/json/json-value.ts';

/**
 * The factor by which an answer that is arriving may exceed `requestMs`. With the default timings it allows for 1.5 MB
 * at 2.5 KB a second.
 */
const SLOW_ANSWER_FACTOR = 20;

/** The timings of a link, in milliseconds. */
export interface LinkTimings {
  /** The timeout of the proxy and the TCP, TLS and websocket handshakes together. */
  readonly openMs: number;
  /** The timeout of connection_ack. */
  readonly acknowledgeMs: number;
  /** The time between two pings. */
  readonly pingMs: number;
  /** The timeout of a pong. Any other byte counts as well, because a pong waits behind an answer that is arriving. */
  readonly pongMs: number;
  /** The timeout of the first byte of an answer, and after it of each further byte. */
  readonly requestMs: number;
}

const SUBSCRIPTIONS: ReadonlySet<string> = new Set([OPERATIONS.changes, FORMER_OPERATIONS.changes]);

/** The way in which a link ended. */
export interface LinkEnding {
  /** The websocket's close code; 1006 where there was none. */
  readonly code: number;
  readonly reason: string;
  /** The seconds after which the gateway will have room; undefined where it has named no time. */
  readonly retryAfter?: number | undefined;
}

/** A GraphQL answer that has not been checked. */
export interface GraphqlResult {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[];
}

/**
 * The bounds, in seconds, of the wait that a refusal may name. Refusals are not signed, so one must neither silence a
 * vehicle nor make it send requests without end.
 */
const RETRY_AFTER_SECONDS = { least: 1, most: 3_600 } as const;

/**
 * The longest wait before the next handshake that a gateway may name, in seconds: a vehicle without a connection gets
 * no kill switch.
 */
const MAX_ADMISSION_WAIT_SECONDS = 60;

/** Reads when a gateway that admits no more vehicles for now will have room. A Retry-After with a date is ignored. */
function admissionWait(status: number, retryAfter: string | undefined): number | undefined {
  if (status !== 503 || retryAfter === undefined || !/^\d{1,6}$/.test(retryAfter)) return undefined;
  return Math.min(Math.max(Number(retryAfter), RETRY_AFTER_SECONDS.least), MAX_ADMISSION_WAIT_SECONDS);
}

/** The paths of faults in the variable `input`. */
const INPUT_FIELD = /^input(\.|$)/;

const MAY_PASS_SOON: ReadonlySet<string> = new Set(
  Object.entries(ERROR_CATALOGUE).flatMap(([code, { retryable }]) => (retryable ? [code] : [])),
);

/**
 * The beginning of graphql-js' messages about what a schema lacks. The gateway gives them the code of all wrong input.
 */
const LACKING = /^(Unknown argument|Cannot query field) "/;

/** The gateway's refusal of a query, with the extensions of its first error. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly code: string | undefined;
  /** The dotted path of the fault in the variables. */
  readonly field: string | undefined;
  /** The seconds to wait, brought into the range from 1 to 3,600. */
  readonly retryAfter: number | undefined;

  constructor(errors: unknown) {
    super(messageOf(errors));
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const { code, field, retryAfter } = membersOf(membersOf(first).extensions);
    this.code = typeof code === 'string' ? code : undefined;
    this.field = typeof field === 'string' ? field : undefined;
    this.retryAfter =
      typeof retryAfter === 'number' && retryAfter >= 0
        ? Math.min(Math.max(retryAfter, RETRY_AFTER_SECONDS.least), RETRY_AFTER_SECONDS.most)
        : undefined;
  }

  /** Whether the content of the request is refused, which it would be at each further attempt as well. */
  get isAboutInput(): boolean {
    return (this.code === 'BAD_USER_INPUT' || this.code === 'LIMIT_EXCEEDED') && INPUT_FIELD.test(this.field ?? '');
  }

  /**
   * Whether the operation names something that the control plane does not have, because it is older than this version.
   */
  get isUnknownOperation(): boolean {
    return LACKING.test(this.message);
  }

  /** Whether the same request may be accepted soon. An older control plane may not know a request at all. */
  get mayPassSoon(): boolean {
    return this.code === undefined || MAY_PASS_SOON.has(this.code);
  }
}

/**
 * Gives the milliseconds until a refused request may be sent again. They are spread over up to twice the named time, so
 * that a fleet does not send all at once. Undefined where the gateway named no time.
 */
export function retryAfterMs(error: unknown, random: () => number): number | undefined {
  const { retryAfter } = error instanceof RequestRefused ? error : {};
  return retryAfter === undefined ? undefined : retryAfter * 1_000 * (1 + random());
}

/** One link to the gateway. */
export class GatewayLink {
  /** Resolves when the link has ended, for whatever reason; never rejects. */
  readonly ended: Promise<LinkEnding>;
  /** Resolves when the gateway has acknowledged the connection; rejects with an Error when the link ends first. */
  readonly acknowledged: Promise<void>;
  readonly #client: Client;
  readonly #timings: LinkTimings;
  #socket: WebSocket | null = null;
  /** The TCP or TLS socket under the websocket; null until the gateway has accepted the handshake. */
  #raw: Socket | null = null;
  /** The number of bytes that had been read when the last message was complete. */
  #bytesOfMessages = 0;
  /** Aborts the opening of the connection. */
  readonly #opening = new AbortController();
  readonly #openTimer: NodeJS.Timeout;
  #pongTimer: NodeJS.Timeout | undefined;
  /** The number of requests so far, which makes their ids. */
  #requests = 0;
  /**
   * The functions that reject the pending queries. They are in a set, because `ended.then` would keep every answer in
   * memory until the end.
   */
  readonly #waiting = new Set<(error: Error) => void>();
  /** Resolves `ended`. */
  #end!: (ending: LinkEnding) => void;
  /** The reason why the agent itself dropped the link; null where it did not. */
  #dropReason: string | null = null;
  /** The seconds after which the gateway that has refused the handshake will have room. */
  #retryAfter: number | undefined;
  /** Whether the link has ended. */
  #isOver = false;

  constructor(url: string, token: string, timings: LinkTimings, route: Route) {
    this.#timings = timings;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    let acknowledge: () => void;
    this.acknowledged = new Promise((resolve, reject) => {
      acknowledge = resolve;
      this.ended.then(({ code, reason }) => reject(new Error(`${reason || 'closed'} (${code})`)), reject);
    });
    // Not every user waits for the acknowledgement.
    this.acknowledged.catch(() => undefined);
    // One timeout covers all handshakes: one that arrives a byte at a time would outlast any limit between two bytes.
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
      // The subscription has the same id in all vehicles, so that the gateway can send all of them the same bytes.
      generateID: ({ query }) => (SUBSCRIPTIONS.has(query) ? 'changes' : `request-${++this.#requests}`),
      webSocketImpl: vehicleWebSocket(route.connection(new URL(url).protocol === 'wss:', this.#opening.signal), {
        created: (socket) => {
          this.#socket = socket;
          socket.once('upgrade', (response) => (this.#raw = response.socket));
        },
        refused: (status, retryAfter) => {
          this.#retryAfter = admissionWait(status, retryAfter);
          this.#dropReason ??= `Unexpected server response: ${status}`;
        },
      }),
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
          this.#dropReason ??= messageOf(error);
          this.terminate(this.#dropReason);
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

  /** Drops the link when no byte arrives within the timeout of a pong. */
  #awaitPong(): void {
    const before = this.#bytesRead;
    this.#pongTimer = setTimeout(() => {
      if (this.#bytesRead > before) this.#awaitPong();
      else this.terminate('no pong');
    }, this.#timings.pongMs).unref();
  }

  /**
   * Starts a subscription, whose results go to `onResult`. When the gateway ends it, the link is closed, unless `onEnd`
   * says that the link goes on.
   *
   * @param onEnd called with the refusal, or with null where the gateway has completed the subscription
   */
  subscribe(
    query: string,
    variables: Record<string, unknown>,
    onResult: (result: GraphqlResult) => void,
    onEnd: (refusal: RequestRefused | null) => boolean = () => false,
  ): void {
    // After the end, the library would open another socket.
    if (this.#isOver) return;
    this.#client.subscribe(
      { query, variables },
      {
        next: (result) => onResult(result),
        error: (error) => {
          // An Error comes from the end of the link itself.
          const refusal = Array.isArray(error) ? new RequestRefused(error) : null;
          if (this.#isOver || refusal === null || !onEnd(refusal))
            this.terminate(`subscription refused: ${messageOf(error)}`);
        },
        complete: () => {
          if (this.#isOver || !onEnd(null)) this.terminate('subscription ended by the gateway');
        },
      },
    );
  }

  /**
   * Runs a query or mutation and resolves to its `data`. Rejects with a RequestRefused when it is refused, and with an
   * Error when it times out or the link ends.
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
        const latest = performance.now() + this.#timings.requestMs * SLOW_ANSWER_FACTOR;
        const awaitAnswer = () => {
          const before = this.#bytesRead;
          timer = setTimeout(() => {
            // Bytes after the last complete message belong to one that is arriving. Pongs alone do not count.
            if (this.#bytesRead > Math.max(before, this.#bytesOfMessages) && performance.now() < latest)
              return awaitAnswer();
            this.terminate('a query was not answered in time');
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

  /** Closes the link in the regular way. */
  close(): void {
    this.#dispose();
    // A gateway that does not answer the closing handshake must not hold up an agent that stops.
    if (this.#socket?.readyState === WebSocket.CONNECTING) this.terminate('closed');
    else setTimeout(() => this.terminate('closed'), CLOSING_MS).unref();
  }

  /** Drops the connection at once, for a peer that no longer answers. */
  terminate(reason: string): void {
    this.#dropReason ??= reason;
    this.#opening.abort();
    if (this.#socket === null) this.#closed({ code: 1006 });
    else this.#socket.terminate();
  }

  #dispose(): void {
    // While the client connects, disposing rejects with the failure to connect, which `ended` already reports.
    Promise.resolve(this.#client.dispose()).catch(() => undefined);
  }

  #closed({ code = 1006, reason = '' }: { code?: number; reason?: string }): void {
    this.#isOver = true;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#pongTimer);
    // Without disposing, the library would open a new socket after a regular close (1000).
    this.#dispose();
    for (const abandon of this.#waiting) abandon(new Error(`the connection ended (${code})`));
    this.#end({ code, reason: reason || (this.#dropReason ?? ''), retryAfter: this.#retryAfter });
  }
}

function messageOf(error: unknown): string {
  if (Array.isArray(error)) return error.map(messageOf).join('; ');
  const { message, error: cause } = membersOf(error);
  if (cause !== undefined) return describeError(cause);
  if (error instanceof Error || typeof message !== 'string' || message === '') return describeError(error);
  return message;
}
