/** Terminates TLS before a server of a test, like a load balancer. */
import { connect } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Certificate } from './certificates.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';

/** Accepts TLS connections, and relays their bytes to the server. */
export class TlsFront {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  /** The names that clients have requested (SNI). */
  readonly names: (string | false)[] = [];

  private constructor(port: number, { certificate, key }: Certificate) {
    this.#server = createServer({ cert: certificate, key }, (socket) => {
      this.names.push((socket as TLSSocket & { servername: string | false }).servername);
      this.#sockets.add(socket);
      const behind = connect({ port, host: '127.0.0.1' });
      for (const [from, to] of [
        [socket, behind],
        [behind, socket],
      ] as const)
        from
          .on('error', () => undefined)
          .on('close', () => to.destroy())
          .pipe(to);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', () => undefined);
  }

  /** @param port the port of the server, on loopback */
  static async open(port: number, certificate: Certificate): Promise<TlsFront> {
    const front = new TlsFront(port, certificate);
    await new Promise<void>((resolve) => front.#server.listen(0, '127.0.0.1', resolve));
    return front;
  }

  get port(): number {
    return boundAddress(this.#server).port;
  }

  /** Presents another certificate to new connections. */
  present({ certificate, key }: Certificate): void {
    this.#server.setSecureContext({ cert: certificate, key });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
