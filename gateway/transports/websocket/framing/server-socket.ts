/**
 * The server's end of a websocket (RFC 6455) on the connection of an upgrade. It is our own because a fleet is many
 * sockets that are silent: what one costs at rest is what counts (docs/decisions/own-framing.md). It has no timers: its
 * owner terminates it when the closing handshake takes too long.
 */
import type { Duplex } from 'node:stream';
import { FrameFault, FrameReader, type FrameListener } from './frame-reader.ts';
import { EMPTY_PING, closeFrame, pongFrame, textFrames } from './server-frames.ts';

/** Who uses a socket. */
export interface SocketOwner {
  /** A whole message. The bytes are valid until this returns. Not called once the socket closes. */
  message(data: Buffer, isText: boolean): void;
  /** A ping frame has come. Gives whether it is to be answered. */
  pinged(): boolean;
  ponged(): void;
  /** The closing handshake has begun: the socket has to be terminated unless it ends by itself. */
  closing(): void;
  /** The connection is over. Called once, and nothing after it. */
  closed(): void;
}

const SOCKET = Symbol('socket');
type Connection = Duplex & { [SOCKET]?: ServerSocket };

// Shared by all sockets: closures for each would cost more than the rest of what a socket holds.
function onData(this: Connection, chunk: Buffer): void {
  this[SOCKET]?.arrived(chunk);
}
function onEnd(this: Connection): void {
  this[SOCKET]?.endOfInput();
}
function onError(this: Connection): void {
  this[SOCKET]?.terminate();
}
function onClose(this: Connection): void {
  this[SOCKET]?.gone();
}

/** One websocket. */
export class ServerSocket implements FrameListener {
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** Null after bytes that are no frame. */
  #reader: FrameReader | null;
  #owner: SocketOwner | null = null;

  /** @param connection is upgraded already; what is written to it goes to the client as it is */
  constructor(
    readonly connection: Duplex,
    maxMessageBytes: number,
  ) {
    this.#reader = new FrameReader(maxMessageBytes);
  }

  /** Begins to read. @param head what came behind the upgrade request */
  attach(owner: SocketOwner, head: Buffer): void {
    this.#owner = owner;
    const connection: Connection = this.connection;
    connection[SOCKET] = this;
    connection.on('close', onClose);
    connection.on('error', onError);
    connection.on('end', onEnd);
    connection.on('data', onData);
    if (head.length > 0) this.arrived(head);
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** The bytes that wait in this process for the client to read. */
  get waitingBytes(): number {
    return this.connection.writableLength;
  }

  /** Sends a text message; nothing once the socket closes. */
  send(...texts: readonly string[]): void {
    this.write(textFrames(...texts));
  }

  /** Sends whole frames; nothing once the socket closes. The bytes must not change while any of them wait. */
  write(frames: Buffer): void {
    if (this.#state === 'open') this.connection.write(frames);
  }

  /** Calls `drained` once nothing waits any more; not when the socket ends before. Something must wait. */
  onceDrained(drained: () => void): void {
    this.connection.once('drain', drained);
  }

  sendPing(): void {
    this.write(EMPTY_PING);
  }

  /** Begins the closing handshake. */
  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.write(closeFrame(code, reason));
    this.#beginClosing();
  }

  /** Ends the connection at once. */
  terminate(): void {
    this.#beginClosing();
    this.connection.destroy();
  }

  arrived(chunk: Buffer): void {
    try {
      this.#reader?.read(chunk, this);
    } catch (error) {
      if (!(error instanceof FrameFault)) throw error;
      this.#reader = null;
      this.close(error.code, '');
      this.connection.end();
    }
  }

  message(data: Buffer, isText: boolean): void {
    if (this.#state === 'open') this.#owner?.message(data, isText);
  }

  ping(content: Buffer): void {
    if (this.#state === 'open' && this.#owner?.pinged() === true) this.write(pongFrame(content));
  }

  pong(): void {
    if (this.#state === 'open') this.#owner?.ponged();
  }

  closeFrame(code: number, reason: string): void {
    this.close(code, reason);
    // What comes behind a close frame does not count, and the one who listens closes the connection.
    this.#reader = null;
    this.connection.end();
  }

  endOfInput(): void {
    this.#beginClosing();
    this.connection.end();
  }

  gone(): void {
    if (this.#state === 'closed') return;
    this.#beginClosing();
    this.#state = 'closed';
    this.#reader = null;
    this.#owner?.closed();
    this.#owner = null;
  }

  #beginClosing(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#owner?.closing();
  }
}
