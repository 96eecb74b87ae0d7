/** An HTTP proxy on loopback that only supports CONNECT. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { boundAddress } from '../../core/wire/network/http-server.ts';

/** Runs the proxy. */
export class ConnectProxy {
  readonly #server: Server = createServer((_request, response) => response.writeHead(405).end());
  readonly #sockets = new Set<Duplex>();
  /** The requested targets as `host:port`, including refused ones. */
  readonly asked: string[] = [];
  /** The required `user:password`; null for none. */
  wants: string | null = null;
  /** Whether the proxy answers requests; it accepts them in any case. */
  answering = true;
  /** Resolves a name to an address, so that the proxy knows names that the client does not. */
  resolve: (host: string) => string = (host) => host;
  #port = 0;

  private constructor() {
    this.#server.on('connect', (request, socket, head) => this.#connect(request, socket, head));
  }

  static async open(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    await proxy.listen();
    return proxy;
  }

  /** Starts to listen, on the same port as before. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = boundAddress(this.#server).port;
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connect(request: IncomingMessage, client: Duplex, head: Buffer): void {
    this.#keep(client);
    this.asked.push(request.url!);
    if (!this.answering) return;
    const expected = this.wants === null ? undefined : `Basic ${Buffer.from(this.wants).toString('base64')}`;
    if (expected !== undefined && request.headers['proxy-authorization'] !== expected) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="proxy"\r\n\r\n');
      return;
    }
    const { hostname, port } = new URL(`http://${request.url!}`);
    const server = connect({ host: this.resolve(hostname), port: Number(port || 80) }, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      server.write(head);
      client.pipe(server).pipe(client);
    });
    this.#keep(server);
    server.on('error', () => client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')).on('close', () => client.destroy());
    client.on('close', () => server.destroy());
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
  }
}
