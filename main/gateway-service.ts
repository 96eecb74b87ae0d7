/** The gateway role of a distributed deployment, in one process or in several on one port. */
import type { Logger } from 'pino';
import type { Metrics } from '../core/monitoring/metrics.ts';
import { StoreMetrics } from '../subgraphs/shared/monitoring/store-metrics.ts';
import { openCache } from './stores/cache.ts';
import type { Configuration } from './configuration.ts';
import { openGatewayAlone } from './gateway/gateway-alone.ts';
import { openAll, type Lifecycle } from './process/lifecycle.ts';
import { sayReady } from './process/log.ts';
import { internalSecret } from './secrets/secrets.ts';
import { openWorkers } from './workers/primary.ts';

/**
 * Starts the gateway role.
 *
 * @param workers how many gateways share the port; one runs in this process
 */
export function startGatewayService(
  configuration: Configuration,
  logger: Logger,
  metrics: Metrics,
  workers = 1,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const secret = await internalSecret(configuration.internalSecret, configuration.dataDir);
    if (workers > 1) {
      const options = { count: workers, secret, subgraphUrls: configuration.subgraphUrls, cache: null, metrics };
      sayReady(await openWorkers(configuration, options, lifecycle, logger));
      return lifecycle;
    }
    const cache = await openCache(configuration, lifecycle, logger, new StoreMetrics(metrics));
    const gateway = await openGatewayAlone(configuration, { secret, cache, metrics }, lifecycle, logger);
    lifecycle.announceFor(configuration.shutdownDelayMs);
    sayReady(gateway.port);
    return lifecycle;
  });
}
