/** An HTTP proxy that knows CONNECT only, on loopback. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { boundAddress } from '../../core/wire/http-server.ts';

export class ConnectProxy {
  readonly #server: Server = createServer((_request, response) => response.writeHead(405).end());
  readonly #sockets = new Set<Duplex>();
  /** What was asked for, `host:port`, also where it was refused. */
  readonly asked: string[] = [];
  /** `user:password` that it wants; null: nothing. */
  wants: string | null = null;
  /** False: it takes requests and does not answer them. */
  answering = true;
  /** Which address a name leads to: the proxy knows names that the client does not. */
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

  /** Listens, on the same port as before. */
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
