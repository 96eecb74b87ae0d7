/** A subgraph's role of a distributed deployment. */
import type { Logger } from 'pino';
import { createIdentityTokens } from '../core/credentials/identity-token.ts';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { createWebhookSecrets } from '../core/credentials/webhook-secret.ts';
import type { SubgraphName } from '../core/wire/subgraph/subgraph.ts';
import type { Signer } from '../subgraphs/flags/signing/signing.ts';
import type { Metrics } from '../core/monitoring/metrics.ts';
import { StoreMetrics } from '../subgraphs/shared/monitoring/store-metrics.ts';
import { SubgraphMetrics } from '../subgraphs/shared/monitoring/subgraph-metrics.ts';
import { createReplayGuard } from '../subgraphs/shared/subgraph/replay-guard.ts';
import { serveSubgraph } from '../subgraphs/shared/subgraph/subgraph-process.ts';
import { openCache } from './stores/cache.ts';
import type { Configuration } from './configuration.ts';
import { makeFirstAdministrator } from './secrets/first-administrator.ts';
import { openAll, type Lifecycle } from './process/lifecycle.ts';
import { say } from './process/log.ts';
import { internalSecret } from './secrets/secrets.ts';
import { openMetrics, openPostgres, openReads } from './stores/databases.ts';
import { startSubgraph } from './subgraphs.ts';
import { startingSigner } from './secrets/trusted-signer.ts';

/** Starts the subgraph `name` as a process of its own. */
export function startSubgraphService(
  name: SubgraphName,
  configuration: Configuration,
  logger: Logger,
  figures: Metrics,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const secret = await internalSecret(configuration.internalSecret, configuration.dataDir);
    const stores = new StoreMetrics(figures);
    const database = await openPostgres(configuration, lifecycle, logger, stores);
    const cache = await openCache(configuration, lifecycle, logger, stores);
    if (name === 'audit') await makeFirstAdministrator(database.prisma, configuration, logger);
    let signer: Signer | undefined;
    const parts = {
      database,
      reads: openReads(database, cache.store, lifecycle, logger),
      ...cache,
      vehicleTokens: createVehicleTokens(secret),
      logger,
      monitoring: new SubgraphMetrics(figures),
      signer: async () => (signer ??= await startingSigner(database.prisma, configuration)),
      metrics: () => openMetrics(configuration, lifecycle, logger, stores),
      webhooks: { secrets: createWebhookSecrets(secret), allowedAddresses: configuration.webhookAllowPrivate },
      presenceGraceSeconds: configuration.presenceGraceSeconds,
    };
    const { subgraph, ready } = await startSubgraph(name, parts, lifecycle);
    const server = await serveSubgraph({
      subgraph,
      tokens: createIdentityTokens(secret),
      replayGuard: createReplayGuard(name, cache.store, logger),
      ready,
      host: configuration.host,
      port: configuration.port,
      isEnding: () => lifecycle.isEnding,
      publicKeys: signer?.publicKeys,
      scraped: { metrics: figures, token: configuration.metricsToken },
    });
    lifecycle.onClose(() => server.close());
    lifecycle.announceFor(configuration.shutdownDelayMs);
    say(`FleetFlag ${name} ready at http://localhost:${server.port}`);
    return lifecycle;
  });
}
