/**
 * Load over HTTP from a process of its own that takes as little CPU as it can: plain sockets, requests that are ready
 * as bytes, answers of which only head and length are read (http-load-client.ts).
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The part of a request that differs from one to the next. */
export type Varying =
  | { readonly kind: 'none' }
  /** A VIN, of `distinct` different ones: each is asked for again and again, or never twice where it is null. */
  | { readonly kind: 'vin'; readonly distinct: number | null }
  /** Members `"b0":true,…` of JSON, percent-encoded, that are never the same twice. */
  | { readonly kind: 'bits' };

/** A request: its bytes before and after what varies. */
export interface LoadRequest {
  readonly before: string;
  readonly varying: Varying;
  readonly after: string;
}

/** The load that a client process puts on a server. */
export interface LoadOrder {
  readonly port: number;
  /** Each request comes from the connections in turn; one connection keeps to one of them. */
  readonly requests: readonly LoadRequest[];
  readonly connections: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
  /** The number of the first request, for what varies. */
  readonly from: number;
  /** The expected status. */
  readonly status: number;
}

/** The measurements of a load. */
export interface LoadResult {
  /** The number of answers with the expected status within the measured time. */
  readonly answers: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly bodyBytes: number;
  /** Answers with another status, and the head of the first of them. */
  readonly others: number;
  readonly firstOther: string | null;
  /** CPU seconds of the load's own process in the measured time, by which one sees that it is not the bottleneck. */
  readonly clientCpuSeconds: number;
  /** The number of the next request. */
  readonly next: number;
}

export type LoadMessage = { readonly begun: true } | { readonly result: LoadResult };

/** The number of bits that vary: 65,536 different requests are more than are computed in all rounds. */
export const BITS = 16;

/** Stands in a request for the part that varies. */
export const VARYING = '0VARYING0';

/** Puts a GET together. */
export function getRequest(path: string, headers: Readonly<Record<string, string>>, varying: Varying): LoadRequest {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const [before = '', after = ''] = `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${lines.join('')}\r\n`.split(VARYING);
  return { before, varying, after };
}

/** A process that puts load on servers. */
export class HttpLoad {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('http-load-client.ts', import.meta.url)));
  readonly #ended = once(this.#child, 'exit');
  #next = 0;

  /**
   * Puts load on a server.
   *
   * @param begun called when the measured time begins
   * @returns the result, when the measured time is over
   */
  async run(order: Omit<LoadOrder, 'from'>, begun: () => Promise<void>): Promise<LoadResult> {
    this.#child.send({ ...order, from: this.#next });
    let beginning: Promise<void> | undefined;
    for (;;) {
      const message = await this.#message();
      if ('begun' in message) beginning = begun();
      else {
        await beginning;
        this.#next = message.result.next;
        return message.result;
      }
    }
  }

  async #message(): Promise<LoadMessage> {
    const over = new AbortController();
    try {
      const ended = this.#ended.then(() => {
        throw new Error('The process that puts load on the server has ended.');
      });
      const [message] = (await Promise.race([once(this.#child, 'message', { signal: over.signal }), ended])) as [
        LoadMessage,
      ];
      return message;
    } finally {
      over.abort();
    }
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await this.#ended;
  }
}
