/**
 * The gateway, put together from its rooms: one HTTP server for requests, websockets, pages and health. What happens to
 * an operation is in operations/pipeline.ts.
 */
import { readFile } from 'node:fs/promises';
import { LISTEN_BACKLOG, boundAddress, closeInOrder } from '../core/wire/network/http-server.ts';
import type { RateLimiter } from '../core/access/rate-limiter.ts';
import type { VehicleTokens } from '../core/credentials/vehicle-token.ts';
import { ApiKeyDirectory } from './credentials/api-key-directory.ts';
import { authenticate, type FindSession } from './credentials/authenticate.ts';
import { keepRechecking, type EndedSessions } from './credentials/credentials-in-use.ts';
import { endingOf, followEndedCredentials } from './credentials/ended-credentials.ts';
import { FailedCredentials } from '../core/credentials/failed-credentials.ts';
import { VehicleTokenGenerations, generationsReader } from './credentials/vehicle-token-generations.ts';
import { SupergraphFile } from './composition/supergraph-file.ts';
import { compose, type Subgraphs } from './composition/supergraph.ts';
import type { GatewayLogger } from './context.ts';
import { CurrentInputs, inputsOf } from './operations/answers/current-inputs.ts';
import { RevisionAnswers } from './operations/answers/revision-answers.ts';
import { startGraphqlServer } from './operations/graphql-server.ts';
import { OperationTexts } from './operations/persisted-operations/operation-texts.ts';
import { personalDataFinder } from './operations/persisted-operations/personal-data.ts';
import { SentTexts } from './operations/persisted-operations/sent-texts.ts';
import { OperationPipeline } from './operations/pipeline.ts';
import { answerTo } from './operations/refusals/error-answer.ts';
import { AccountConcurrency } from './operations/turns/account-concurrency.ts';
import { RightOfWay } from './operations/turns/right-of-way.ts';
import type { SharedLimits } from './operations/turns/shared-limits.ts';
import { GatewayMetrics } from './monitoring/gateway-metrics.ts';
import { readinessOf, type Readiness } from './monitoring/readiness.ts';
import { Metrics } from '../core/monitoring/metrics.ts';
import { checkScrape } from '../core/monitoring/scrape-access.ts';
import { consoleSite, type ConsoleFile } from './pages/console/site.ts';
import { PLAYGROUND } from './pages/playground/site.ts';
import { serveSite } from './pages/serving/serve-site.ts';
import { presenceOf } from './presence/connected-vehicles.ts';
import { MovedVehicles } from './partitions/moved-vehicles.ts';
import { PartitionDirectory, partitionQuestion } from './partitions/partition-directory.ts';
import { PresenceReporter, createSendReport } from './presence/presence-reporter.ts';
import { PREFLIGHT_HEADERS, pageOrigins } from './transports/http/page-origins.ts';
import { peerReader } from './transports/http/request-origin.ts';
import { createRoutes, type RequestTimes } from './transports/http/routes.ts';
import { connectionCaller } from './transports/websocket/connection/connection-caller.ts';
import { createSubscriptionServer, type SubscriptionCounters } from './transports/websocket/subscription-server.ts';
import { serveUpgrades } from './transports/websocket/admission/upgrades.ts';

/** The dependencies and settings of the gateway. */
export interface GatewayOptions {
  readonly subgraphs: Subgraphs;
  readonly findSession: FindSession;
  readonly endedSessions: EndedSessions;
  readonly vehicleTokens: VehicleTokens;
  /** Counts the operations of API keys. */
  readonly limiter: RateLimiter;
  /** The public signing keys (RFC 7517), for `/.well-known/jwks.json`. */
  readonly publicKeys: () => Promise<unknown>;
  /** The parts beside the subgraphs that requests need, each with whether it answers. */
  readonly readiness: Readiness;
  /** Says whether this process is about to stop: it still answers, but not for long; never by default. */
  readonly isEnding?: () => boolean;
  readonly playground: boolean;
  /** Gives the files of the console, at the first request for one; null: there is no console. */
  readonly console: (() => Promise<readonly ConsoleFile[]>) | null;
  readonly introspection: boolean;
  /** A file with the supergraph, which is followed; by default the supergraph of this build, which never changes. */
  readonly supergraphFile?: string | null;
  /** Addresses and CIDR ranges whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Origins whose pages may call `/graphql`, beside the gateway's own, such as `https://dashboard.example.com`. */
  readonly allowedOrigins: readonly string[];
  /** The token that opens `/metrics`; null where only this machine may read them. */
  readonly metricsToken: string | null;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly logger: GatewayLogger;
  /** The metrics of this process, to which the gateway adds its own. */
  readonly metrics?: Metrics;
  /**
   * The times in which requests over HTTP must arrive; as in docs/operations/limits.md unless a test cannot wait so
   * long.
   */
  readonly requestTimes?: RequestTimes;
  /** The limits that it shares with the other gateways on this port. */
  readonly sharedLimits?: SharedLimits;
}

/** A gateway that listens. */
export interface Gateway {
  /** The port that it listens on. */
  readonly port: number;
  counters(): SubscriptionCounters;
  /** Takes no more requests, ends websockets with 1012 over `spread` milliseconds, and waits for what is under way. */
  close(spread?: number): Promise<void>;
}

/** Starts the gateway; resolves when it listens. Rejects when the port is taken. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { subgraphs, findSession, limiter, introspection, logger } = options;
  const peerOf = peerReader(options.trustedProxies);
  const pages = pageOrigins(options.allowedOrigins);
  const apiKeys = new ApiKeyDirectory(subgraphs.audit);
  const { supergraphFile = null } = options;
  let composition = compose(subgraphs, supergraphFile === null ? undefined : await readFile(supergraphFile, 'utf8'));
  let personal = personalDataFinder(composition.apiSchema);
  const generations = new VehicleTokenGenerations({
    read: generationsReader(subgraphs.vehicles),
    ended: (vins) =>
      void subscriptions.disconnect(
        ({ caller }) => caller.kind === 'vehicle' && caller.vin !== null && vins.has(caller.vin),
      ),
    logger,
  });
  const failures = new FailedCredentials();
  const directory = new PartitionDirectory(partitionQuestion(subgraphs.flags), logger);
  const sources = { findSession, apiKeys, vehicles: { tokens: options.vehicleTokens, generations }, failures };
  const { metrics: figures = new Metrics() } = options;
  const metrics = new GatewayMetrics(figures);
  const rightOfWay = new RightOfWay();
  const answers = new RevisionAnswers({
    inputs: new CurrentInputs(inputsOf(subgraphs.flags), logger),
    flags: subgraphs.flags,
    ...composition,
  });
  const pipeline = new OperationPipeline({
    async authenticate(credentials, ipAddress, isLasting) {
      const authenticated = await authenticate(credentials, ipAddress, sources);
      const { caller } = authenticated;
      if (caller.kind !== 'vehicle') return authenticated;
      return { ...authenticated, caller: await directory.place(caller, isLasting) };
    },
    apiKeys,
    limiter,
    texts: {
      registered: new OperationTexts(subgraphs.audit),
      sent: new SentTexts(),
      personal: (operation) => personal(operation),
    },
    schema: () => composition.apiSchema,
    introspection,
    accounts: new AccountConcurrency(options.sharedLimits),
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
  /** Puts another supergraph in force, at one moment for all that begins from then on. */
  async function useSupergraph(supergraphSdl: string): Promise<void> {
    const next = compose(subgraphs, supergraphSdl);
    const putInForce = await graphql.prepare(next);
    composition = next;
    personal = personalDataFinder(next.apiSchema);
    answers.use(next);
    putInForce();
  }
  const supergraph =
    supergraphFile && new SupergraphFile(supergraphFile, composition.supergraphSdl, useSupergraph, logger);
  const presence = new PresenceReporter(createSendReport(subgraphs.vehicles), logger);

  const app = createRoutes({
    pipeline,
    graphql,
    rightOfWay,
    publicKeys: options.publicKeys,
    readiness: readinessOf(subgraphs, options.readiness),
    peerOf,
    pages,
    metrics,
    scrape: () => figures.text(),
    checkScrape: (request) => checkScrape(request, peerOf(request).ipAddress, options.metricsToken, failures),
    times: options.requestTimes,
    ...(options.isEnding !== undefined && { isEnding: options.isEnding }),
    logger,
  });
  if (options.playground) serveSite(app, PLAYGROUND);
  if (options.console !== null) serveSite(app, consoleSite(options.console));
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
    delivered: (changedAtMs) => metrics.delivered(changedAtMs),
    ...(options.sharedLimits !== undefined && { sharedLimits: options.sharedLimits }),
    logger,
  });
  metrics.watch(subscriptions);
  metrics.watchAnswers(answers);
  serveUpgrades(app.server, subscriptions, pages, logger);

  await generations.start();
  await app.listen({ host: options.host, port: options.port, backlog: LISTEN_BACKLOG });
  const ending = endingOf({ apiKeys, generations, sockets: subscriptions, endedSessions: options.endedSessions });
  const moved = new MovedVehicles({ flags: subgraphs.flags, directory, sockets: subscriptions, logger });
  moved.start();
  const stopFollowing = followEndedCredentials(subgraphs.audit, ending, logger);
  presence.start();
  if (supergraph) supergraph.start();
  const stopRechecking = keepRechecking({ sockets: subscriptions, endedSessions: options.endedSessions, apiKeys });
  return {
    port: boundAddress(app.server).port,
    counters: () => subscriptions.counters(),
    async close(spread) {
      stopFollowing();
      stopRechecking();
      moved.close();
      if (supergraph) await supergraph.close();
      generations.close();
      await subscriptions.close(spread);
      await presence.close();
      await closeInOrder(app);
      await graphql.apollo.stop();
    },
  };
}
