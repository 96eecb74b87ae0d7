/**
 * A faulty network before a server of a test: a TCP relay on loopback that cuts connections, delays or swallows bytes,
 * or leads to another server. Its address never changes.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { boundAddress } from '../../core/wire/network/http-server.ts';

/** The treatment of bytes: `pass`, or `swallow` without an error, as on a half-open connection. */
export type Passage = 'pass' | 'swallow';

/** A speed: a number of bytes at a time. */
export interface Trickle {
  readonly bytes: number;
  /** The milliseconds between two portions. */
  readonly everyMs: number;
}

/** Relays connections, and cuts or delays them as a test sets it. */
export class FaultyRelay {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  /** The number of accepted connections, including those that lead nowhere. */
  connections = 0;
  /** The number of connections that were cut because their budget was spent. */
  spent = 0;
  passage: Passage = 'pass';
  /** The speed of bytes on new connections; null for no limit. */
  trickle: Trickle | null = null;
  /** Whether accepted connections lead to the server; otherwise they lead nowhere. */
  answering = true;
  /** Gives the bytes that the next connection may carry before it is cut. */
  budget: () => number = () => Infinity;

  /** @param port the port of the server; a new one applies to new connections */
  private constructor(public port: number) {
    this.#server = createServer({ noDelay: true }, (client) => this.#take(client));
  }

  static async open(port: number): Promise<FaultyRelay> {
    const relay = new FaultyRelay(port);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get ownPort(): number {
    return boundAddress(this.#server).port;
  }

  /** The address of the gateway for an agent, through the relay. */
  get url(): string {
    return `ws://127.0.0.1:${this.ownPort}/graphql`;
  }

  /**
   * Drops every connection, for the client with a reset, as by a router that has forgotten it, or with a regular end.
   */
  cut(how: 'reset' | 'end' = 'reset'): void {
    for (const client of this.#clients) drop(client, how);
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(client: Socket): void {
    this.connections += 1;
    this.#clients.add(client);
    client.on('error', () => undefined).on('close', () => this.#clients.delete(client));
    if (!this.answering) return;
    const upstream = connect({ port: this.port, host: '127.0.0.1', noDelay: true }).on('error', () => undefined);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    let left = this.budget();
    const pass = (to: Socket, bytes: Buffer) => {
      if (this.passage === 'swallow' || to.destroyed) return;
      to.write(bytes.subarray(0, Math.max(0, left)));
      left -= bytes.length;
      if (left > 0) return;
      this.spent += 1;
      drop(client, 'reset');
    };
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      const { trickle } = this;
      if (trickle === null) from.on('data', (bytes) => pass(to, bytes));
      else from.on('data', (bytes) => inPortions(from, bytes, trickle, (portion) => pass(to, portion)));
    }
  }
}

/** Hands on `bytes` a portion at a time, and reads no more of `from` until that is done. */
function inPortions(
  from: Socket,
  bytes: Buffer,
  { bytes: size, everyMs }: Trickle,
  pass: (portion: Buffer) => void,
): void {
  from.pause();
  let at = 0;
  const timer = setInterval(() => {
    pass(bytes.subarray(at, at + size));
    at += size;
    if (at < bytes.length && !from.destroyed) return;
    clearInterval(timer);
    from.resume();
  }, everyMs);
}

function drop(socket: Socket, how: 'reset' | 'end'): void {
  if (how === 'reset') socket.resetAndDestroy();
  else socket.destroy();
}
