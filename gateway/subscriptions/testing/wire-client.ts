/**
 * A client that speaks graphql-transport-ws over plain `ws`, so that a test sees each message and close code, and can
 * send messages that no correct client would.
 */
import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws';
import { WebSocket, type ClientOptions } from 'ws';
import { eventually } from '../../../core/testing/eventually.ts';

export interface WireMessage {
  readonly id?: string;
  readonly type: string;
  readonly payload?: {
    readonly data?: Record<string, unknown> | null;
    readonly errors?: readonly WireError[];
  } & readonly WireError[] &
    Record<string, unknown>;
}
export interface WireError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Record<string, unknown>;
}

export class WireClient {
  readonly received: WireMessage[] = [];
  closed: { code: number; reason: string } | null = null;
  readonly socket: WebSocket;

  constructor(url: string, protocol: string | string[] = GRAPHQL_TRANSPORT_WS_PROTOCOL, options: ClientOptions = {}) {
    this.socket = new WebSocket(url, protocol, { perMessageDeflate: false, ...options });
    this.socket.on('message', (data) => this.received.push(JSON.parse((data as Buffer).toString()) as WireMessage));
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.socket.on('error', () => undefined);
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id: string, query: string, more: Record<string, unknown> = {}): void {
    this.send({ id, type: 'subscribe', payload: { query, ...more } });
  }

  /** Gives the payloads of all `next` messages for `id`, in order. */
  results(id: string): NonNullable<WireMessage['payload']>[] {
    return this.received.flatMap((message) =>
      message.type === 'next' && message.id === id && message.payload !== undefined ? [message.payload] : [],
    );
  }

  result(id: string, count = 1): Promise<NonNullable<WireMessage['payload']>> {
    return eventually(() => this.results(id)[count - 1], `result ${count} of ${id}`);
  }

  /** Resolves to the payload of the `error` message for `id`. */
  error(id: string): Promise<readonly WireError[]> {
    return eventually(
      () => this.received.find((message) => message.type === 'error' && message.id === id)?.payload,
      `an error of ${id}`,
    );
  }

  message(type: string, id?: string): Promise<WireMessage> {
    return eventually(
      () => this.received.find((message) => message.type === type && (id === undefined || message.id === id)),
      `a ${type} message`,
    );
  }

  close(): Promise<{ code: number; reason: string }> {
    return eventually(() => this.closed, 'the socket to close');
  }

  async opened(): Promise<this> {
    await eventually(() => this.socket.readyState === WebSocket.OPEN, 'the socket to open');
    return this;
  }

  /** Connects, sends connection_init with `params`, and resolves when it is acknowledged. */
  async acknowledged(params: Record<string, unknown> = {}): Promise<this> {
    await this.opened();
    this.send({ type: 'connection_init', payload: params });
    await this.message('connection_ack');
    return this;
  }
}
