/**
 * How the gateway talks to a subgraph, whatever carries it: a call in the same process, or HTTP and a websocket.
 */
import type { CallerIdentity } from '../access/caller.ts';

export const SUBGRAPH_NAMES = ['flags', 'vehicles', 'experiments', 'audit'] as const;
export type SubgraphName = (typeof SUBGRAPH_NAMES)[number];

/** What `of` gives for each subgraph, by its name. */
export function bySubgraph<T>(of: (name: SubgraphName) => T): Readonly<Record<SubgraphName, T>> {
  return { flags: of('flags'), vehicles: of('vehicles'), experiments: of('experiments'), audit: of('audit') };
}

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
}

export interface SubgraphErrorJson {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** The responses of a subscription. */
export interface SubgraphStream extends AsyncIterableIterator<SubgraphResponse> {
  /** Resolves once every event from now on will be delivered: what is read after it is not older than the stream. */
  readonly established?: Promise<void>;
}

/**
 * One subgraph as the gateway sees it. One contract suite runs against every implementation.
 */
export interface SubgraphConnection {
  readonly name: SubgraphName;

  /**
   * Runs a query or a mutation. Refusals are in `errors`; rejects with SERVICE_UNAVAILABLE when the subgraph cannot be
   * reached.
   */
  execute(request: SubgraphRequest): Promise<SubgraphResponse>;

  /**
   * Runs a subscription, from this call on. `return()` ends the upstream, whether or not a `next()` is pending;
   * `next()` rejects with SERVICE_UNAVAILABLE when the upstream is lost. A refusal is a response with `errors`.
   */
  subscribe(request: SubgraphRequest): SubgraphStream;

  /** Whether the subgraph answers, for readiness. */
  ready(): Promise<boolean>;

  close(): Promise<void>;
}
