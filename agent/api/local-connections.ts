/**
 * Bounds what the clients of the local API may hold: connections, requests without an answer, and answers that they do
 * not read. A program that floods the agent loses its own connections; those of others are served.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * The requests of one connection that may wait for their answers. No stock client sends a request before it has the answer
 * to the one before; one read of a connection that does so holds a thousand of them.
 */
const MAX_UNANSWERED = 4;
/** The bytes that the parser of a connection gets at once, after which it may be closed. Node reads 65,536. */
const PARSED_BYTES = 4_096;
/** The bytes of answers that clients have not read beyond which the next large answer waits. */
export const MAX_UNREAD_BYTES = 1_048_576;
/** The bytes of an answer that does not wait, because all of them together are few. */
const SMALL_ANSWER_BYTES = 4_096;
/** The milliseconds that a client has to read its answers while others wait for theirs. */
export const READ_ANSWER_MS = 1_000;

interface Connection {
  /** The answers that are being made or have not left the process. */
  readonly answers: Set<ServerResponse>;
  /** The bytes of answers that have not left the process. */
  unread: number;
  /** The reading of `performance.now()` at which the first of them was given. */
  unreadSince: number;
}

/**
 * Gives the parser of a connection what has arrived in small parts. Node's parser makes an object of each of the thousand
 * requests that one read may hold, though the connection is closed at the first; that would take the memory and the time
 * of all others.
 */
function readInParts(socket: Socket): void {
  const [parse] = socket.listeners('data');
  if (parse === undefined) return;
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    for (let from = 0; from < chunk.length && !socket.destroyed; from += PARSED_BYTES)
      Reflect.apply(parse, socket, [chunk.subarray(from, from + PARSED_BYTES)]);
  });
}

/** Keeps the connections of a local server. */
export class LocalConnections {
  /** The connections. Those whose last request is longest ago come first. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #max: number;
  /** The bytes of all answers that clients have not read. */
  #unread = 0;
  /** The end of the last large answer's wait. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #wake: () => void = () => undefined;

  /** @param max the most connections */
  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Adds a connection. At the limit, the one that has kept the agent waiting for its client longest makes room, and where
   * there is none, the new one.
   */
  add(socket: Socket): void {
    readInParts(socket);
    this.#connections.set(socket, { answers: new Set(), unread: 0, unreadSince: 0 });
    socket.once('close', () => this.#remove(socket));
    if (this.#connections.size <= this.#max) return;
    for (const [other, { answers }] of this.#connections) {
      // The answer to a whole request is the agent's to make, and so is the next event of a stream.
      if ([...answers].some(({ req, writableEnded }) => req.complete && !writableEnded)) continue;
      this.#close(other);
      return;
    }
  }

  /**
   * Counts a request. Gives false where its connection is closed, or has more requests without an answer than it may have
   * and is closed for that.
   */
  begins({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return false;
    this.#connections.delete(socket);
    this.#connections.set(socket, connection);
    connection.answers.add(response);
    response.once('finish', () => connection.answers.delete(response));
    if (connection.answers.size <= MAX_UNANSWERED) return true;
    this.#close(socket);
    return false;
  }

  /** Counts the `bytes` of an answer until they have left the process. Gives false where it has to wait for `room`. */
  takes(response: ServerResponse, bytes: number): boolean {
    if (bytes > SMALL_ANSWER_BYTES && (this.#waiting > 0 || this.#unread >= MAX_UNREAD_BYTES)) return false;
    this.#count(response, bytes);
    return true;
  }

  /**
   * Resolves when there is room for a large answer, and counts it: clients have read theirs, or have had the time for it and
   * are cut off. Answers take turns.
   */
  async room(response: ServerResponse, bytes: number): Promise<void> {
    this.#waiting += 1;
    this.#turn = this.#turn.then(() => this.#untilRoom(response, bytes));
    await this.#turn;
  }

  async #untilRoom(response: ServerResponse, bytes: number): Promise<void> {
    const timer = setInterval(() => this.#cutOff(), READ_ANSWER_MS);
    while (this.#unread >= MAX_UNREAD_BYTES) await new Promise<void>((resolve) => (this.#wake = resolve));
    clearInterval(timer);
    this.#waiting -= 1;
    this.#count(response, bytes);
  }

  #count(response: ServerResponse, bytes: number): void {
    const { socket } = response.req;
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    if (connection.unread === 0) connection.unreadSince = performance.now();
    connection.unread += bytes;
    this.#unread += bytes;
    response.once('finish', () => {
      // A connection that was closed has taken its bytes with it.
      if (!this.#connections.has(socket)) return;
      connection.unread -= bytes;
      this.#free(bytes);
    });
  }

  #cutOff(): void {
    const now = performance.now();
    for (const [socket, { unread, unreadSince }] of this.#connections)
      if (unread > 0 && now - unreadSince >= READ_ANSWER_MS) this.#close(socket);
  }

  #close(socket: Socket): void {
    socket.destroy();
    this.#remove(socket);
  }

  #remove(socket: Socket): void {
    const unread = this.#connections.get(socket)?.unread ?? 0;
    this.#connections.delete(socket);
    this.#free(unread);
  }

  #free(bytes: number): void {
    this.#unread -= bytes;
    this.#wake();
  }
}
