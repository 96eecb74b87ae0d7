/** A connection to a subgraph in the same process: without serialisation or sockets, and with the same refusals. */
import { GraphQLError, Kind, execute, subscribe, type ExecutionResult } from 'graphql';
import type {
  SubgraphConnection,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../../core/wire/subgraph.ts';
import { mapStream } from '../feeds/async-iteration.ts';
import { formatForGateway, logFaults, type Subgraph } from './subgraph.ts';

/** Gives graphql-js's complaint about a variable the code that the API promises; any other error stays as it is. */
function withCode(error: GraphQLError): GraphQLError {
  if (error.nodes?.[0]?.kind !== Kind.VARIABLE_DEFINITION || error.extensions['code'] !== undefined) return error;
  const { nodes, originalError } = error;
  return new GraphQLError(error.message, { nodes, originalError, extensions: { code: 'BAD_USER_INPUT' } });
}

/** Gives a result in the form in which gateways get it, and logs its faults. */
function responseOf(
  { data, errors }: ExecutionResult,
  { logger }: Subgraph,
  { identity: { origin } }: SubgraphRequest,
): SubgraphResponse {
  if (errors === undefined) return { ...(data !== undefined && { data }) };
  const coded = errors.map(withCode);
  logFaults(coded, origin.requestId, logger);
  return {
    ...(data !== undefined && { data }),
    errors: coded.map((error) => formatForGateway(error.toJSON(), error)),
  };
}

/** Runs a query or a mutation on `subgraph` as the request's identity. */
export async function executeOn(subgraph: Subgraph, request: SubgraphRequest): Promise<SubgraphResponse> {
  const { document, errors } = subgraph.documents.prepare(request.query);
  if (document === undefined) return responseOf({ errors }, subgraph, request);
  const execution = argumentsOf(subgraph, request, document);
  const response = responseOf(await execute(execution), subgraph, request);
  return execution.contextValue.notes.remembered ? { ...response, extensions: { remembered: true } } : response;
}

const argumentsOf = <Document>(subgraph: Subgraph, request: SubgraphRequest, document: Document) => ({
  schema: subgraph.schema,
  document,
  operationName: request.operationName,
  variableValues: request.variables,
  contextValue: subgraph.context(request.identity),
});

/**
 * Starts a subscription on `subgraph` and gives the stream of its responses. A refusal is a stream of one response with
 * `errors`.
 */
export function subscribeOn(subgraph: Subgraph, request: SubgraphRequest): SubgraphStream {
  const start = async (): Promise<AsyncIterator<ExecutionResult>> => {
    const { document, errors } = subgraph.documents.prepare(request.query);
    if (document === undefined) return once<ExecutionResult>({ errors });
    const result = await subscribe(argumentsOf(subgraph, request, document));
    return Symbol.asyncIterator in result ? result : once(result);
  };
  const started = start();
  const source = mapStream(started, (result) => responseOf(result, subgraph, request));
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
    close: async () => undefined,
  };
}
