/**
 * The server's end of a websocket (RFC 6455) on the connection of an upgrade. It is our own because a fleet is many
 * sockets that are silent: what one costs at rest is what counts (docs/decisions/streams/own-framing.md). It has no
 * timers: its owner terminates it when the closing handshake takes too long.
 */
import type { Duplex } from 'node:stream';
import { tcpHandleOf, writeAtOnce, type TcpHandle, type Unwritten } from './direct-writes.ts';
import { FrameFault, FrameReader, type FrameListener } from './frame-reader.ts';
import { EMPTY_PING, closeFrame, pongFrame, textFrames } from './server-frames.ts';

/** The user of a socket. */
export interface SocketOwner {
  /** Called with a whole message, until the socket closes. The bytes are valid until this returns. */
  message(data: Buffer, isText: boolean): void;
  /** Called when a ping frame has come. Gives whether it is to be answered. */
  pinged(): boolean;
  ponged(): void;
  /**
   * Called once, when the socket stops being open, for whatever reason. The owner terminates it unless it ends by
   * itself.
   */
  closing(): void;
  /** Called once, when the connection is over. No other call follows. */
  closed(): void;
}

const NOTHING = Buffer.alloc(0);
const SOCKET = Symbol('socket');
type Connection = Duplex & { [SOCKET]?: ServerSocket };

// All sockets share these functions: closures of its own would cost a socket more memory than the rest of it.
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
  /** The reader of the client's frames; null after bytes that are no frame. */
  #reader: FrameReader | null;
  #owner: SocketOwner | null = null;
  /** The connection's handle; null where only the connection's stream may be written to. */
  readonly #handle: TcpHandle | null;
  /** The bytes that were written past the stream and wait in libuv. */
  #unwritten: Unwritten | null = null;
  /** Whether bytes may be waiting to be sent. Where it is false, the stream's memory is not touched. */
  #mayWait = true;

  /** @param connection is upgraded already; what is written to it goes to the client as it is */
  constructor(
    readonly connection: Duplex,
    maxMessageBytes: number,
  ) {
    this.#reader = new FrameReader(maxMessageBytes);
    this.#handle = tcpHandleOf(connection);
  }

  /**
   * Begins to read.
   *
   * @param head what came behind the upgrade request
   */
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
    if (!this.#mayWait) return 0;
    const bytes = this.connection.writableLength + (this.#unwritten?.bytes ?? 0);
    this.#mayWait = bytes > 0;
    return bytes;
  }

  /** Sends a text message; nothing once the socket closes. */
  send(...texts: readonly string[]): void {
    this.write(textFrames(...texts));
  }

  /** Sends whole frames; nothing once the socket closes. The bytes must not change while any of them wait. */
  write(frames: Buffer): void {
    if (this.#state !== 'open') return;
    const unwritten = this.#handle === null || this.waitingBytes > 0 ? 'later' : writeAtOnce(this.#handle, frames);
    if (unwritten === null) return;
    if (unwritten === 'lost') return this.terminate();
    this.#mayWait = true;
    // Bytes that the stream writes while libuv has others come after those.
    if (unwritten === 'later') return void this.connection.write(frames);
    this.#unwritten = unwritten;
    unwritten.written = (isLost) => {
      this.#unwritten = null;
      if (isLost) this.terminate();
    };
  }

  /** Calls `drained`, later, once the bytes that wait now are written; not when the socket closes before. */
  onceDrained(drained: () => void): void {
    const unwritten = this.#unwritten;
    if (unwritten === null) return this.#onceStreamDrained(drained);
    const { written } = unwritten;
    unwritten.written = (isLost) => {
      written(isLost);
      if (isLost) return;
      // The bytes after it are in the stream.
      if (this.connection.writableLength > 0) this.#onceStreamDrained(drained);
      else drained();
    };
  }

  #onceStreamDrained(drained: () => void): void {
    const { connection } = this;
    if (connection.writableNeedDrain) return void connection.once('drain', drained);
    // A stream emits no "drain" after few bytes. It writes in order, so the end of this write is theirs as well.
    if (connection.writable) connection.write(NOTHING, (error) => void (error || drained()));
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
    // Frames after a close frame do not count, and the server closes the connection first (RFC 6455, 7.1.1).
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
