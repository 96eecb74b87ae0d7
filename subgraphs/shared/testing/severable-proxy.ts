import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A server's address, or its unix socket. */
export type ProxyTarget = { readonly host: string; readonly port: number } | { readonly path: string };

/** The direction in which bytes pass. */
export type ProxyDirection = 'to-server' | 'to-client';

/** A TCP relay that tests can cut, stop and slow down. */
export interface SeverableProxy {
  readonly port: number;
  /** The number of chunks of data that have passed, in both directions. */
  readonly passed: number;
  /** Gives the bytes that are passed on in place of those that came. */
  rewrite: (bytes: Buffer, direction: ProxyDirection) => Buffer;
  /** Cuts all connections and accepts no new one. */
  sever(): void;
  /** Drops the data and keeps the connections: half-open ones. */
  freeze(): void;
  /**
   * Drops the data of the present connections for ever, as when the server's host fails and another one takes its name.
   */
  lose(): void;
  /** Keeps the data back until `restore`, in one direction or both, as a network does that loses every packet. */
  hold(...directions: readonly ProxyDirection[]): void;
  /** Passes data on `byMs` milliseconds after it came, in its order. */
  delay(byMs: number): void;
  /** Accepts connections again, and passes data on, what was held first. */
  restore(): void;
  close(): Promise<void>;
}

/** Data on its way through a relay. */
interface Parcel {
  readonly bytes: Buffer;
  readonly dueAtMs: number;
}

/**
 * Opens a TCP relay on loopback in front of another server (or its unix socket), so that tests can make the server
 * unreachable and reachable again.
 *
 * @param target the server; as a function, the servers of the next connection, of which the first that accepts gets it
 */
export async function openProxy(target: ProxyTarget | (() => readonly ProxyTarget[])): Promise<SeverableProxy> {
  const sockets = new Set<Socket>();
  const lost = new WeakSet<Socket>();
  /** Passes on what is due, for each direction of each connection. */
  const lanes = new Set<() => void>();
  let state: 'open' | 'severed' | 'frozen' = 'open';
  let held: readonly ProxyDirection[] = [];
  let delayMs = 0;
  let passed = 0;
  const cut = () => sockets.forEach((socket) => socket.destroy());

  const proxy: SeverableProxy = {
    get port() {
      return (server.address() as AddressInfo).port;
    },
    get passed() {
      return passed;
    },
    rewrite: (bytes) => bytes,
    sever() {
      state = 'severed';
      cut();
    },
    freeze() {
      state = 'frozen';
    },
    lose() {
      sockets.forEach((socket) => lost.add(socket));
    },
    hold(...directions) {
      held = directions.length === 0 ? ['to-server', 'to-client'] : directions;
    },
    delay(byMs) {
      delayMs = byMs;
    },
    restore() {
      state = 'open';
      held = [];
      delayMs = 0;
      lanes.forEach((pass) => pass());
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  function join(from: Socket, to: Socket, direction: ProxyDirection): void {
    const waiting: Parcel[] = [];
    let timer: NodeJS.Timeout | undefined;
    const pass = () => {
      clearTimeout(timer);
      while (!held.includes(direction) && waiting[0] !== undefined && !to.destroyed) {
        const left = delayMs === 0 ? 0 : waiting[0].dueAtMs - performance.now();
        if (left > 0) {
          timer = setTimeout(pass, Math.ceil(left));
          return;
        }
        const { bytes } = waiting.shift()!;
        passed += 1;
        if (!to.write(proxy.rewrite(bytes, direction))) from.pause();
      }
    };
    lanes.add(pass);
    sockets.add(from);
    from
      .on('error', () => undefined)
      .on('close', () => {
        clearTimeout(timer);
        lanes.delete(pass);
        sockets.delete(from);
        to.destroy();
      })
      .on('data', (bytes) => {
        if (state === 'frozen' || lost.has(from)) return;
        waiting.push({ bytes, dueAtMs: performance.now() + delayMs });
        pass();
      });
    to.on('drain', () => from.resume());
  }

  /** Connects to the first of `targets` that accepts, and joins the two. */
  function lead(client: Socket, [first, ...others]: readonly ProxyTarget[]): void {
    if (first === undefined || client.destroyed) return void client.destroy();
    const upstream = connect({ ...first, noDelay: true });
    const next = () => lead(client, others);
    client.once('close', () => upstream.destroy());
    upstream.once('error', next).once('connect', () => {
      upstream.off('error', next);
      join(client, upstream, 'to-server');
      join(upstream, client, 'to-client');
    });
  }

  const server = createServer({ noDelay: true }, (client) => {
    if (state === 'severed') return client.destroy();
    sockets.add(client);
    client.on('error', () => undefined).on('close', () => sockets.delete(client));
    lead(client, typeof target === 'function' ? target() : [target]);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return proxy;
}
