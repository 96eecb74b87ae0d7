/** The gateway, put together from its rooms: one HTTP server for requests, websockets, playground and health. */
import type { AddressInfo } from 'node:net';
import { Kind } from 'graphql';
import { FleetFlagError } from '../core/errors.ts';
import type { VehicleTokens } from '../core/protocol/vehicle-token.ts';
import { authenticate, credentialsOf, type FindSession } from './auth/authenticate.ts';
import { authorizeOperation } from './auth/authorize.ts';
import { VehicleTokenGenerations, generationsReader } from './auth/vehicle-token-generations.ts';
import { compose, type Subgraphs } from './composition/supergraph.ts';
import type { GatewayLogger } from './context.ts';
import { answerTo } from './http/error-answer.ts';
import { startGraphqlServer } from './http/graphql-server.ts';
import { createRoutes, originOf } from './http/routes.ts';
import { createSubscriptionServer, type SubscriptionCounters } from './subscriptions/subscription-server.ts';

export interface GatewayOptions {
  readonly subgraphs: Subgraphs;
  readonly findSession: FindSession;
  readonly vehicleTokens: VehicleTokens;
  /** The public signing keys (RFC 7517), for `/.well-known/jwks.json`. */
  readonly publicKeys: () => Promise<unknown>;
  /** Further parts than the subgraphs that requests need, each with whether it answers. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly playground: boolean;
  readonly introspection: boolean;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly logger: GatewayLogger;
}

export interface Gateway {
  /** The port that it listens on. */
  readonly port: number;
  counters(): SubscriptionCounters;
  /** Takes no more requests, ends websockets with 1012 over `spread` milliseconds, and waits for what is under way. */
  close(spread?: number): Promise<void>;
}

/** Starts the gateway; resolves when it listens. Rejects when the port is taken. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { subgraphs, findSession, logger } = options;
  const composition = compose(subgraphs);
  const generations = new VehicleTokenGenerations({
    read: generationsReader(subgraphs.vehicles),
    ended: (vins) => void subscriptions.disconnect(({ caller }) => caller.kind === 'vehicle' && caller.vin !== null && vins.has(caller.vin)),
    logger,
  });
  const vehicles = { tokens: options.vehicleTokens, generations };
  const graphql = await startGraphqlServer({ composition, introspection: options.introspection, logger });

  const app = createRoutes({
    graphql,
    authenticate: async (credentials) => (await authenticate(credentials, findSession, vehicles)).caller,
    publicKeys: options.publicKeys,
    async readiness() {
      const names = Object.keys(subgraphs) as (keyof Subgraphs)[];
      const [answers, others] = await Promise.all([Promise.all(names.map((name) => subgraphs[name].ready())), options.readiness()]);
      return { ...others, ...Object.fromEntries(names.map((name, index) => [name, answers[index] ?? false])) };
    },
    playground: options.playground,
    logger,
  });

  const subscriptions = createSubscriptionServer({
    schema: () => composition,
    subgraphs,
    authenticate: async (params, { headers }) => {
      const inPayload = credentialsOf(params);
      const { authorization, 'x-api-key': apiKey } = headers;
      // Browsers cannot set headers on a websocket; programs may.
      const credentials = inPayload.authorization === undefined && inPayload.apiKey === undefined ? { authorization, apiKey: typeof apiKey === 'string' ? apiKey : undefined } : inPayload;
      const { caller, expiresAt } = await authenticate(credentials, findSession, vehicles);
      if (caller.kind === 'nobody') throw new FleetFlagError('UNAUTHENTICATED', 'connection_init carries no credentials.');
      return { caller, ...(expiresAt !== null && { expiresAt }) };
    },
    authorize({ document, operationName, variables }, caller) {
      const operation = document.definitions.find(
        (node) => node.kind === Kind.OPERATION_DEFINITION && (operationName === undefined || node.name?.value === operationName),
      );
      if (operation?.kind !== Kind.OPERATION_DEFINITION) return;
      authorizeOperation(composition.apiSchema, { document, operation, variables }, caller);
    },
    execute: (request, identity) => graphql.execute(request, identity),
    maskError: (error, document) => answerTo(error, undefined, document),
    origin: (request) => originOf(request.headers, request.socket.remoteAddress),
    logger,
  });
  app.server.on('upgrade', (request, socket, head) => {
    if (new URL(request.url ?? '/', 'http://gateway').pathname === '/graphql') subscriptions.handleUpgrade(request, socket, head);
    else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });

  await generations.start();
  await app.listen({ host: options.host, port: options.port });
  return {
    port: (app.server.address() as AddressInfo).port,
    counters: () => subscriptions.counters(),
    async close(spread) {
      generations.close();
      await subscriptions.close(spread);
      await app.close();
      await graphql.apollo.stop();
    },
  };
}
