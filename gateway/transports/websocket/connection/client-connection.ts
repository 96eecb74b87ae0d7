/**
 * One client's end of the graphql-transport-ws protocol: which messages it may send when, and which close codes answer
 * the wrong ones. Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 *
 * Other files have the operations (start-operation.ts), the time limits (connection-deadlines.ts), and the bytes that
 * wait for the client (client-output.ts). Everything about a message happens before the next one is read, so a client's
 * messages cannot overtake each other.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { CloseCode, MessageType, type Message, type SubscribePayload } from 'graphql-ws';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import type { AuthenticatedCaller } from '../../../credentials/credentials-in-use.ts';
import { encodeId } from '../../../subscriptions/next-frames.ts';
import { textFrames } from '../framing/server-frames.ts';
import type { ServerSocket, SocketOwner } from '../framing/server-socket.ts';
import { isBarePing, readMessage } from './client-message.ts';
import { ClientOutput } from './client-output.ts';
import { TRY_AGAIN_LATER, type ConnectionHost, type ConnectionOrigin } from './connection-host.ts';
import { NO_SLOT, type WheelEntry } from './deadline-wheel.ts';
import type { OpenOperation } from './open-operation.ts';

const ACKNOWLEDGED = textFrames('{"type":"connection_ack"}');
const PONG = textFrames('{"type":"pong"}');

/** One client's connection. There are tens of thousands of them, so each holds only what it needs at the time. */
export class ClientConnection extends ClientOutput implements SocketOwner, WheelEntry {
  slot = NO_SLOT;
  #first: OpenOperation | null = null;
  /** The upstreams that are still being established, before which no query may run; null where there are none. */
  #pending: Set<Promise<void>> | null = null;
  identity: AuthenticatedCaller | null = null;
  /** The time at which the credentials end, in milliseconds since 1970. */
  expiresAtMs = Infinity;
  /** The time by the host's clock, like all times of a connection that have no other unit. */
  readonly openedAt: number;
  closingAt = 0;
  initialised = false;
  /** The time of the last ping or, where none is under way, of the last message; and whether its pong is still due. */
  pingedAt: number;
  pongDue = false;
  /** The time until which its messages use up the rate, in milliseconds of performance.now(). */
  #paidUntil = 0;

  constructor(
    socket: ServerSocket,
    readonly origin: ConnectionOrigin,
    /** The header fields of the upgrade; null after connection_init. */
    private headers: IncomingHttpHeaders | null,
    /** The tick of its admission (admission.ts). */
    readonly admittedAt: number,
    host: ConnectionHost,
  ) {
    super(socket, host);
    this.openedAt = this.pingedAt = host.nowMs();
  }

  ping(nowMs: number): void {
    this.pingedAt = nowMs;
    this.pongDue = true;
    this.socket.sendPing();
  }

  terminate(): void {
    this.socket.terminate();
  }

  closing(): void {
    this.closingAt = this.host.nowMs();
    this.checkAgain(this.host.limits.closeTimeoutMs);
  }

  protected checkAgain(inMs: number): void {
    this.host.checkAgain(this, inMs);
  }

  closed(): void {
    this.release();
    this.host.closed(this);
  }

  /** Counts a frame of the client. Gives false, and closes the socket, when the client exceeds its rate. */
  #withinRate(): boolean {
    const { messagesPerSecond, messageBurst } = this.host.limits;
    const now = Math.trunc(performance.now());
    const oneMs = 1_000 / messagesPerSecond;
    // GCRA (ITU-T I.371): a bucket of messages as one number.
    this.#paidUntil = Math.max(this.#paidUntil, now) + oneMs;
    if (this.#paidUntil - now <= messageBurst * oneMs) return true;
    this.host.counters.rateClosed += 1;
    this.close(TRY_AGAIN_LATER, 'Too many messages');
    this.release();
    return false;
  }

  pinged(): boolean {
    return this.#withinRate() && !this.isDropped();
  }

  ponged(): void {
    this.pongDue = false;
    this.#withinRate();
  }

  message(data: Buffer, isText: boolean): void {
    if (!this.#withinRate()) return;
    // A client that sends something is there: agents send pings of their own.
    if (!this.pongDue) this.pingedAt = this.host.nowMs();
    if (isText && isBarePing(data)) return this.#answerPing();
    let message: Message;
    try {
      if (!isText) throw new Error('Messages must be text frames.');
      message = readMessage(data.toString());
    } catch {
      return this.close(CloseCode.BadRequest, 'Invalid message received');
    }
    try {
      this.#act(message);
    } catch (error) {
      // One client's message must not end the process that serves all others.
      this.host.failed(error, "Cannot take a websocket's message; closing the socket");
      this.close(CloseCode.InternalServerError, 'Internal server error');
      this.release();
    }
  }

  #act(message: Message): void {
    switch (message.type) {
      case MessageType.ConnectionInit:
        return this.#initialise(message.payload ?? {});
      case MessageType.Ping:
        return this.#answerPing(message.payload);
      case MessageType.Pong:
        return;
      case MessageType.Subscribe:
        return this.#subscribe(message.id, message.payload);
      case MessageType.Complete:
        return this.take(message.id)?.end();
      default:
        return this.close(CloseCode.BadRequest, 'Invalid message received');
    }
  }

  #answerPing(payload?: Record<string, unknown> | null): void {
    if (this.isDropped()) return;
    if (payload == null) this.socket.write(PONG);
    else this.send({ type: MessageType.Pong, payload });
  }

  #initialise(params: Record<string, unknown>): void {
    if (this.initialised)
      return this.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
    this.initialised = true;
    const headers = this.headers ?? {};
    this.headers = null;
    this.host.authenticate(params, { headers, origin: this.origin }).then(
      (identity) => {
        if (this.isOpen) this.#identify(identity);
      },
      (error: unknown) => this.#refuse(error),
    );
  }

  #identify({ expiresAt, ...identity }: AuthenticatedCaller): void {
    this.identity = identity;
    if (expiresAt !== undefined) this.expiresAtMs = expiresAt.getTime();
    this.host.identified(this, identity);
    this.socket.write(ACKNOWLEDGED);
  }

  #refuse(error: unknown): void {
    const refused = error instanceof FleetFlagError && (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN');
    // A close frame takes 123 bytes of reason (RFC 6455, section 5.5).
    if (refused)
      return this.close(CloseCode.Forbidden, Buffer.from(`Forbidden: ${error.message}`).subarray(0, 120).toString());
    if (!(error instanceof FleetFlagError))
      this.host.failed(error, 'Cannot authenticate a websocket; closing it so that the client tries again later');
    this.close(TRY_AGAIN_LATER, 'Try again later');
  }

  #subscribe(id: string, payload: SubscribePayload): void {
    if (this.identity === null) return this.close(CloseCode.Unauthorized, 'Unauthorized');
    if (id.length > this.host.limits.maxIdBytes || encodeId(id).bytes > this.host.limits.maxIdBytes) {
      return this.close(CloseCode.BadRequest, 'Operation id too long');
    }
    if (this.#find(id) !== null)
      return this.close(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`.slice(0, 100));
    // A client that does not read its answers gets no more of them.
    if (!this.isDropped()) this.host.start(this, id, payload);
  }

  /** The number of open operations. */
  get operationCount(): number {
    let count = 0;
    for (let operation = this.#first; operation !== null; operation = operation.next) count += 1;
    return count;
  }

  #find(id: string): OpenOperation | null {
    let operation = this.#first;
    while (operation !== null && operation.id !== id) operation = operation.next;
    return operation;
  }

  /** Holds an operation whose id is not taken. */
  hold(operation: OpenOperation): void {
    operation.next = this.#first;
    this.#first = operation;
    this.host.counters.operations += 1;
  }

  /** Takes the operation `id` out of the open ones; undefined when it is not (or no longer) open. */
  take(id: string): OpenOperation | undefined {
    const operation = this.#find(id);
    if (operation === null) return undefined;
    if (this.#first === operation) this.#first = operation.next;
    else {
      let before = this.#first;
      while (before !== null && before.next !== operation) before = before.next;
      if (before !== null) before.next = operation.next;
    }
    operation.next = null;
    this.host.counters.operations -= 1;
    return operation;
  }

  /** The open operations, the newest first. */
  *operations(): Iterable<OpenOperation> {
    for (let operation = this.#first; operation !== null;) {
      const { next } = operation;
      yield operation;
      operation = next;
    }
  }

  /**
   * Delays the queries that come from now on.
   *
   * @param until never rejects
   */
  delayQueries(until: Promise<void>): void {
    const pending = (this.#pending ??= new Set());
    pending.add(until);
    unattended(
      until.then(() => {
        pending.delete(until);
        if (pending.size === 0) this.#pending = null;
      }),
      'Waiting for a subscription to start',
    );
  }

  /** Resolves when the upstreams that are pending now are established; null where no query has to wait. */
  get pending(): Promise<unknown> | null {
    return this.#pending === null ? null : Promise.all(this.#pending);
  }

  /** Ends all operations; called when the socket has closed. */
  release(): void {
    while (this.#first !== null) this.take(this.#first.id)?.end();
  }
}
