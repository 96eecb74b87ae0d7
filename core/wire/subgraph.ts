/**
 * The interface between the gateway and a subgraph. Implementations call a subgraph in the same process, or over HTTP
 * and a websocket.
 */
import type { CallerIdentity } from '../access/caller.ts';

export const SUBGRAPH_NAMES = ['flags', 'vehicles', 'experiments', 'audit'] as const;
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
}

/** A GraphQL response as JSON (GraphQL specification, section 7.1). */
export interface SubgraphResponse {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly SubgraphErrorJson[];
  /** `remembered` where a part of the answer is as last known, because the database could not be read for it. */
  readonly extensions?: { readonly remembered?: boolean };
}

/** An error of a GraphQL response, as JSON. */
export interface SubgraphErrorJson {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
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
   * Starts a subscription at once. `return()` ends the upstream, whether or not a `next()` is pending. `next()` rejects
   * with SERVICE_UNAVAILABLE when the upstream is lost. A refusal is a response with `errors`.
   */
  subscribe(request: SubgraphRequest): SubgraphStream;

  /** Resolves to whether the subgraph answers; the gateway's readiness depends on it. */
  ready(): Promise<boolean>;

  close(): Promise<void>;
}
