/** A gateway that behaves wrongly: the test decides what it does with a websocket handshake. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { boundAddress } from '../../core/wire/network/http-server.ts';

/** A websocket handshake, which a test answers. */
export interface Upgrade {
  /** The socket to which the answer is written. */
  readonly socket: Duplex;
  /** Accepts the handshake with graphql-transport-ws, or wrongly with another subprotocol or none. */
  readonly accept: (subprotocol?: string | false) => WebSocket;
}

/** A message of graphql-transport-ws from an agent. */
export interface AgentMessage {
  readonly type: string;
  readonly id?: string;
  readonly payload?: { readonly query?: string };
}

/** Listens for handshakes, and passes them to the test. */
export class WrongGateway {
  readonly #http: Server = createServer((_request, response) => response.writeHead(404).end());
  readonly #sockets = new Set<Duplex>();
  /** Handles a handshake. */
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
        // handleUpgrade calls back synchronously.
        server.handleUpgrade(request, socket, head, (websocket) => (accepted = websocket));
        return accepted!.on('error', () => undefined);
      },
    });
  }
}

/** Answers connection_init and pings, and every other message with the result of `answer`, or not at all for null. */
export function acknowledge(websocket: WebSocket, answer: (message: AgentMessage) => unknown): void {
  websocket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as AgentMessage;
    const reply =
      message.type === 'connection_init'
        ? { type: 'connection_ack' }
        : message.type === 'ping'
          ? { type: 'pong' }
          : answer(message);
    if (reply !== null) websocket.send(typeof reply === 'string' ? reply : JSON.stringify(reply));
  });
}
