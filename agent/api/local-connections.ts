/**
 * Bounds what the clients of the local API may hold: connections, requests without an answer, and answers that they do
 * not read. A program that floods the agent loses its own connections; those of others are served.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * The most requests of one connection that wait for their answers. A stock client waits for each answer before its next
 * request. One that does not can send a thousand requests in the bytes that Node.js reads at once.
 */
const MAX_UNANSWERED = 4;
/** The most bytes that the HTTP parser gets at once. Node.js reads up to 65,536 from a connection. */
const PARSED_BYTES = 4_096;
/** The unread bytes, of the answers to all clients, at which the next large answer has to wait. */
export const MAX_UNREAD_BYTES = 1_048_576;
/** The most bytes of an answer that never waits: all such answers together take little memory. */
const SMALL_ANSWER_BYTES = 4_096;
/** The milliseconds that a client has to read its answers while others wait for theirs. */
export const READ_ANSWER_MS = 1_000;

/** The requests and answers of one connection. */
interface Connection {
  /** The answers that are being made, or that the client has not read yet. */
  readonly answers: Set<ServerResponse>;
  /** The bytes of answers that the client has not read: they have not left the process. */
  unreadBytes: number;
  /** The reading of `performance.now()` since which there are unread bytes. */
  unreadSinceMs: number;
}

/**
 * Passes the data of a connection to the HTTP parser of Node.js in small parts, and none after the connection is
 * closed. At once, the parser would make an object of each of the thousand requests that one read may hold, although
 * the first ones already have the connection closed: the memory and the time of all other clients.
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

/** Holds the connections of a local server, and closes those that take more than their share. */
export class LocalConnections {
  /** The connections. Those whose last request is longest ago come first. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #max: number;
  /** The bytes of all answers that clients have not read. */
  #unreadBytes = 0;
  /** Settles when the large answer that came last has its room. The next one waits for that. */
  #lastInLine: Promise<void> = Promise.resolve();
  /** The number of large answers that wait for room. */
  #waiting = 0;
  /** Has the first waiting answer check whether there is room now. */
  #checkRoom: () => void = () => undefined;

  /** @param max the most connections */
  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Adds a connection. Beyond the limit, one is closed: of those for which the agent has no answer to make, the one
   * whose last request is longest ago. Where the others all wait for the agent, that is the new one.
   */
  add(socket: Socket): void {
    readInParts(socket);
    this.#connections.set(socket, { answers: new Set(), unreadBytes: 0, unreadSinceMs: 0 });
    socket.once('close', () => this.#remove(socket));
    if (this.#connections.size <= this.#max) return;
    for (const [other, { answers }] of this.#connections) {
      // Here the client waits for the agent: for the answer to a whole request, or for the next event of a stream.
      if ([...answers].some(({ req, writableEnded }) => req.complete && !writableEnded)) continue;
      this.#close(other);
      return;
    }
  }

  /**
   * Counts a request whose answer will be `response`. Gives false where the request must not be answered: its
   * connection is closed, also by this call where it has too many requests without an answer.
   */
  accept({ socket }: IncomingMessage, response: ServerResponse): boolean {
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

  /**
   * Reserves the bytes of an answer until its client has read them. Gives false where there is no room for a large
   * answer now; it has to wait for `reserve`.
   */
  tryReserve(response: ServerResponse, bytes: number): boolean {
    if (bytes > SMALL_ANSWER_BYTES && (this.#waiting > 0 || this.#unreadBytes >= MAX_UNREAD_BYTES)) return false;
    this.#count(response, bytes);
    return true;
  }

  /**
   * Reserves the bytes of a large answer as `tryReserve` does, but waits until there is room. While an answer waits,
   * clients that have not read theirs within `READ_ANSWER_MS` are disconnected. Answers get room in the order of their
   * calls.
   */
  async reserve(response: ServerResponse, bytes: number): Promise<void> {
    this.#waiting += 1;
    this.#lastInLine = this.#lastInLine.then(() => this.#reserveAsFirst(response, bytes));
    await this.#lastInLine;
  }

  async #reserveAsFirst(response: ServerResponse, bytes: number): Promise<void> {
    const timer = setInterval(() => this.#closeSlowReaders(), READ_ANSWER_MS);
    while (this.#unreadBytes >= MAX_UNREAD_BYTES) await new Promise<void>((resolve) => (this.#checkRoom = resolve));
    clearInterval(timer);
    this.#waiting -= 1;
    this.#count(response, bytes);
  }

  #count(response: ServerResponse, bytes: number): void {
    const { socket } = response.req;
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    if (connection.unreadBytes === 0) connection.unreadSinceMs = performance.now();
    connection.unreadBytes += bytes;
    this.#unreadBytes += bytes;
    response.once('finish', () => {
      // The bytes of a connection that was closed are free already.
      if (!this.#connections.has(socket)) return;
      connection.unreadBytes -= bytes;
      this.#free(bytes);
    });
  }

  #closeSlowReaders(): void {
    const nowMs = performance.now();
    for (const [socket, { unreadBytes, unreadSinceMs }] of this.#connections)
      if (unreadBytes > 0 && nowMs - unreadSinceMs >= READ_ANSWER_MS) this.#close(socket);
  }

  #close(socket: Socket): void {
    socket.destroy();
    this.#remove(socket);
  }

  #remove(socket: Socket): void {
    const unreadBytes = this.#connections.get(socket)?.unreadBytes ?? 0;
    this.#connections.delete(socket);
    this.#free(unreadBytes);
  }

  #free(bytes: number): void {
    this.#unreadBytes -= bytes;
    this.#checkRoom();
  }
}
