/** A connection to a subgraph in the same process: without serialisation or sockets, and with the same refusals. */
import { GraphQLError, parse, subscribe, type DocumentNode, type ExecutionResult } from 'graphql';
import { LRUCache } from 'lru-cache';
import type {
  SubgraphConnection,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../../core/wire/subgraph.ts';
import { mapStream } from '../feeds/async-iteration.ts';
import { formatForGateway, logFaults, type Subgraph } from './subgraph.ts';

/** Caches parsed documents. They come from query plans, so they are few and repeat. */
const documents = new LRUCache<string, DocumentNode>({ max: 500 });

function parsed(query: string): DocumentNode {
  let document = documents.get(query);
  if (document === undefined) documents.set(query, (document = parse(query, { noLocation: true })));
  return document;
}

/** Runs a query or a mutation on `subgraph` as the request's identity. */
export async function executeOn(subgraph: Subgraph, request: SubgraphRequest): Promise<SubgraphResponse> {
  const response = await subgraph.server.executeOperation(
    { query: request.query, operationName: request.operationName, variables: request.variables },
    { contextValue: subgraph.context(request.identity) },
  );
  if (response.body.kind === 'incremental') throw new Error('A subgraph answered incrementally');
  return response.body.singleResult;
}

/**
 * Starts a subscription on `subgraph` and gives the stream of its responses. A refusal is a stream of one response with
 * `errors`.
 */
export function subscribeOn(subgraph: Subgraph, request: SubgraphRequest): SubgraphStream {
  const { origin } = request.identity;
  const start = async (): Promise<AsyncIterator<ExecutionResult>> => {
    let document: DocumentNode;
    try {
      document = parsed(request.query);
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      return once<ExecutionResult>({ errors: [error] });
    }
    const result = await subscribe({
      schema: subgraph.schema,
      document,
      operationName: request.operationName,
      variableValues: request.variables,
      contextValue: subgraph.context(request.identity),
    });
    return Symbol.asyncIterator in result ? result : once(result);
  };
  const started = start();
  const source = mapStream(started, ({ data, errors }): SubgraphResponse => {
    if (errors !== undefined) logFaults(errors, origin.requestId, subgraph.logger);
    return {
      ...(data !== undefined && { data }),
      ...(errors !== undefined && { errors: errors.map((error) => formatForGateway(error.toJSON(), error)) }),
    };
  });
  // A refusal counts as established, too: it arrives as the stream's one response. A failure also rejects next(), where
  // the caller reads it.
  const established = started.then(() => undefined);
  established.catch(() => undefined);
  let over = false;
  return {
    // eslint-disable-next-line fleetflag/no-promise-in-object -- Its rejection is handled above.
    established,
    // Events that still wait when the stream ends are dropped; the source itself would deliver them.
    next: async () => (over ? { done: true, value: undefined } : source.next()),
    async return() {
      over = true;
      await source.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* once<T>(item: T): AsyncGenerator<T, void, undefined> {
  yield item;
}

/** Creates the gateway's connection to a subgraph that runs in this process. */
export function connectInProcess(subgraph: Subgraph, ready: () => Promise<boolean>): SubgraphConnection {
  return {
    name: subgraph.name,
    execute: (request) => executeOn(subgraph, request),
    subscribe: (request) => subscribeOn(subgraph, request),
    ready,
    close: () => subgraph.server.stop(),
  };
}
