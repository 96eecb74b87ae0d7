import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface SeverableProxy {
  readonly port: number;
  /** Cuts all connections and refuses new ones. */
  sever(): void;
  /** Lets connections through again. */
  restore(): void;
  close(): Promise<void>;
}

/** A TCP proxy on loopback before another server (or before its unix socket), so that a test can take the server away and give it back. */
export async function openProxy(target: { readonly host: string; readonly port: number } | { readonly path: string }): Promise<SeverableProxy> {
  const sockets = new Set<Socket>();
  let severed = false;
  const cut = () => sockets.forEach((socket) => socket.destroy());
  const server = createServer((client) => {
    if (severed) return client.destroy();
    const upstream = connect(target);
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from);
      from.on('error', () => undefined).on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sever() {
      severed = true;
      cut();
    },
    restore() {
      severed = false;
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
