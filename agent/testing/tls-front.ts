/** TLS before a server of the test, as a load balancer does it: what comes in is decrypted and handed on. */
import { connect } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Certificate } from './certificates.ts';
import { boundAddress } from '../../core/wire/http-server.ts';

export class TlsFront {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  /** Names that clients have asked for (SNI). */
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

  /** @param port of the server behind, on loopback */
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
