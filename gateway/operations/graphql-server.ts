/**
 * Step 8 of the pipeline for queries and mutations: the Apollo Server that runs them over the subgraphs, whichever
 * transport they came by. It also reads what HTTP carries; every check of an operation is the pipeline's.
 */
import { ApolloServer, type ApolloServerOptions, type ApolloServerPlugin } from '@apollo/server';
import {
  GraphQLError,
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFormattedError,
} from 'graphql';
import type { CallerIdentity } from '../../core/access/caller.ts';
import type { Composition } from '../composition/supergraph.ts';
import { newOutcome, type GatewayContext, type GatewayLogger } from '../context.ts';
import type { GatewayMetrics } from '../monitoring/gateway-metrics.ts';
import { PARSE_OPTIONS, operationRules } from './limits/check-operation.ts';
import type { CheckedOperation, OperationPipeline } from './pipeline.ts';
import { answersTo, answerTo, isFault } from './refusals/error-answer.ts';

type DocumentStore = NonNullable<ApolloServerOptions<GatewayContext>['documentStore']>;

export interface GraphqlServerOptions {
  readonly composition: Composition;
  readonly pipeline: OperationPipeline;
  readonly introspection: boolean;
  /** Header fields of which a GET has to have one: a page of another site can send none of them without asking. */
  readonly preflightHeaders: readonly string[];
  readonly logger: GatewayLogger;
  readonly metrics: GatewayMetrics;
}

export interface GraphqlServer {
  readonly apollo: ApolloServer<GatewayContext>;
  /** Runs a query or a mutation that did not come over HTTP. */
  execute(
    request: { query: string; operationName?: string | undefined; variables?: Record<string, unknown> | undefined },
    identity: CallerIdentity,
  ): Promise<ExecutionResult>;
}

/** In the place of a document that is refused: Apollo Server finds no operation in it, and asks the plugin what to do. */
const NO_OPERATION: DocumentNode = { kind: Kind.DOCUMENT, definitions: [] };

/**
 * What the pipeline has checked, in the form in which Apollo Server looks for documents that it need not check itself:
 * by the SHA-256 of their text, at once after `didResolveSource`.
 */
function checkedDocuments(pipeline: OperationPipeline): DocumentStore {
  return {
    async get(key) {
      const prepared = pipeline.prepared(key.slice(key.lastIndexOf(':') + 1));
      // Pushed out in the meantime: Apollo Server checks it anew, by the same rules.
      if (prepared === undefined) return undefined;
      return prepared.errors.length > 0 ? NO_OPERATION : (prepared.document ?? NO_OPERATION);
    },
    // The pipeline holds them.
    async set() {},
    async delete() {
      return false;
    },
  };
}

function plugin({ pipeline, logger, metrics }: GraphqlServerOptions): ApolloServerPlugin<GatewayContext> {
  return {
    async requestDidStart({ contextValue }) {
      const { identity, outcome } = contextValue;
      const { caller, origin } = identity;
      const begun = performance.now();
      let endTurn: () => void = () => undefined;
      /** What the pipeline says of the text: Apollo Server takes a refusal only where it resolves the operation. */
      let checked: { readonly operation: CheckedOperation } | { readonly refusal: unknown } | undefined;
      const ran = (operation: OperationTypeNode | undefined, code: unknown) =>
        metrics.ran(
          operation ?? 'invalid',
          typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR',
          (performance.now() - begun) / 1_000,
        );
      return {
        async didResolveSource({ source, request }) {
          try {
            checked = { operation: pipeline.check(source, request.operationName, caller) };
          } catch (refusal) {
            checked = { refusal };
          }
        },
        async didResolveOperation({ request }) {
          if (checked === undefined) throw new Error('Apollo Server resolved an operation before its source.');
          if ('refusal' in checked) throw checked.refusal;
          const permitted = pipeline.permit(checked.operation, request.variables ?? {}, caller);
          if (permitted.operation.operation === OperationTypeNode.SUBSCRIPTION) {
            throw new GraphQLError(
              'Send subscriptions over a websocket to this address (subprotocol graphql-transport-ws).',
              { extensions: { code: 'BAD_USER_INPUT' } },
            );
          }
          // Last: what is refused anyway waits for nothing.
          endTurn = await pipeline.turn(permitted, caller);
        },
        async executionDidStart() {
          outcome.executed = true;
        },
        async didEncounterErrors({ errors, document }) {
          for (const error of errors)
            if (answersTo(error, origin.requestId, document).some(isFault))
              logger.error({ err: error, requestId: origin.requestId }, 'A request failed');
        },
        async willSendResponse({ response, document, operation, errors }) {
          endTurn();
          if (response.body.kind !== 'single') return;
          const { singleResult } = response.body;
          // A non-null field that no subgraph answered: Apollo reports it beside the result, the GraphQL specification
          // in `errors`.
          const incomplete = singleResult.extensions?.['valueCompletion'] as
            readonly GraphQLFormattedError[] | undefined;
          delete singleResult.extensions;
          // Apollo's own copies have lost the nodes, by which a fault is found in the document.
          const found = errors ?? singleResult.errors ?? incomplete;
          if (found === undefined) {
            ran(operation?.operation, 'OK');
            outcome.complete = true;
            return;
          }
          if (found === incomplete)
            logger.error(
              { err: incomplete[0], requestId: origin.requestId },
              'A subgraph returned null for a field that must not be null',
            );
          singleResult.errors = found.flatMap((error) => answersTo(asError(error), origin.requestId, document));
          const [first] = singleResult.errors;
          ran(operation?.operation, first?.extensions?.['code']);
          if (singleResult.data == null) outcome.refusal = first ?? null;
        },
      };
    },
  };
}

/** Apollo's formatted errors as errors again, which are presented in one way. */
function asError(error: GraphQLFormattedError): GraphQLError {
  return error instanceof GraphQLError
    ? error
    : new GraphQLError(error.message, { path: error.path, extensions: error.extensions });
}

/** Starts the server on a composition. Its context is made by whoever calls it. */
export async function startGraphqlServer(options: GraphqlServerOptions): Promise<GraphqlServer> {
  const { composition, pipeline, introspection, preflightHeaders, logger } = options;
  const apollo = new ApolloServer<GatewayContext>({
    gateway: composition.gateway,
    // Whether it is on is one of the rules below.
    introspection: true,
    csrfPrevention: { requestHeaders: [...preflightHeaders] },
    allowBatchedHttpRequests: false,
    hideSchemaDetailsFromClientErrors: !introspection,
    documentStore: checkedDocuments(pipeline),
    parseOptions: PARSE_OPTIONS,
    validationRules: operationRules(introspection),
    includeStacktraceInErrorResponses: false,
    persistedQueries: false,
    stopOnTerminationSignals: false,
    logger: {
      debug: () => {},
      info: () => {},
      warn: (text: string) => logger.warn({}, text),
      error: (text: string) => logger.error({}, text),
    },
    // Only what never became an operation comes here in its first form: a body that is none, a GET that would mutate.
    formatError: (formatted, error) =>
      error instanceof GraphQLError && formatted.extensions?.['code'] === 'BAD_REQUEST' ? answerTo(error) : formatted,
    plugins: [plugin(options)],
  });
  await apollo.start();
  return {
    apollo,
    async execute({ query, operationName, variables }, identity) {
      const response = await apollo.executeOperation(
        { query, operationName, variables },
        { contextValue: { identity, outcome: newOutcome() } },
      );
      if (response.body.kind !== 'single') throw new Error('The gateway answered incrementally');
      const { data, errors } = response.body.singleResult;
      return { ...(data !== undefined && { data }), ...(errors !== undefined && { errors }) } as ExecutionResult;
    },
  };
}
