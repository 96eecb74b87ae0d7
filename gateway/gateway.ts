/** The gateway, put together from its rooms: one HTTP server for requests, websockets, playground and health. */
import type { AddressInfo } from 'node:net';
import { Kind } from 'graphql';
import { unattended } from '../core/async/unattended.ts';
import { FleetFlagError } from '../core/errors.ts';
import { LISTEN_BACKLOG } from '../core/wire/http-server.ts';
import type { RateLimiter } from '../core/access/rate-limiter.ts';
import type { VehicleTokens } from '../core/credentials/vehicle-token.ts';
import { ApiKeyDirectory } from './credentials/api-key-directory.ts';
import { authenticate, credentialsOf, type FindSession } from './credentials/authenticate.ts';
import { authorizeOperation } from './operations/authorize.ts';
import { keepRechecking, type EndedSessions } from './credentials/credentials-in-use.ts';
import { followEndedCredentials, isConcerned } from './credentials/ended-credentials.ts';
import { FailedCredentials } from './credentials/failed-credentials.ts';
import { VehicleTokenGenerations, generationsReader } from './credentials/vehicle-token-generations.ts';
import { compose, type Subgraphs } from './composition/supergraph.ts';
import type { GatewayLogger } from './context.ts';
import { answerTo } from './operations/refusals/error-answer.ts';
import { startGraphqlServer } from './operations/graphql-server.ts';
import { pageOrigins } from './transports/http/page-origins.ts';
import { originReader } from './transports/http/request-origin.ts';
import { createRoutes, type RequestTimes } from './transports/http/routes.ts';
import { AccountConcurrency } from './operations/turns/account-concurrency.ts';
import { RightOfWay } from './operations/turns/right-of-way.ts';
import { refuseCost } from './operations/limits/check-operation.ts';
import { countOperation } from './operations/limits/key-rate.ts';
import { EntityTags } from './operations/persisted-operations/entity-tag.ts';
import { personalData } from './operations/persisted-operations/personal-data.ts';
import { OperationTexts } from './operations/persisted-operations/operation-texts.ts';
import { resolveOperation } from './operations/persisted-operations/resolve-operation.ts';
import { SentTexts } from './operations/persisted-operations/sent-texts.ts';
import { GatewayMetrics } from './monitoring/gateway-metrics.ts';
import { checkScrape } from './monitoring/scrape-access.ts';
import { PresenceReporter, reportsTo } from './presence/presence-reporter.ts';
import { refuseUpgrade } from './transports/websocket/refuse-upgrade.ts';
import { createSubscriptionServer, type SubscriptionCounters } from './transports/websocket/subscription-server.ts';

export interface GatewayOptions {
  readonly subgraphs: Subgraphs;
  readonly findSession: FindSession;
  readonly endedSessions: EndedSessions;
  readonly vehicleTokens: VehicleTokens;
  /** Counts the operations of API keys. */
  readonly limiter: RateLimiter;
  /** The public signing keys (RFC 7517), for `/.well-known/jwks.json`. */
  readonly publicKeys: () => Promise<unknown>;
  /** Further parts than the subgraphs that requests need, each with whether it answers. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly playground: boolean;
  readonly introspection: boolean;
  /** Addresses and CIDR ranges whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Origins whose pages may call `/graphql`, beside the gateway's own, such as `https://dashboard.example.com`. */
  readonly allowedOrigins: readonly string[];
  /** What opens `/metrics`; null: they are for this machine alone. */
  readonly metricsToken: string | null;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly logger: GatewayLogger;
  /** Failures that nothing in this process has foreseen, by kind, since the start. */
  readonly unforeseen?: () => Readonly<Record<string, number>>;
  /**
   * How long requests over HTTP may take to arrive; as in docs/operations/limits.md unless a test cannot wait so long.
   */
  readonly requestTimes?: RequestTimes;
  /** How many lines of the process's log could not be written, for `/metrics`. */
  readonly lostLogLines?: () => number;
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
  const { subgraphs, findSession, limiter, logger } = options;
  const originOf = originReader(options.trustedProxies);
  const pages = pageOrigins(options.allowedOrigins);
  const apiKeys = new ApiKeyDirectory(subgraphs.audit);
  const composition = compose(subgraphs);
  const generations = new VehicleTokenGenerations({
    read: generationsReader(subgraphs.vehicles),
    ended: (vins) =>
      void subscriptions.disconnect(
        ({ caller }) => caller.kind === 'vehicle' && caller.vin !== null && vins.has(caller.vin),
      ),
    logger,
  });
  const failures = new FailedCredentials();
  const sources = { findSession, apiKeys, vehicles: { tokens: options.vehicleTokens, generations }, failures };
  const metrics = new GatewayMetrics();
  const rightOfWay = new RightOfWay();
  const graphql = await startGraphqlServer({
    composition,
    introspection: options.introspection,
    logger,
    metrics,
    accounts: new AccountConcurrency(),
    rightOfWay,
  });
  const operations = {
    registered: new OperationTexts(subgraphs.audit),
    sent: new SentTexts(),
    personal: personalData(composition.apiSchema),
  };
  const presence = new PresenceReporter(reportsTo(subgraphs.vehicles), logger);

  const app = createRoutes({
    graphql,
    authenticate: async (credentials, { ipAddress }) => (await authenticate(credentials, ipAddress, sources)).caller,
    limiter,
    operations,
    rightOfWay,
    tags: new EntityTags(subgraphs.flags, composition),
    publicKeys: options.publicKeys,
    async readiness() {
      const names = Object.keys(subgraphs) as (keyof Subgraphs)[];
      const [answers, others] = await Promise.all([
        Promise.all(names.map((name) => subgraphs[name].ready())),
        options.readiness(),
      ]);
      return { ...others, ...Object.fromEntries(names.map((name, index) => [name, answers[index] ?? false])) };
    },
    originOf,
    pages,
    playground: options.playground,
    metrics,
    checkScrape: (request) => checkScrape(request, originOf(request).ipAddress, options.metricsToken, failures),
    times: options.requestTimes,
    logger,
  });

  const subscriptions = createSubscriptionServer({
    schema: () => composition,
    subgraphs,
    authenticate: async (params, { headers, origin }) => {
      const inPayload = credentialsOf(params);
      const { authorization, 'x-api-key': apiKey } = headers;
      // Browsers cannot set headers on a websocket; programs may.
      const credentials =
        inPayload.authorization === undefined && inPayload.apiKey === undefined
          ? { authorization, apiKey: typeof apiKey === 'string' ? apiKey : undefined }
          : inPayload;
      const { caller, expiresAt, credential } = await authenticate(credentials, origin.ipAddress, sources);
      if (caller.kind === 'anonymous')
        throw new FleetFlagError('UNAUTHENTICATED', 'connection_init carries no credentials.');
      return { caller, ...(expiresAt !== null && { expiresAt }), ...(credential !== null && { credential }) };
    },
    authorize({ document, operationName, variables }, caller) {
      const operation = document.definitions.find(
        (node) =>
          node.kind === Kind.OPERATION_DEFINITION &&
          (operationName === undefined || node.name?.value === operationName),
      );
      if (operation?.kind !== Kind.OPERATION_DEFINITION) return;
      const asked = { document, operation, variables };
      authorizeOperation(composition.apiSchema, asked, caller, { hideSuggestions: !options.introspection });
      refuseCost(composition.apiSchema, asked);
    },
    introspection: options.introspection,
    resolveOperation(request, caller) {
      const named = () =>
        resolveOperation(request, caller, operations)?.then(({ body }) => ({ ...request, query: body })) ?? null;
      if (caller.kind !== 'apiKey') return named();
      return countOperation(caller, limiter).then(async (rate) => {
        if (rate?.refusal) throw rate.refusal;
        return (await named()) ?? request;
      });
    },
    rightOfWay,
    execute: (request, identity) => graphql.execute(request, identity),
    maskError: (error, document) => answerTo(error, undefined, document),
    origin: originOf,
    presence: {
      opened: (caller) =>
        void (caller.kind === 'vehicle' && caller.vin !== null && presence.vehicles.opened(caller.vin)),
      closed: (caller) =>
        void (caller.kind === 'vehicle' && caller.vin !== null && presence.vehicles.closed(caller.vin)),
    },
    logger,
  });
  metrics.watch(subscriptions);
  const refusedPages = new Set<string>();
  metrics.watchProcess(options.unforeseen ?? (() => ({})), options.lostLogLines ?? (() => 0));
  app.server.on('upgrade', (request, socket, head) => {
    // Not by URL, which throws on what clients may send (`//`): nothing would catch it here.
    if (request.url?.split('?', 1)[0] !== '/graphql') return refuseUpgrade(socket, '404 Not Found');
    if (pages.admits(request.headers)) return subscriptions.handleUpgrade(request, socket, head);
    const { origin = '', host } = request.headers;
    // A browser tells its page nothing of why: the log has to, once for each of a bounded number, since anybody can
    // send any.
    if (refusedPages.size < 100 && !refusedPages.has(origin)) {
      refusedPages.add(origin);
      logger.warn(
        { origin, host },
        'A page of another origin was refused a websocket; FLEETFLAG_ALLOWED_ORIGINS names the origins that may',
      );
    }
    refuseUpgrade(
      socket,
      '403 Forbidden',
      'Pages of this origin may not call the gateway: FLEETFLAG_ALLOWED_ORIGINS does not name it.',
    );
  });

  await generations.start();
  await app.listen({ host: options.host, port: options.port, backlog: LISTEN_BACKLOG });
  const stopFollowing = followEndedCredentials(
    subgraphs.audit,
    (ended) => {
      if (ended.apiKeyId !== null) apiKeys.end(ended.apiKeyId);
      const disconnect = () => void subscriptions.disconnect((identity) => isConcerned(ended, identity));
      // First it is refused, then it is cut off: whoever has it might be back at once.
      if (ended.vin !== null)
        unattended(generations.learn().then(disconnect), 'Closing the sockets of a revoked vehicle token');
      else disconnect();
    },
    logger,
  );
  presence.start();
  const stopRechecking = keepRechecking({ sockets: subscriptions, endedSessions: options.endedSessions, apiKeys });
  return {
    port: (app.server.address() as AddressInfo).port,
    counters: () => subscriptions.counters(),
    async close(spread) {
      stopFollowing();
      stopRechecking();
      generations.close();
      await subscriptions.close(spread);
      await presence.close();
      await app.close();
      await graphql.apollo.stop();
    },
  };
}
