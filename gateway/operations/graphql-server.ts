/**
 * The Apollo Server behind `/graphql`: one pipeline for HTTP and for queries and mutations that arrive on a websocket.
 */
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  GraphQLError,
  OperationTypeNode,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFormattedError,
} from 'graphql';
import { ERROR_CATALOGUE } from '../../core/errors.ts';
import type { CallerIdentity } from '../../core/access/caller.ts';
import type { Composition } from '../composition/supergraph.ts';
import { authorizeOperation } from './authorize.ts';
import type { GatewayContext, GatewayLogger } from '../context.ts';
import { kindOf, type AccountConcurrency } from './turns/account-concurrency.ts';
import { OPERATION_RULES, PARSE_OPTIONS, refuseCost } from './limits/check-operation.ts';
import { isKillSwitch } from './turns/kill-switch-operation.ts';
import type { RightOfWay } from './turns/right-of-way.ts';
import type { GatewayMetrics } from '../monitoring/gateway-metrics.ts';
import { answerTo } from './refusals/error-answer.ts';
import { wantsPlainJson } from '../transports/http/media-type.ts';

/** A page of another site can send none of these without asking first, and nothing here answers that it may. */
const PREFLIGHT_HEADERS = ['authorization', 'x-api-key', 'x-apollo-operation-name', 'apollo-require-preflight'];

export interface GraphqlServerOptions {
  readonly composition: Composition;
  readonly introspection: boolean;
  readonly logger: GatewayLogger;
  readonly metrics: GatewayMetrics;
  readonly accounts: AccountConcurrency;
  readonly rightOfWay: RightOfWay;
}

export interface GraphqlServer {
  readonly apollo: ApolloServer<GatewayContext>;
  /** Runs a query or a mutation that did not come over HTTP. */
  execute(
    request: { query: string; operationName?: string | undefined; variables?: Record<string, unknown> | undefined },
    identity: CallerIdentity,
  ): Promise<ExecutionResult>;
}

/** The errors of a response in the form that clients see, made where the document and the request's id are known. */
function present(
  errors: readonly GraphQLFormattedError[],
  requestId: string,
  document: DocumentNode | undefined,
): GraphQLFormattedError[] {
  return errors.map((error) => {
    const original =
      error instanceof GraphQLError
        ? error
        : new GraphQLError(error.message, { path: error.path, extensions: error.extensions });
    return answerTo(original, requestId, document);
  });
}

function plugin({
  composition,
  introspection,
  logger,
  metrics,
  accounts,
  rightOfWay,
}: GraphqlServerOptions): ApolloServerPlugin<GatewayContext> {
  return {
    async requestDidStart({ contextValue, request: { http } }) {
      const { caller, origin } = contextValue.identity;
      const begun = performance.now();
      let executing = false;
      let endTurn = () => undefined as void;
      let endWay = () => undefined as void;
      const ran = (operation: OperationTypeNode | undefined, code: unknown) =>
        metrics.ran(
          operation ?? 'invalid',
          typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR',
          (performance.now() - begun) / 1_000,
        );
      return {
        async didResolveOperation({ document, operation, request }) {
          if (operation === undefined) {
            const message = request.operationName
              ? `The document has no operation ${JSON.stringify(request.operationName)}.`
              : 'The document has several operations: name the one that is meant.';
            throw new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', field: 'operationName' } });
          }
          const asked = { document, operation, variables: request.variables ?? {} };
          authorizeOperation(composition.apiSchema, asked, caller, { hideSuggestions: !introspection });
          const cost = refuseCost(composition.apiSchema, asked);
          if (operation.operation === OperationTypeNode.SUBSCRIPTION) {
            throw new GraphQLError(
              'Subscriptions run over a websocket at this address (subprotocol graphql-transport-ws).',
              { extensions: { code: 'BAD_USER_INPUT' } },
            );
          }
          // Last: what is refused anyway waits for nothing.
          const isKill = isKillSwitch(document, operation, asked.variables);
          endTurn = await accounts.acquire(caller, kindOf(isKill, cost));
          if (isKill) endWay = rightOfWay.begin();
          // With its turn, so that who comes after it in the account waits as well.
          else await rightOfWay.clear();
        },
        async executionDidStart() {
          executing = true;
        },
        async didEncounterErrors({ errors, document }) {
          for (const error of errors) {
            const { code } = answerTo(error, origin.requestId, document).extensions ?? {};
            if (code === 'INTERNAL_SERVER_ERROR')
              logger.error({ err: error, requestId: origin.requestId }, 'A request failed');
          }
        },
        async willSendResponse({ response, document, operation, errors }) {
          endTurn();
          endWay();
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
            if (contextValue.outcome !== undefined) contextValue.outcome.complete = true;
            return;
          }
          if (found === incomplete)
            logger.error({ err: incomplete[0], requestId: origin.requestId }, 'A subgraph left out what it must give');
          singleResult.errors = present(found, origin.requestId, document);
          const [first] = singleResult.errors;
          const code = first?.extensions?.['code'];
          ran(operation?.operation, code);
          // An answer that is nothing but a refusal says so in its status, too; one with data is a 200.
          // A GET that would mutate has a status of its own, and the header that goes with it.
          if (
            response.http.status !== 405 &&
            singleResult.data == null &&
            typeof code === 'string' &&
            Object.hasOwn(ERROR_CATALOGUE, code)
          ) {
            const { httpStatus } = ERROR_CATALOGUE[code as keyof typeof ERROR_CATALOGUE];
            response.http.status =
              httpStatus === 400 && !executing && wantsPlainJson(http?.headers.get('accept')) ? 200 : httpStatus;
            const { retryAfter } = first?.extensions ?? {};
            if (typeof retryAfter === 'number') response.http.headers.set('retry-after', String(retryAfter));
          }
        },
      };
    },
  };
}

/**
 * Starts the server on a composition. Its context is made by whoever calls it (gateway/http, gateway/subscriptions).
 */
export async function startGraphqlServer(options: GraphqlServerOptions): Promise<GraphqlServer> {
  const { composition, introspection, logger } = options;
  const apollo = new ApolloServer<GatewayContext>({
    gateway: composition.gateway,
    introspection,
    csrfPrevention: { requestHeaders: PREFLIGHT_HEADERS },
    allowBatchedHttpRequests: false,
    hideSchemaDetailsFromClientErrors: !introspection,
    parseOptions: PARSE_OPTIONS,
    validationRules: [...OPERATION_RULES],
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
        { contextValue: { identity } },
      );
      if (response.body.kind !== 'single') throw new Error('The gateway answered incrementally');
      const { data, errors } = response.body.singleResult;
      return { ...(data !== undefined && { data }), ...(errors !== undefined && { errors }) } as ExecutionResult;
    },
  };
}
