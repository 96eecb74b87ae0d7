import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP relay that tests can cut. */
export interface SeverableProxy {
  readonly port: number;
  /** The number of chunks of data that have passed, in both directions. */
  readonly passed: number;
  /** Cuts all connections and accepts no new one. */
  sever(): void;
  /** Stops the data and keeps the connections: half-open ones. */
  freeze(): void;
  /** Accepts connections again. */
  restore(): void;
  close(): Promise<void>;
}

/**
 * Opens a TCP relay on loopback in front of another server (or its unix socket), so that tests can make the server
 * unreachable and reachable again.
 */
export async function openProxy(
  target: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<SeverableProxy> {
  const sockets = new Set<Socket>();
  let state: 'open' | 'severed' | 'frozen' = 'open';
  let passed = 0;
  const cut = () => sockets.forEach((socket) => socket.destroy());
  const server = createServer({ noDelay: true }, (client) => {
    if (state === 'severed') return client.destroy();
    const upstream = connect({ ...target, noDelay: true });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(from);
          to.destroy();
        });
      from.on('data', (data) => {
        if (state === 'frozen') return;
        passed += 1;
        if (!to.write(data)) from.pause();
      });
      to.on('drain', () => from.resume());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get passed() {
      return passed;
    },
    sever() {
      state = 'severed';
      cut();
    },
    freeze() {
      state = 'frozen';
    },
    restore() {
      state = 'open';
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
