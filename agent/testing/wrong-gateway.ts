/** A gateway that does not do what it should: what it does with a websocket handshake is the test's. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { boundAddress } from '../../core/wire/http-server.ts';

export interface Upgrade {
  /** What the answer is written to. */
  readonly socket: Duplex;
  /** Accepts, and speaks graphql-transport-ws or, to be wrong, another subprotocol or none. */
  readonly accept: (subprotocol?: string | false) => WebSocket;
}

export interface ClientMessage {
  readonly type: string;
  readonly id?: string;
  readonly payload?: { readonly query?: string };
}

export class WrongGateway {
  readonly #http: Server = createServer((_request, response) => response.writeHead(404).end());
  readonly #sockets = new Set<Duplex>();
  /** What becomes of a handshake. */
  onUpgrade: (upgrade: Upgrade) => void = ({ socket }) => socket.destroy();

  static async start(): Promise<WrongGateway> {
    const gateway = new WrongGateway();
    gateway.#http.on('upgrade', (request, socket, head) => gateway.#upgrade(request, socket, head));
    await new Promise<void>((resolve) => gateway.#http.listen(0, '127.0.0.1', resolve));
    return gateway;
  }

  get port(): number {
    return boundAddress(this.#http).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
    this.onUpgrade({
      socket,
      accept: (subprotocol = 'graphql-transport-ws') => {
        let accepted: WebSocket | undefined;
        const server = new WebSocketServer({ noServer: true, handleProtocols: () => subprotocol });
        // Calls back at once: nothing is asked of anybody.
        server.handleUpgrade(request, socket, head, (websocket) => (accepted = websocket));
        return accepted!.on('error', () => undefined);
      },
    });
  }
}

/** Answers connection_init and pings, and every other message with what `answer` makes of it; null: with nothing. */
export function acknowledge(websocket: WebSocket, answer: (message: ClientMessage) => unknown): void {
  websocket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as ClientMessage;
    const reply =
      message.type === 'connection_init'
        ? { type: 'connection_ack' }
        : message.type === 'ping'
          ? { type: 'pong' }
          : answer(message);
    if (reply !== null) websocket.send(typeof reply === 'string' ? reply : JSON.stringify(reply));
  });
}
