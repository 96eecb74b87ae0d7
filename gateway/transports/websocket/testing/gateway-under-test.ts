/**
 * A subscription server on a free port, over the two federated subgraphs, with its records of everything that a test
 * checks.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GraphQLError, graphql, type GraphQLFormattedError } from 'graphql';
import { FleetFlagError } from '../../../../core/errors.ts';
import type { Caller } from '../../../../core/access/caller.ts';
import type { AuthenticatedCaller } from '../../../credentials/credentials-in-use.ts';
import type { OperationSteps } from '../operations/start-operation.ts';
import { openSteps } from './open-steps.ts';
import { RightOfWay } from '../../../operations/turns/right-of-way.ts';
import { createSubscriptionServer, type SubscriptionServerOptions } from '../subscription-server.ts';
import { federatedSubgraphs } from '../../../subscriptions/testing/federated-subgraphs.ts';
import { WireClient } from '../../../subscriptions/testing/wire-client.ts';
import { eventually } from '../../../../core/testing/eventually.ts';

/** The codes of errors that clients may see, each with the code that they get. */
const CODES = new Map([
  ...['FORBIDDEN', 'BAD_USER_INPUT', 'SERVICE_UNAVAILABLE'].map((code) => [code, code] as const),
  ['GRAPHQL_PARSE_FAILED', 'BAD_USER_INPUT'],
  ['GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT'],
]);

/** Masks an error as the gateway does: errors with a code of the catalogue are shown, all others are not. */
function maskError(error: unknown): GraphQLFormattedError {
  if (error instanceof FleetFlagError)
    return { message: error.message, extensions: { code: error.code, ...error.details } };
  const { message, path, extensions } =
    error instanceof GraphQLError ? error.toJSON() : (error as GraphQLFormattedError);
  const code = CODES.get(String(extensions?.['code']));
  const place = path === undefined ? {} : { path };
  return code === undefined
    ? { message: 'Internal server error', ...place, extensions: { code: 'INTERNAL_SERVER_ERROR' } }
    : { message, ...place, extensions: { ...extensions, code } };
}

type Overrides = Partial<Omit<SubscriptionServerOptions, 'steps'>> & { readonly steps?: Partial<OperationSteps> };

/**
 * @param overrides what the test wants otherwise; by default vehicles come with `{vin}`, users with `{role}`, and
 * `{authorization: 'bad'}` is refused
 */
export async function gatewayUnderTest({ steps, ...overrides }: Overrides = {}) {
  const federation = federatedSubgraphs();
  const open = openSteps(() => federation.schema.apiSchema);
  const errors: string[] = [];
  const server = createSubscriptionServer({
    schema: () => federation.schema,
    subgraphs: federation.subgraphs,
    authenticate: (params): Promise<Caller | AuthenticatedCaller> => {
      if (params['authorization'] === 'bad') return Promise.reject(new FleetFlagError('UNAUTHENTICATED', 'No.'));
      if (params['authorization'] === 'down')
        return Promise.reject(new FleetFlagError('SERVICE_UNAVAILABLE', 'Later.'));
      if (params['role'] === 'READ')
        return Promise.resolve({ kind: 'user', userId: 'u1', role: 'READ', sessionKey: null });
      return Promise.resolve({
        kind: 'vehicle',
        vin: typeof params['vin'] === 'string' ? params['vin'] : 'WVWZZZ1JZXW000001',
        environment: 'production',
      });
    },
    steps: {
      ...open,
      permit(checked, given, caller) {
        if (given['e'] === 'elsewhere') throw new FleetFlagError('FORBIDDEN', 'Not your environment.');
        return open.permit(checked, given, caller);
      },
      ...steps,
    },
    execute: async ({ query, variables, operationName }) => {
      const rootValue = {
        revision: () => federation.state.revision,
        flag: ({ key }: { key: string }) => ({ key }),
        touch: () => true,
      };
      return graphql({
        schema: federation.schema.apiSchema,
        source: query,
        variableValues: variables,
        operationName,
        rootValue,
      });
    },
    rightOfWay: new RightOfWay(),
    maskError,
    logger: {
      info: () => undefined,
      warn: (_, message) => errors.push(message),
      error: (_, message) => errors.push(message),
    },
    ...overrides,
    limits: { closeTimeoutMs: 300, lossSpreadMs: 20, establishmentGraceMs: 20, ...overrides.limits },
  });
  const http = createServer((_, response) => response.end());
  http.on('upgrade', (request, socket, head) => server.handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/graphql`;
  const clients: WireClient[] = [];
  return {
    ...federation,
    server,
    url,
    /** Warnings and errors that were logged. */
    errors,
    /** A client that has been acknowledged. */
    async client(params: Record<string, unknown> = {}): Promise<WireClient> {
      const client = new WireClient(url);
      clients.push(client);
      return client.acknowledged(params);
    },
    rawClient(
      ...args: ConstructorParameters<typeof WireClient> extends [string, ...infer Rest] ? Rest : never
    ): WireClient {
      const client = new WireClient(url, ...args);
      clients.push(client);
      return client;
    },
    /** Waits until the gateway has `count` operations open, all upstreams established. */
    operations: (count: number) =>
      eventually(
        () => server.counters().operations === count && federation.changes.open === server.counters().upstreams,
        `${count} open operations`,
      ),
    async stop(): Promise<void> {
      for (const { socket } of clients) socket.terminate();
      await server.close(0);
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

export type GatewayUnderTest = Awaited<ReturnType<typeof gatewayUnderTest>>;
