/**
 * Keeps some of the files that the process may open from websockets. Without that, vehicles take the last one: then
 * connections are reset without a word, among them those of people, and none to a subgraph or a database opens.
 */
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { isObject } from '../../../core/json/json-value.ts';

/** The part of the limit that is for everything but websockets, and the bounds of it. */
const RESERVE = { part: 1 / 8, least: 64, most: 512 } as const;
/** Seconds after which a vehicle may come back: first to last. Nothing says when there is room. */
const RETRY_SECONDS = { first: 5, last: 15 } as const;
/** Milliseconds between two lines of the log. */
const LOG_INTERVAL_MS = 60_000;

/**
 * Gives the number of files that this process may have open; infinite where the system does not say. Node raises the
 * soft limit to the hard one when it starts.
 *
 * @param path in the form of Linux
 */
export function openFilesLimit(path = '/proc/self/limits'): number {
  try {
    const [, soft = ''] = /^Max open files\s+(\d+)/m.exec(readFileSync(path, 'utf8')) ?? [];
    return soft === '' ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}

/** Gives the number of a connection's file, or -1 where it has none. */
function fileOf(connection: Duplex): number {
  const handle: unknown = Reflect.get(connection, '_handle');
  return isObject(handle) && typeof handle['fd'] === 'number' ? handle['fd'] : -1;
}

/** Decides whether a connection may become a websocket. */
export class OpenFiles {
  readonly #firstReserved: number;
  #turn = 0;
  #loggedAt = -Infinity;

  constructor(
    private readonly logger: { warn(details: object, message: string): void },
    private readonly limit = openFilesLimit(),
  ) {
    const reserve = Math.max(RESERVE.least, Math.min(RESERVE.most, Math.floor(limit * RESERVE.part)));
    this.#firstReserved = limit - Math.min(reserve, Math.floor(limit / 2));
  }

  /** Gives null where the connection may be kept, and otherwise the seconds after which the client may come back. */
  secondsToWait(connection: Duplex): number | null {
    // A new file gets the lowest number that is free (POSIX, open): all below are in use. Counting would cost more.
    if (fileOf(connection) < this.#firstReserved) return null;
    const now = performance.now();
    if (now - this.#loggedAt >= LOG_INTERVAL_MS) {
      this.#loggedAt = now;
      this.logger.warn(
        { openFiles: this.limit },
        'Refusing websockets: this process may open hardly any more files; raise the limit (ulimit -n) or start more gateways',
      );
    }
    this.#turn = (this.#turn + 1) % (RETRY_SECONDS.last - RETRY_SECONDS.first + 1);
    return RETRY_SECONDS.first + this.#turn;
  }
}
