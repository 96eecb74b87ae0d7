/**
 * Answers a GET of an API key that repeats an earlier one word for word, without reading it again. It goes through
 * neither the HTTP framework nor the steps whose results were kept. Its rate is counted and the state of its answer is
 * read as for any other. Source: docs/decisions/api/answers-by-revision.md.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import { boundedCache } from '../../../../core/bounded-cache.ts';
import { apiKeyHash } from '../../../../core/credentials/api-key.ts';
import type { ApiKeyCaller } from '../../../../core/access/caller.ts';
import { unattended } from '../../../../core/last-handler/unattended.ts';
import type { KnownCall } from '../../../operations/known-calls.ts';
import type { KeyRate } from '../../../operations/limits/key-rate.ts';
import type { OperationPipeline } from '../../../operations/pipeline.ts';
import { isNamed } from './entity-tag.ts';
import { requestIdOf } from '../../../../core/wire/network/request-id.ts';

/** The header fields of an answer that its client may store, but must revalidate before each use. */
export const CACHED = { 'cache-control': 'private, no-cache', vary: 'x-api-key, authorization, accept, origin' };

/** The most bytes that all kept requests take, about, and one of them. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_REQUEST_BYTES = 64 * 1024;
/** The bytes that a kept request takes beside its texts, with its call. */
const OVERHEAD = 1_000;

/**
 * The bytes that a request takes by itself, about. Its call may no longer be in any other cache, so its texts count:
 * those of its variables are part of the target, and the call has them as text, as values and in its key.
 */
function bytesOf({ known: { operation } }: KnownRequest, name: string): number {
  return OVERHEAD + 4 * name.length + operation.body.length;
}

/** The most keys that are known to have used up their rate. */
const MAX_SPENT = 10_000;

/** A request that was answered as governed. */
interface KnownRequest {
  readonly known: KnownCall;
  readonly accept: string | undefined;
  /** The media type of its answer. */
  readonly type: string;
}

/** Header fields with which a request is read as if it were the first. */
const OTHERS = [
  'authorization',
  'origin',
  'content-type',
  'content-encoding',
  'content-length',
  'transfer-encoding',
  'expect',
] as const;

const isPlain = (headers: IncomingHttpHeaders) => OTHERS.every((name) => headers[name] === undefined);

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The time at which the request arrived, by `performance.now()`. */
  readonly begunMs: number;
}

/** Takes a request in the place of the HTTP framework. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** The dependencies of the known requests. */
export interface KnownRequestsOptions {
  readonly pipeline: Pick<OperationPipeline, 'callerOfKnown' | 'readState' | 'count' | 'held'>;
  readonly rightOfWay: { readonly isTaken: boolean };
  /** Called when a request has been answered. */
  readonly answered: (status: number, seconds: number) => void;
}

/** Remembers requests, and answers those that it knows. */
export class KnownRequests {
  /** Requests by the hash of their key and their target. */
  readonly #known = new LRUCache<string, KnownRequest>({
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_REQUEST_BYTES,
    sizeCalculation: bytesOf,
  });
  readonly #counted = new WeakMap<IncomingMessage, KeyRate>();
  /** The hashes of keys that had nothing left of their rate when they were counted last. */
  readonly #spent = boundedCache<string, true>(MAX_SPENT);
  #isClosed = false;

  constructor(private readonly options: KnownRequestsOptions) {}

  /** The bytes that the kept requests take, about. */
  get bytes(): number {
    return this.#known.calculatedSize;
  }

  /** Remembers a GET with the target `url` that was taken through all steps. */
  learn(url: string, request: KnownRequest): void {
    this.#known.set(nameOf(request.known.credential, url), request);
  }

  /** Gives the rate of the key after this request was counted here; undefined where it was not counted. */
  countOf(request: IncomingMessage): KeyRate | undefined {
    return this.#counted.get(request);
  }

  /** Answers no further requests, so that the server can say that it closes. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * Gives the handler of all requests: those that are known are answered, and all others go to `next`. So does a known
   * one that is refused, or whose answer is not kept; it is not counted again.
   */
  before(next: Handler): Handler {
    return (request, response) => {
      const begunMs = performance.now();
      const found = this.#find(request);
      if (found === null) return next(request, response);
      const done = this.#answer(found.known, found.caller, { request, response, begunMs }).then((status) => {
        if (status === null) next(request, response);
        else this.options.answered(status, (performance.now() - begunMs) / 1_000);
      });
      unattended(done, 'Answering a known request');
    };
  }

  #find(request: IncomingMessage): { readonly known: KnownRequest; readonly caller: ApiKeyCaller } | null {
    const { method, url = '', headers } = request;
    const apiKey = headers['x-api-key'];
    if (method !== 'GET' || typeof apiKey !== 'string' || this.#isClosed || !isPlain(headers)) return null;
    const known = this.#known.get(nameOf(apiKeyHash(apiKey), url));
    // A kill switch goes first, before anybody else is authenticated.
    if (known === undefined || known.accept !== headers.accept || this.options.rightOfWay.isTaken) return null;
    const caller = this.options.pipeline.callerOfKnown(known.known);
    return caller && { known, caller };
  }

  /** Resolves to the status of the answer; to null where nothing was sent. Never rejects. */
  async #answer(
    { known: { call, credential }, type }: KnownRequest,
    caller: ApiKeyCaller,
    { request, response, begunMs }: Exchange,
  ): Promise<number | null> {
    const { pipeline } = this.options;
    try {
      // The states are read while the rate is counted, except for a key that will probably be refused: its reads
      // could make all other callers wait.
      const reading = this.#spent.has(credential) ? null : pipeline.readState(call);
      const rate = await pipeline.count(caller);
      if (rate === null) return null;
      this.#counted.set(request, rate);
      if (rate.remaining === 0) this.#spent.set(credential, true);
      else this.#spent.delete(credential);
      if (rate.refusal !== null) return null;
      const state = await (reading ?? pipeline.readState(call));
      const tagIn = request.headers['if-none-match'];
      const answer = state === null ? null : pipeline.held(call, state, (tag) => isNamed(tag, tagIn), begunMs);
      if (answer === null) return null;
      const { json, tag } = answer;
      const status = json === null ? 304 : 200;
      const fields = [
        'x-request-id',
        requestIdOf(request.headers),
        'vary',
        CACHED.vary,
        'ratelimit-limit',
        `${rate.limit}`,
        'ratelimit-remaining',
        `${rate.remaining}`,
        'ratelimit-reset',
        `${rate.resetSeconds}`,
        'ratelimit-policy',
        `${rate.limit};w=${rate.windowSeconds}`,
        'cache-control',
        CACHED['cache-control'],
        'etag',
        tag,
      ];
      if (json !== null) fields.push('content-type', type, 'content-length', `${json.length}`);
      response.writeHead(status, fields).end(json ?? undefined);
      return status;
    } catch {
      // The request is then read as a first one, whose refusal names the part that is down.
      return null;
    }
  }
}

const nameOf = (credential: string, url: string) => `${credential} ${url}`;
