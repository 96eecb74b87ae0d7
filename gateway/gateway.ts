/**
 * The gateway, put together from its rooms: one HTTP server for requests, websockets, playground and health. What
 * happens to an operation is in operations/pipeline.ts.
 */
import { LISTEN_BACKLOG, boundAddress } from '../core/wire/http-server.ts';
import type { RateLimiter } from '../core/access/rate-limiter.ts';
import type { VehicleTokens } from '../core/credentials/vehicle-token.ts';
import { ApiKeyDirectory } from './credentials/api-key-directory.ts';
import { authenticate, type FindSession } from './credentials/authenticate.ts';
import { keepRechecking, type EndedSessions } from './credentials/credentials-in-use.ts';
import { endingOf, followEndedCredentials } from './credentials/ended-credentials.ts';
import { FailedCredentials } from './credentials/failed-credentials.ts';
import { VehicleTokenGenerations, generationsReader } from './credentials/vehicle-token-generations.ts';
import { compose, type Subgraphs } from './composition/supergraph.ts';
import type { GatewayLogger } from './context.ts';
import { CurrentInputs, inputsOf } from './operations/answers/current-inputs.ts';
import { RevisionAnswers } from './operations/answers/revision-answers.ts';
import { startGraphqlServer } from './operations/graphql-server.ts';
import { OperationTexts } from './operations/persisted-operations/operation-texts.ts';
import { personalData } from './operations/persisted-operations/personal-data.ts';
import { SentTexts } from './operations/persisted-operations/sent-texts.ts';
import { OperationPipeline } from './operations/pipeline.ts';
import { answerTo } from './operations/refusals/error-answer.ts';
import { AccountConcurrency } from './operations/turns/account-concurrency.ts';
import { RightOfWay } from './operations/turns/right-of-way.ts';
import { GatewayMetrics, type MetricFigures } from './monitoring/gateway-metrics.ts';
import { readinessOf, type Readiness } from './monitoring/readiness.ts';
import { checkScrape } from './monitoring/scrape-access.ts';
import { presenceOf } from './presence/connected-vehicles.ts';
import { PresenceReporter, reportsTo } from './presence/presence-reporter.ts';
import { PREFLIGHT_HEADERS, pageOrigins } from './transports/http/page-origins.ts';
import { peerReader } from './transports/http/request-origin.ts';
import { createRoutes, type RequestTimes } from './transports/http/routes.ts';
import { connectionCaller } from './transports/websocket/connection-caller.ts';
import { createSubscriptionServer, type SubscriptionCounters } from './transports/websocket/subscription-server.ts';
import { serveUpgrades } from './transports/websocket/upgrades.ts';

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
  readonly readiness: Readiness;
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
  /** The figures of the other gateways on this port; `/metrics` then tells the sums over all of them. */
  readonly figuresOfOthers?: () => Promise<readonly unknown[]>;
}

export interface Gateway {
  /** The port that it listens on. */
  readonly port: number;
  counters(): SubscriptionCounters;
  /** The figures of this process, of which `/metrics` tells. */
  figures(): Promise<MetricFigures>;
  /** Takes no more requests, ends websockets with 1012 over `spread` milliseconds, and waits for what is under way. */
  close(spread?: number): Promise<void>;
}

/** Starts the gateway; resolves when it listens. Rejects when the port is taken. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { subgraphs, findSession, limiter, introspection, logger } = options;
  const peerOf = peerReader(options.trustedProxies);
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
  const answers = new RevisionAnswers({
    inputs: new CurrentInputs(inputsOf(subgraphs.flags), logger),
    flags: subgraphs.flags,
    ...composition,
  });
  const pipeline = new OperationPipeline({
    authenticate: (credentials, ipAddress) => authenticate(credentials, ipAddress, sources),
    limiter,
    texts: {
      registered: new OperationTexts(subgraphs.audit),
      sent: new SentTexts(),
      personal: personalData(composition.apiSchema),
    },
    schema: () => composition.apiSchema,
    introspection,
    accounts: new AccountConcurrency(),
    rightOfWay,
    answers,
    answered: (code, seconds) => metrics.ran('query', code, seconds),
  });
  const graphql = await startGraphqlServer({
    composition,
    pipeline,
    introspection,
    preflightHeaders: PREFLIGHT_HEADERS,
    logger,
    metrics,
  });
  const presence = new PresenceReporter(reportsTo(subgraphs.vehicles), logger);

  const app = createRoutes({
    pipeline,
    graphql,
    rightOfWay,
    publicKeys: options.publicKeys,
    readiness: readinessOf(subgraphs, options.readiness),
    peerOf,
    pages,
    playground: options.playground,
    metrics,
    checkScrape: (request) => checkScrape(request, peerOf(request).ipAddress, options.metricsToken, failures),
    times: options.requestTimes,
    logger,
  });
  const subscriptions = createSubscriptionServer({
    schema: () => composition,
    subgraphs,
    authenticate: connectionCaller(pipeline),
    steps: pipeline,
    rightOfWay,
    execute: (request, identity) => graphql.execute(request, identity),
    maskError: (error) => answerTo(error),
    origin: peerOf,
    presence: presenceOf(presence.vehicles),
    logger,
  });
  metrics.watch(subscriptions);
  metrics.watchAnswers(answers);
  metrics.watchProcess(options.unforeseen ?? (() => ({})), options.lostLogLines ?? (() => 0));
  if (options.figuresOfOthers !== undefined) metrics.sumWith(options.figuresOfOthers);
  serveUpgrades(app.server, subscriptions, pages, logger);

  await generations.start();
  await app.listen({ host: options.host, port: options.port, backlog: LISTEN_BACKLOG });
  const ending = endingOf({ apiKeys, generations, sockets: subscriptions });
  const stopFollowing = followEndedCredentials(subgraphs.audit, ending, logger);
  presence.start();
  const stopRechecking = keepRechecking({ sockets: subscriptions, endedSessions: options.endedSessions, apiKeys });
  return {
    port: boundAddress(app.server).port,
    counters: () => subscriptions.counters(),
    figures: () => metrics.figures(),
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
