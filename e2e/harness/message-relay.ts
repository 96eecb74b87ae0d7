/**
 * An attacker between a vehicle and its gateway, without a key: it reads every message to the vehicle, and changes or
 * withholds it.
 */
import { WebSocket, WebSocketServer } from 'ws';
import { boundAddress } from '../../core/wire/network/http-server.ts';

/** A message of graphql-transport-ws that answers an operation of the vehicle. */
export interface RelayedMessage {
  readonly type: string;
  readonly payload?: {
    readonly data?: {
      readonly flagChanges?: { readonly signed: { readonly key: string } };
      readonly flagSync?: { readonly flags: readonly { readonly key: string }[] };
    };
  };
}

export class MessageRelay {
  readonly #server: WebSocketServer;
  readonly #upstreams = new Set<WebSocket>();
  /** Gives the message that the vehicle gets instead; null to withhold it. */
  meddle: (message: RelayedMessage) => RelayedMessage | null = (message) => message;

  private constructor(private readonly gateway: string) {
    this.#server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
    this.#server.on('connection', (vehicle) => this.#connect(vehicle));
  }

  /**
   * Opens a relay that passes everything on at first.
   *
   * @param gateway the address of the gateway's websocket
   */
  static async open(gateway: string): Promise<MessageRelay> {
    const relay = new MessageRelay(gateway);
    await new Promise((resolve) => relay.#server.once('listening', resolve));
    return relay;
  }

  get url(): string {
    return `ws://127.0.0.1:${boundAddress(this.#server).port}/graphql`;
  }

  /** Closes every connection; vehicles connect again. */
  cut(): void {
    for (const socket of this.#server.clients) socket.terminate();
  }

  async close(): Promise<void> {
    this.cut();
    for (const upstream of this.#upstreams) upstream.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connect(vehicle: WebSocket): void {
    const upstream = new WebSocket(this.gateway, 'graphql-transport-ws');
    this.#upstreams.add(upstream);
    const early: string[] = [];
    vehicle.on('message', (data: Buffer) => {
      if (upstream.readyState === WebSocket.OPEN) upstream.send(data.toString());
      else early.push(data.toString());
    });
    upstream.on('open', () => early.forEach((message) => upstream.send(message)));
    upstream.on('message', (data: Buffer) => {
      const message = this.meddle(JSON.parse(data.toString()) as RelayedMessage);
      if (message !== null) vehicle.send(JSON.stringify(message));
    });
    for (const [socket, other] of [
      [vehicle, upstream],
      [upstream, vehicle],
    ] as const) {
      socket.on('error', () => undefined).on('close', () => other.terminate());
    }
    upstream.on('close', () => this.#upstreams.delete(upstream));
  }
}
