/**
 * One client's end of the graphql-transport-ws protocol: which messages it may send when, and which close codes
 * answer the wrong ones. Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 *
 * What operations do is none of its business (start-operation.ts), nor are time limits (connection-sweep.ts).
 * Everything about a message happens before the next one is looked at, so a client's messages cannot overtake
 * each other.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GraphQLFormattedError } from 'graphql';
import { CloseCode, MessageType, validateMessage, type Message, type SubscribePayload } from 'graphql-ws';
import { WebSocket, type RawData } from 'ws';
import { FleetFlagError } from '../../../core/errors.ts';
import type { RequestOrigin } from '../../../core/access/caller.ts';
import type { AuthenticatedCaller } from '../../credentials/credentials-in-use.ts';
import { NAMING_MEMBERS, type NamingRequest } from '../../operations/persisted-operations/operation-reference.ts';
import type { SubscriptionLimits } from '../../subscriptions/subscription-limits.ts';
import { encodeId, type EncodedId, type FrameBatch } from '../../subscriptions/next-frames.ts';

/** Close codes of RFC 6455 / IANA after which graphql-ws clients connect again. */
export const SERVICE_RESTART = 1012;
export const TRY_AGAIN_LATER = 1013;

const END_OF_MESSAGE = Buffer.from('}');

/** An operation that a client has open. */
export interface OpenOperation {
  /** The client is no longer interested: releases what the operation holds. Nothing is sent any more. */
  end(): void;
}

export interface ConnectionCounters {
  framesSent: number;
  bytesSent: number;
  writes: number;
  slowClosed: number;
  rateClosed: number;
}

/** What all connections of a server share. */
export interface ConnectionHost {
  readonly limits: SubscriptionLimits;
  readonly counters: ConnectionCounters;
  authenticate(
    params: Record<string, unknown>,
    request: { headers: IncomingHttpHeaders; origin: RequestOrigin },
  ): Promise<AuthenticatedCaller>;
  /** Called once the client has said who it is; the connection's socket closes at some time after. */
  identified(identity: AuthenticatedCaller): void;
  /** Begins `payload` and, when it lasts, puts it into `connection.operations`. Must not throw. */
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

export class ClientConnection {
  readonly operations = new Map<string, OpenOperation>();
  /** What must come to pass before a query may run: upstreams that are still being established. */
  readonly pending = new Set<Promise<void>>();
  identity: AuthenticatedCaller | null = null;
  /** Milliseconds, performance.now(). */
  readonly openedAt = performance.now();
  initialised = false;
  /** When the last ping was sent, and whether its pong is still due. */
  pingedAt = this.openedAt;
  pongDue = false;
  /** The largest answer that may still wait to be read: the client asked for it, so it is no sign of slowness. */
  private allowance = 0;
  /** A token bucket: messages that may come now, as of `refilledAt`. */
  private messagesLeft: number;
  private refilledAt = this.openedAt;

  constructor(
    readonly socket: WebSocket,
    /** The socket under the WebSocket, for prebuilt frames. */
    private readonly raw: Duplex,
    readonly origin: RequestOrigin,
    /** Kept until connection_init only. */
    private headers: IncomingHttpHeaders | null,
    private readonly host: ConnectionHost,
  ) {
    this.messagesLeft = host.limits.messageBurst;
  }

  get open(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /**
   * How much longer than usual a pong may take, in milliseconds: a ping waits behind a large answer, which a vehicle
   * with a poor connection reads at 16 KiB a second.
   */
  get patience(): number {
    if (this.raw.writableLength === 0) this.allowance = 0;
    return this.allowance / 16;
  }

  /** Whether more waits in this process for the client to read than may. */
  private get overfull(): boolean {
    const waiting = this.raw.writableLength;
    if (waiting === 0) this.allowance = 0;
    return waiting > this.host.limits.bufferedBytes + this.allowance;
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  /** Counts a frame of the client's; false, and the socket is closed, when it sends more than it may. */
  withinRate(): boolean {
    const { messagesPerSecond, messageBurst } = this.host.limits;
    const now = performance.now();
    this.messagesLeft =
      Math.min(messageBurst, this.messagesLeft + ((now - this.refilledAt) / 1000) * messagesPerSecond) - 1;
    this.refilledAt = now;
    if (this.messagesLeft >= 0) return true;
    this.host.counters.rateClosed += 1;
    this.close(TRY_AGAIN_LATER, 'Too many messages');
    this.release();
    return false;
  }

  receive(data: RawData, isBinary: boolean): void {
    // After our close frame nothing that the client says counts.
    if (!this.open || !this.withinRate()) return;
    let message: Message;
    try {
      if (isBinary) throw new Error('Messages must be text frames.');
      message = readMessage((data as Buffer).toString());
    } catch {
      return this.close(CloseCode.BadRequest, 'Invalid message received');
    }
    switch (message.type) {
      case MessageType.ConnectionInit:
        return this.initialise(message.payload ?? {});
      case MessageType.Ping:
        return this.send(
          message.payload ? { type: MessageType.Pong, payload: message.payload } : { type: MessageType.Pong },
        );
      case MessageType.Pong:
        return;
      case MessageType.Subscribe:
        return this.subscribe(message.id, message.payload);
      case MessageType.Complete:
        return this.take(message.id)?.end();
      default:
        return this.close(CloseCode.BadRequest, 'Invalid message received');
    }
  }

  private initialise(params: Record<string, unknown>): void {
    if (this.initialised)
      return this.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
    this.initialised = true;
    const headers = this.headers ?? {};
    this.headers = null;
    this.host.authenticate(params, { headers, origin: this.origin }).then(
      (identity) => {
        if (!this.open) return;
        this.identity = identity;
        this.host.identified(identity);
        this.send({ type: MessageType.ConnectionAck });
      },
      (error: unknown) => {
        const refused =
          error instanceof FleetFlagError && (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN');
        // A close frame takes 123 bytes of reason (RFC 6455, section 5.5).
        if (refused)
          return this.close(
            CloseCode.Forbidden,
            Buffer.from(`Forbidden: ${error.message}`).subarray(0, 120).toString(),
          );
        if (!(error instanceof FleetFlagError))
          this.host.failed(error, 'Cannot authenticate a websocket; closing it so that the client tries again later');
        this.close(TRY_AGAIN_LATER, 'Try again later');
      },
    );
  }

  private subscribe(id: string, payload: SubscribePayload): void {
    if (this.identity === null) return this.close(CloseCode.Unauthorized, 'Unauthorized');
    if (id.length > this.host.limits.maxIdBytes || encodeId(id).bytes > this.host.limits.maxIdBytes) {
      return this.close(CloseCode.BadRequest, 'Operation id too long');
    }
    if (this.operations.has(id))
      return this.close(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`.slice(0, 100));
    // A client that does not read its answers gets no more of them.
    if (this.overfull) return this.dropSlow();
    this.host.start(this, id, payload);
  }

  /** Takes the operation `id` out of the open ones; undefined when it is not (or no longer) open. */
  take(id: string): OpenOperation | undefined {
    const operation = this.operations.get(id);
    this.operations.delete(id);
    return operation;
  }

  /** Sends a protocol message; does nothing when the socket is closing. */
  send(message: object): void {
    if (!this.open) return;
    this.socket.send(JSON.stringify(message));
  }

  /**
   * Sends the result of a query or mutation, and that there will be no other.
   *
   * @param result as JSON in UTF-8
   */
  sendResult(id: string, result: Buffer): void {
    if (!this.open) return;
    if (this.overfull) return this.dropSlow();
    const message = Buffer.concat([
      Buffer.from(`{"id":${JSON.stringify(id)},"type":"${MessageType.Next}","payload":`),
      result,
      END_OF_MESSAGE,
    ]);
    this.socket.send(message, { binary: false });
    if (this.raw.writableLength > 0) this.allowance = Math.max(this.allowance, message.length);
    this.sendComplete(id);
  }

  /** The operation `id` has failed, or never begun. */
  sendError(id: string, errors: readonly GraphQLFormattedError[]): void {
    this.send({ id, type: MessageType.Error, payload: errors });
  }

  sendComplete(id: string): void {
    this.send({ id, type: MessageType.Complete });
  }

  /**
   * Writes prebuilt frames past `ws` to the socket. That cannot split a frame of its own: without
   * permessage-deflate `ws` writes each frame synchronously and whole (Sender.sendFrame: cork, header, data, uncork).
   */
  writeFrames(batch: FrameBatch, id: EncodedId): void {
    if (!this.open) return;
    if (this.overfull) return this.dropSlow();
    const bytes = batch.framesFor(id);
    this.raw.write(bytes);
    // Nothing waiting: the kernel has copied the bytes, and the next id may be patched into them.
    if (this.raw.writableLength > 0) batch.keep();
    const { counters } = this.host;
    counters.framesSent += batch.count;
    counters.bytesSent += bytes.length;
    counters.writes += 1;
  }

  private dropSlow(): void {
    this.host.counters.slowClosed += 1;
    this.close(TRY_AGAIN_LATER, 'Too slow');
    this.release();
  }

  /** Ends all operations; called when the socket has closed. */
  release(): void {
    const operations = [...this.operations.values()];
    this.operations.clear();
    for (const operation of operations) operation.end();
  }
}
