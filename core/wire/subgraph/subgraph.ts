/**
 * The interface between the gateway and a subgraph. Implementations call a subgraph in the same process, or over HTTP
 * and a websocket.
 */
import type { AnswerText } from './answer-texts.ts';
import type { CallerIdentity } from '../../access/caller.ts';
import { isObject } from '../../json/json-value.ts';
import { is } from '../../json/shape.ts';

export const SUBGRAPH_NAMES = ['flags', 'vehicles', 'experiments', 'audit'] as const;
/** The name of a subgraph. */
export type SubgraphName = (typeof SUBGRAPH_NAMES)[number];

/** Gives the results of `of` for all subgraphs, by their names. */
export function bySubgraph<T>(of: (name: SubgraphName) => T): Readonly<Record<SubgraphName, T>> {
  return { flags: of('flags'), vehicles: of('vehicles'), experiments: of('experiments'), audit: of('audit') };
}

/** A request to a subgraph. */
export interface SubgraphRequest {
  /** A GraphQL document. */
  readonly query: string;
  readonly operationName?: string | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  readonly identity: CallerIdentity;
  /** The trace of a question that travels with others (W3C Trace Context); others have it in a header. */
  readonly traceparent?: string | undefined;
}

/** A GraphQL response as JSON (GraphQL specification, section 7.1). */
export interface SubgraphResponse {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly SubgraphErrorJson[];
  /**
   * `remembered` where a part of the answer is as last known, because the database could not be read for it; `urgent`
   * of an event that must not wait for others to go with it, such as a pulled kill switch; `changedAtMs` of an event:
   * the milliseconds since 1970 of its change, by the clock of the process that made it.
   */
  readonly extensions?: {
    readonly remembered?: boolean;
    readonly urgent?: boolean;
    readonly changedAtMs?: number;
  };
}

/** An error of a GraphQL response, as JSON. */
export interface SubgraphErrorJson {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

const isErrorJson = is.shape({ message: is.string });

/** Says whether a value is the `errors` of a response. What `path` and `extensions` hold is left to their readers. */
export const isErrorList = (value: unknown): value is readonly SubgraphErrorJson[] => is.listOf(isErrorJson)(value);

/** Says whether a value is a response: an object with `data`, with `errors`, or with both. */
export function isSubgraphResponse(value: unknown): value is SubgraphResponse {
  if (!isObject(value)) return false;
  const { data, errors } = value;
  if (data === undefined && errors === undefined) return false;
  return is.optional(is.nullable(isObject))(data) && is.optional(isErrorList)(errors);
}

/** The responses of a subscription. */
export interface SubgraphStream extends AsyncIterableIterator<SubgraphResponse> {
  /** Resolves when every event from now on will be delivered, so that data read afterwards misses no event. */
  readonly established?: Promise<void>;
}

/**
 * A connection from the gateway to one subgraph. One contract suite runs against every implementation.
 */
export interface SubgraphConnection {
  readonly name: SubgraphName;

  /**
   * Runs a query or a mutation. A refusal is a response with `errors`. Rejects with SERVICE_UNAVAILABLE when the
   * subgraph cannot be reached.
   */
  execute(request: SubgraphRequest): Promise<SubgraphResponse>;

  /**
   * Runs a query whose answer is only passed on, together with others that are asked for at the same time; only where
   * that is cheaper than `execute`. Rejects when the subgraph cannot be reached.
   */
  answer?(request: SubgraphRequest): Promise<AnswerText>;

  /**
   * Starts a subscription at once. `return()` ends the upstream, whether or not a `next()` is pending. `next()` rejects
   * with SERVICE_UNAVAILABLE when the upstream is lost. A refusal is a response with `errors`.
   */
  subscribe(request: SubgraphRequest): SubgraphStream;

  /** Resolves to whether the subgraph answers; the gateway's readiness depends on it. */
  ready(): Promise<boolean>;

  close(): Promise<void>;
}
