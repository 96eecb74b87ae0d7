/**
 * One client's end of the graphql-transport-ws protocol: which messages it may send when, and which close codes
 * answer the wrong ones. Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 *
 * What operations do is none of its business (start-operation.ts), nor are time limits (connection-deadlines.ts).
 * Everything about a message happens before the next one is looked at, so a client's messages cannot overtake
 * each other.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { GraphQLFormattedError } from 'graphql';
import { CloseCode, MessageType, validateMessage, type Message, type SubscribePayload } from 'graphql-ws';
import { unattended } from '../../../core/async/unattended.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { RequestOrigin } from '../../../core/access/caller.ts';
import type { AuthenticatedCaller } from '../../credentials/credentials-in-use.ts';
import { NAMING_MEMBERS, type NamingRequest } from '../../operations/persisted-operations/operation-reference.ts';
import type { SubscriptionLimits } from '../../subscriptions/subscription-limits.ts';
import { FrameBatch, encodeId, sharedFrames, type EncodedId } from '../../subscriptions/next-frames.ts';
import { NO_SLOT, type WheelEntry } from './deadline-wheel.ts';
import { textFrames } from './framing/server-frames.ts';
import type { ServerSocket, SocketOwner } from './framing/server-socket.ts';

/** Close codes of RFC 6455 / IANA after which graphql-ws clients connect again. */
export const SERVICE_RESTART = 1012;
export const TRY_AGAIN_LATER = 1013;

/** Where a websocket comes from. Unlike a request it has no id of its own: each of its operations has one. */
export type ConnectionOrigin = Omit<RequestOrigin, 'requestId'>;

/** An operation that a client has open. */
export abstract class OpenOperation {
  /** The next of the connection's. A list of a few costs less than a map of one. */
  next: OpenOperation | null = null;

  constructor(readonly id: string) {}

  /** The client is no longer interested: releases what the operation holds. Nothing is sent any more. */
  abstract end(): void;
}

export interface ConnectionCounters {
  framesSent: number;
  bytesSent: number;
  writes: number;
  slowClosed: number;
  rateClosed: number;
  /** Operations open on all sockets. */
  operations: number;
}

/** What all connections of a server share. */
export interface ConnectionHost {
  readonly limits: SubscriptionLimits;
  readonly counters: ConnectionCounters;
  /** The milliseconds in which the process was able to serve (deadline-wheel.ts). */
  nowMs(): number;
  authenticate(
    params: Record<string, unknown>,
    request: { headers: IncomingHttpHeaders; origin: ConnectionOrigin },
  ): Promise<AuthenticatedCaller>;
  /** Called once the client has said who it is; the connection's socket closes at some time after. */
  identified(connection: ClientConnection, identity: AuthenticatedCaller): void;
  /** Called when a connection has to be looked at in so many milliseconds. */
  lookAgain(connection: ClientConnection, inMs: number): void;
  /** Called once, when the socket has closed. */
  closed(connection: ClientConnection): void;
  /** Begins `payload` and, when it lasts, has the connection hold it. Must not throw. */
  start(connection: ClientConnection, id: string, payload: SubscribePayload): void;
  failed(error: unknown, message: string): void;
}

/**
 * The protocol wants a text in each subscribe message, although it leaves room for operations that are named instead:
 * a client that names one need not send an empty text as well. Throws for what is not a message.
 */
function readMessage(text: string): Message {
  const message: unknown = JSON.parse(text);
  const { type, payload } = (message ?? {}) as {
    type?: unknown;
    payload?: (NamingRequest & { query?: unknown }) | null;
  };
  if (type === MessageType.Subscribe && payload != null && NAMING_MEMBERS.some((name) => payload[name] != null))
    payload.query ??= '';
  return validateMessage(message);
}

const ACKNOWLEDGED = textFrames('{"type":"connection_ack"}');
const PONG = textFrames('{"type":"pong"}');

/** One client's connection. There are tens of thousands of them: what one does not need yet it does not hold. */
export class ClientConnection implements SocketOwner, WheelEntry {
  slot = NO_SLOT;
  #first: OpenOperation | null = null;
  /** What must come to pass before a query may run: upstreams that are still being established. Null for nothing. */
  #pending: Set<Promise<void>> | null = null;
  identity: AuthenticatedCaller | null = null;
  /** Milliseconds since 1970, when the credentials end. */
  expiresAtMs = Infinity;
  /** The host's time, as are the others. */
  readonly openedAt: number;
  closingAt = 0;
  initialised = false;
  /** When the last ping was sent or, where none is under way, a message came; and whether its pong is still due. */
  pingedAt: number;
  pongDue = false;
  /** Since when it has been too far behind to be written to; null where it is not. */
  #behindSince: number | null = null;
  /** The largest answer that may still wait to be read: the client asked for it, so it is no sign of slowness. */
  #allowance = 0;
  /** Until when the messages that have come use up the rate, in milliseconds of performance.now(). */
  #paidUntil = 0;

  constructor(
    private readonly socket: ServerSocket,
    readonly origin: ConnectionOrigin,
    /** Kept until connection_init only. */
    private headers: IncomingHttpHeaders | null,
    /** See admission.ts. */
    readonly admittedAt: number,
    private readonly host: ConnectionHost,
  ) {
    this.openedAt = this.pingedAt = host.nowMs();
  }

  get isOpen(): boolean {
    return this.socket.isOpen;
  }

  /**
   * How much longer than usual a pong may take, in milliseconds: a ping waits behind a large answer, which a vehicle
   * with a poor connection reads at 16 KiB a second.
   */
  get patienceMs(): number {
    if (this.socket.waitingBytes === 0) this.#allowance = 0;
    return this.#allowance / 16;
  }

  /** Whether more waits in this process for the client to read than may. */
  get isOverfull(): boolean {
    const waiting = this.socket.waitingBytes;
    if (waiting === 0) {
      this.#allowance = 0;
      return false;
    }
    return waiting > this.host.limits.bufferedBytes + this.#allowance;
  }

  ping(nowMs: number): void {
    this.pingedAt = nowMs;
    this.pongDue = true;
    this.socket.sendPing();
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  terminate(): void {
    this.socket.terminate();
  }

  closing(): void {
    this.closingAt = this.host.nowMs();
    this.host.lookAgain(this, this.host.limits.closeTimeout);
  }

  closed(): void {
    this.release();
    this.host.closed(this);
  }

  /** Counts a frame of the client's; false, and the socket is closed, when it sends more than it may. */
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
    return this.#withinRate() && !this.#isDropped();
  }

  ponged(): void {
    this.pongDue = false;
    this.#withinRate();
  }

  message(data: Buffer, isText: boolean): void {
    if (!this.#withinRate()) return;
    // Who speaks is there: agents send pings of their own.
    if (!this.pongDue) this.pingedAt = this.host.nowMs();
    let message: Message;
    try {
      if (!isText) throw new Error('Messages must be text frames.');
      message = readMessage(data.toString());
    } catch {
      return this.close(CloseCode.BadRequest, 'Invalid message received');
    }
    switch (message.type) {
      case MessageType.ConnectionInit:
        return this.#initialise(message.payload ?? {});
      case MessageType.Ping:
        if (this.#isDropped()) return;
        return message.payload === undefined || message.payload === null
          ? this.socket.write(PONG)
          : this.send({ type: MessageType.Pong, payload: message.payload });
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
    if (!this.#isDropped()) this.host.start(this, id, payload);
  }

  /** How many operations are open. */
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

  /** Lets queries that come from now on wait. @param until never rejects */
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

  /** What a query has to wait for before it is worth another look; null for nothing. */
  get pending(): Promise<unknown> | null {
    return this.#pending === null ? null : Promise.all(this.#pending);
  }

  /** Sends a protocol message; does nothing when the socket is closing. */
  send(message: object): void {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
  }

  /**
   * Sends the result of a query or mutation, and that there will be no other.
   *
   * @param result as JSON in UTF-8
   * @param isShared whether others may get just these bytes: they are framed once
   */
  sendResult(id: string, result: Buffer, isShared: boolean): void {
    if (!this.isOpen || this.#isDropped()) return;
    const batch = isShared ? sharedFrames(result) : new FrameBatch([result], true);
    const bytes = batch.framesFor(encodeId(id));
    this.socket.write(bytes);
    if (this.socket.waitingBytes === 0) return;
    batch.keep();
    this.#allowance = Math.max(this.#allowance, bytes.length);
  }

  /** The operation `id` has failed, or never begun. */
  sendError(id: string, errors: readonly GraphQLFormattedError[]): void {
    this.send({ id, type: MessageType.Error, payload: errors });
  }

  sendComplete(id: string): void {
    this.send({ id, type: MessageType.Complete });
  }

  /** Writes prebuilt frames; the client must not be overfull. */
  writeFrames(batch: FrameBatch, id: EncodedId): void {
    if (!this.isOpen) return;
    const bytes = batch.framesFor(id);
    this.socket.write(bytes);
    // Nothing waiting: the kernel has copied the bytes, and the next id may be patched into them.
    if (this.socket.waitingBytes > 0) batch.keep();
    const { counters } = this.host;
    counters.framesSent += batch.count;
    counters.bytesSent += bytes.length;
    counters.writes += 1;
  }

  /** Says that something was not written because the client is overfull. @param caughtUp called once it has read all */
  fallBehind(caughtUp: () => void): void {
    const { pongDeadline } = this.host.limits;
    if (this.#behindSince === null) {
      this.#behindSince = this.host.nowMs();
      this.host.lookAgain(this, pongDeadline);
    }
    this.socket.onceDrained(() => {
      this.#behindSince = null;
      caughtUp();
    });
  }

  /** Whether it has been behind for so long that it will hardly catch up. */
  isStuck(nowMs: number): boolean {
    return this.#behindSince !== null && nowMs - this.#behindSince >= this.host.limits.pongDeadline + this.patienceMs;
  }

  /** Drops the client where it does not read what it is sent. */
  #isDropped(): boolean {
    const drops = this.isOverfull;
    if (drops) this.dropSlow();
    return drops;
  }

  dropSlow(): void {
    this.host.counters.slowClosed += 1;
    this.close(TRY_AGAIN_LATER, 'Too slow');
    this.release();
  }

  /** Ends all operations; called when the socket has closed. */
  release(): void {
    while (this.#first !== null) this.take(this.#first.id)?.end();
  }
}
