/** The gateway role of a distributed deployment, in one process or in several on one port. */
import type { Logger } from 'pino';
import { openCache } from './cache.ts';
import type { Configuration } from './configuration.ts';
import { openGatewayAlone } from './gateway-alone.ts';
import type { UnforeseenCounts } from './last-handler.ts';
import { openAll, type Lifecycle } from './lifecycle.ts';
import { sayReady } from './log.ts';
import { internalSecret } from './secrets.ts';
import { openWorkers } from './workers/primary.ts';

/** Starts the gateway role. @param workers how many gateways share the port; one runs in this process */
export function startGatewayService(
  configuration: Configuration,
  logger: Logger,
  unforeseen: () => UnforeseenCounts,
  workers = 1,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const secret = await internalSecret(configuration.internalSecret, configuration.dataDir);
    if (workers > 1) {
      const options = { count: workers, secret, subgraphUrls: configuration.subgraphUrls, cache: null, unforeseen };
      sayReady(await openWorkers(configuration, options, lifecycle, logger));
      return lifecycle;
    }
    const cache = await openCache(configuration, lifecycle, logger);
    const gateway = await openGatewayAlone(configuration, { secret, cache, unforeseen }, lifecycle, logger);
    sayReady(gateway.port);
    return lifecycle;
  });
}
