/** A connection to a subgraph in the same process: without serialisation or sockets, and with the same refusals. */
import {
  GraphQLError,
  Kind,
  OperationTypeNode,
  execute,
  getOperationAST,
  subscribe,
  type DocumentNode,
  type ExecutionResult,
} from 'graphql';
import { traced } from '../../../core/monitoring/tracing.ts';
import type {
  SubgraphConnection,
  SubgraphRequest,
  SubgraphResponse,
  SubgraphStream,
} from '../../../core/wire/subgraph/subgraph.ts';
import { mapStream } from '../feeds/async-iteration.ts';
import { formatForGateway, logFaults, type AnswerNotes, type Subgraph } from './subgraph.ts';

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

/**
 * Runs a query or a mutation on `subgraph` as the request's identity.
 *
 * @param parent the `traceparent` of a gateway in another process
 */
export async function executeOn(
  subgraph: Subgraph,
  request: SubgraphRequest,
  parent?: string,
): Promise<SubgraphResponse> {
  const { document, errors } = subgraph.documents.prepare(request.query);
  const type = document === undefined ? 'invalid' : typeOf(document, request);
  const begun = performance.now();
  return traced(
    () => ({
      name: `${subgraph.name} ${type}`,
      kind: parent === undefined ? 'internal' : 'server',
      attributes: {
        'graphql.operation.type': type,
        'fleetflag.subgraph': subgraph.name,
        'fleetflag.request_id': request.identity.origin.requestId,
      },
      parent,
    }),
    async (note) => {
      const response = await answerOf(subgraph, request, document, errors);
      const code = response.errors?.[0]?.extensions?.['code'];
      const outcome = response.errors === undefined ? 'OK' : typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR';
      note({ 'fleetflag.code': outcome });
      subgraph.metrics?.ran(subgraph.name, type, outcome, (performance.now() - begun) / 1_000);
      logAnswer(subgraph, request, type, outcome, begun);
      return response;
    },
  );
}

const typeOf = (document: DocumentNode, { operationName }: SubgraphRequest) =>
  getOperationAST(document, operationName)?.operation ?? 'invalid';

function logAnswer(
  { logger }: Subgraph,
  { identity }: SubgraphRequest,
  type: string,
  code: string,
  begun: number,
): void {
  if (!logger.isLevelEnabled('debug')) return;
  const ms = Math.round(performance.now() - begun);
  logger.debug({ requestId: identity.origin.requestId, type, code, ms }, 'Answered an operation');
}

async function answerOf(
  subgraph: Subgraph,
  request: SubgraphRequest,
  document: DocumentNode | undefined,
  errors: readonly GraphQLError[] | undefined,
): Promise<SubgraphResponse> {
  if (document === undefined) return responseOf({ ...(errors !== undefined && { errors }) }, subgraph, request);
  const execution = argumentsOf(subgraph, request, document);
  const response = responseOf(await execute(execution), subgraph, request);
  await subgraph.seen(request.identity.caller, typeOf(document, request) === OperationTypeNode.MUTATION);
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
  let notes: AnswerNotes | undefined;
  const close = subgraph.metrics?.opened(subgraph.name);
  const start = async (): Promise<AsyncIterator<ExecutionResult>> => {
    const { document, errors } = subgraph.documents.prepare(request.query);
    if (document === undefined) return once<ExecutionResult>({ errors });
    const execution = argumentsOf(subgraph, request, document);
    ({ notes } = execution.contextValue);
    const result = await subscribe(execution);
    return Symbol.asyncIterator in result ? result : once(result);
  };
  const started = start();
  const source = mapStream(started, (result) => {
    const response = responseOf(result, subgraph, request);
    subgraph.metrics?.sent(subgraph.name);
    // Events are resolved one after the other, each right before it gets here.
    if (notes === undefined) return response;
    const { urgent = false, changedAtMs } = notes;
    notes.urgent = false;
    delete notes.changedAtMs;
    if (!urgent && changedAtMs === undefined) return response;
    return {
      ...response,
      extensions: { ...(urgent && { urgent }), ...(changedAtMs !== undefined && { changedAtMs }) },
    };
  });
  // A refusal counts as established, too: it arrives as the stream's one response. A failure also rejects next(), where
  // the caller reads it.
  const established = started.then(() => undefined);
  established.catch(() => undefined);
  let over = false;
  return {
    // oxlint-disable-next-line fleetflag/no-promise-in-object -- Its rejection is handled above.
    established,
    // Events that still wait when the stream ends are dropped; the source itself would deliver them.
    async next() {
      if (over) return { done: true, value: undefined };
      try {
        const item = await source.next();
        if (item.done === true) close?.();
        return item;
      } catch (error) {
        close?.();
        throw error;
      }
    },
    async return() {
      over = true;
      close?.();
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
