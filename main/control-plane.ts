/**
 * The whole control plane on one machine: the gateway, which calls the four subgraphs in process, or several gateways
 * in worker processes, which call the subgraphs of this process over HTTP.
 */
import type { Logger } from 'pino';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { createWebhookSecrets } from '../core/credentials/webhook-secret.ts';
import { SUBGRAPH_NAMES } from '../core/wire/subgraph/subgraph.ts';
import type { Metrics } from '../core/monitoring/metrics.ts';
import { StoreMetrics } from '../subgraphs/shared/monitoring/store-metrics.ts';
import { SubgraphMetrics } from '../subgraphs/shared/monitoring/subgraph-metrics.ts';
import { connectInProcess } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { openCache } from './stores/cache.ts';
import type { Configuration } from './configuration.ts';
import { makeFirstAdministrator } from './secrets/first-administrator.ts';
import { openGateway } from './gateway/gateway.ts';
import { openAll, together, type Lifecycle } from './process/lifecycle.ts';
import { startingSecret } from './secrets/secrets.ts';
import { sayReady } from './process/log.ts';
import { whileWaiting } from './process/waiting.ts';
import { openMetrics, openPostgres, openReads } from './stores/databases.ts';
import { serveStarted, startSubgraph } from './subgraphs.ts';
import { startingSigner } from './secrets/trusted-signer.ts';
import { openWorkers } from './workers/primary.ts';

/**
 * Starts everything; resolves when the gateway listens. If anything fails, closes what was already started. Closing
 * ends everything in order and leaves no process behind.
 *
 * @param workers how many gateways share the port; one runs in this process
 */
export function startControlPlane(
  configuration: Configuration,
  logger: Logger,
  figures: Metrics,
  workers = 1,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const stores = new StoreMetrics(figures);
    // The stores do not depend on each other: opened together, they take only as long as the slowest of them.
    const [database, cache, metrics] = await together([
      openPostgres(configuration, lifecycle, logger, stores),
      openCache(configuration, lifecycle, logger, stores),
      openMetrics(configuration, lifecycle, logger, stores),
    ]);
    const [signer, secret] = await whileWaiting(logger, 'answers of PostgreSQL about keys and accounts', async () => {
      const found = [
        await startingSigner(database.prisma, configuration),
        await startingSecret(configuration.internalSecret, configuration.dataDir, database.prisma),
      ] as const;
      await makeFirstAdministrator(database.prisma, configuration, logger);
      return found;
    });

    const vehicleTokens = createVehicleTokens(secret);
    const parts = {
      database,
      reads: openReads(database, cache.store, lifecycle, logger),
      ...cache,
      vehicleTokens,
      logger,
      monitoring: new SubgraphMetrics(figures),
      signer: () => Promise.resolve(signer),
      metrics: () => Promise.resolve(metrics),
      webhooks: { secrets: createWebhookSecrets(secret), allowedAddresses: configuration.webhookAllowPrivate },
      presenceGraceSeconds: configuration.presenceGraceSeconds,
    };
    const started = await together(SUBGRAPH_NAMES.map((name) => startSubgraph(name, parts, lifecycle)));
    if (workers > 1) {
      const subgraphUrls = await serveStarted(
        started,
        { secret, ...cache, publicKeys: signer.publicKeys },
        lifecycle,
        logger,
      );
      const options = { count: workers, secret, subgraphUrls, cache: configuration.redis === null ? cache : null };
      sayReady(await openWorkers(configuration, { ...options, metrics: figures }, lifecycle, logger));
      return lifecycle;
    }
    const connections = started.map(({ subgraph, ready }) => connectInProcess(subgraph, ready));
    const gateway = await openGateway(
      configuration,
      {
        connections,
        store: cache.store,
        limiter: cache.limiter,
        vehicleTokens,
        publicKeys: () => Promise.resolve(signer.publicKeys),
        metrics: figures,
      },
      lifecycle,
      logger,
    );
    lifecycle.announceFor(configuration.shutdownDelayMs);
    sayReady(gateway.port);
    return lifecycle;
  });
}
