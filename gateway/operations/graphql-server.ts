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
  type FormattedExecutionResult,
  type GraphQLFormattedError,
} from 'graphql';
import type { CallerIdentity } from '../../core/access/caller.ts';
import type { Composition } from '../composition/supergraph.ts';
import { newOutcome, type GatewayContext, type GatewayLogger } from '../context.ts';
import type { GatewayMetrics } from '../monitoring/gateway-metrics.ts';
import { PARSE_OPTIONS, operationRules } from './limits/check-operation.ts';
import type { CheckedOperation } from './checked-operation.ts';
import type { OperationPipeline } from './pipeline.ts';
import { answersTo, answerTo, isFault } from './refusals/error-answer.ts';
import { missingValuesIn } from './refusals/missing-values.ts';

type DocumentStore = NonNullable<ApolloServerOptions<GatewayContext>['documentStore']>;

/** The dependencies and settings of the server. */
export interface GraphqlServerOptions {
  readonly composition: Composition;
  readonly pipeline: OperationPipeline;
  readonly introspection: boolean;
  /** Header fields of which a GET has to have one: a page of another site can send none of them without asking. */
  readonly preflightHeaders: readonly string[];
  readonly logger: GatewayLogger;
  readonly metrics: GatewayMetrics;
}

/** Runs queries and mutations by Apollo Server. */
export interface GraphqlServer {
  /** The server of the supergraph in force. What has begun on another one ends there. */
  readonly apollo: ApolloServer<GatewayContext>;
  /**
   * Makes a server of another supergraph. Resolves to the function that puts it in force for operations from then on.
   */
  prepare(composition: Composition): Promise<() => void>;
  /** Runs a query or a mutation that did not come over HTTP. */
  execute(
    request: { query: string; operationName?: string | undefined; variables?: Record<string, unknown> | undefined },
    identity: CallerIdentity,
  ): Promise<FormattedExecutionResult>;
}

/** Stands for a document that is refused: Apollo Server finds no operation in it, and asks the plugin what to do. */
const NO_OPERATION: DocumentNode = { kind: Kind.DOCUMENT, definitions: [] };

/**
 * Gives the documents that the pipeline has checked, in the form in which Apollo Server finds documents that it need
 * not check itself: by the SHA-256 of their text, at once after `didResolveSource`.
 */
function checkedDocuments(pipeline: OperationPipeline): DocumentStore {
  return {
    async get(key) {
      const prepared = pipeline.prepared(key.slice(key.lastIndexOf(':') + 1));
      // The cache may have evicted it meanwhile. Apollo Server then checks it again, by the same rules.
      if (prepared === undefined) return undefined;
      return prepared.errors.length > 0 ? NO_OPERATION : (prepared.document ?? NO_OPERATION);
    },
    // The pipeline stores the documents, so Apollo Server need not.
    async set() {},
    async delete() {
      return false;
    },
  };
}

function plugin(options: GraphqlServerOptions): ApolloServerPlugin<GatewayContext> {
  const { pipeline, logger, metrics } = options;
  const { apiSchema } = options.composition;
  return {
    async requestDidStart({ contextValue }) {
      const { identity, outcome } = contextValue;
      const { caller, origin } = identity;
      const begun = performance.now();
      let endTurn: () => void = () => undefined;
      /** The pipeline's verdict on the text: Apollo Server takes a refusal only where it resolves the operation. */
      let checked: { readonly operation: CheckedOperation } | { readonly refusal: unknown } | undefined;
      const ran = (operation: OperationTypeNode | undefined, given: unknown) => {
        const type = operation ?? 'invalid';
        const code = typeof given === 'string' ? given : 'INTERNAL_SERVER_ERROR';
        const ms = performance.now() - begun;
        metrics.ran(type, code, ms / 1_000);
        logger.debug?.({ requestId: origin.requestId, type, code, ms: Math.round(ms) }, 'Answered an operation');
      };
      return {
        async didResolveSource({ source, request }) {
          try {
            checked = { operation: pipeline.check(source, request.operationName, caller, apiSchema) };
          } catch (refusal) {
            checked = { refusal };
          }
        },
        async didResolveOperation({ request }) {
          if (checked === undefined) throw new Error('Apollo Server resolved an operation before its source.');
          if ('refusal' in checked) throw checked.refusal;
          const permitted = pipeline.permit(checked.operation, request.variables ?? {}, caller, apiSchema);
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
          const incomplete = missingValuesIn(singleResult.extensions);
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
              { err: found[0], requestId: origin.requestId },
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

/** Starts the server of one composition. */
async function startApollo(options: GraphqlServerOptions): Promise<ApolloServer<GatewayContext>> {
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
    // A request that never became an operation comes here in its first form: an invalid body, a GET that would mutate.
    formatError: (formatted, error) =>
      error instanceof GraphQLError && formatted.extensions?.['code'] === 'BAD_REQUEST' ? answerTo(error) : formatted,
    plugins: [plugin(options)],
  });
  await apollo.start();
  return apollo;
}

/** Starts the server on a composition. Its callers make the context. */
export async function startGraphqlServer(options: GraphqlServerOptions): Promise<GraphqlServer> {
  let apollo = await startApollo(options);
  return {
    get apollo() {
      return apollo;
    },
    async prepare(composition) {
      const next = await startApollo({ ...options, composition });
      // The one before holds nothing that has to be closed, and goes with the last operation that runs on it.
      return () => void (apollo = next);
    },
    async execute({ query, operationName, variables }, identity) {
      const response = await apollo.executeOperation(
        { query, operationName, variables },
        { contextValue: { identity, outcome: newOutcome() } },
      );
      if (response.body.kind !== 'single') throw new Error('The gateway answered incrementally');
      const { data, errors } = response.body.singleResult;
      return { ...(data !== undefined && { data }), ...(errors !== undefined && { errors }) };
    },
  };
}
