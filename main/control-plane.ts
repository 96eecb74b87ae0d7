/**
 * The whole control plane on one machine: the gateway, which calls the four subgraphs in process, or several gateways
 * in worker processes, which call the subgraphs of this process over HTTP.
 */
import type { Logger } from 'pino';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { SUBGRAPH_NAMES } from '../core/wire/subgraph.ts';
import { connectInProcess } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { openCache } from './cache.ts';
import type { Configuration } from './configuration.ts';
import { makeFirstAdministrator } from './first-administrator.ts';
import { openGateway } from './gateway.ts';
import type { UnforeseenCounts } from './last-handler.ts';
import { openAll, together, type Lifecycle } from './lifecycle.ts';
import { startingSecret } from './secrets.ts';
import { sayReady } from './log.ts';
import { openMetrics, openPostgres } from './stores.ts';
import { serveStarted, startSubgraph } from './subgraphs.ts';
import { startingSigner } from './trusted-signer.ts';
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
  unforeseen: () => UnforeseenCounts,
  workers = 1,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    // The stores do not depend on each other: opened together, they take only as long as the slowest of them.
    const [database, cache, metrics] = await together([
      openPostgres(configuration, lifecycle, logger),
      openCache(configuration, lifecycle, logger),
      openMetrics(configuration, lifecycle, logger),
    ]);
    const signer = await startingSigner(database.prisma, configuration);
    const secret = await startingSecret(configuration.internalSecret, configuration.dataDir, database.prisma);
    await makeFirstAdministrator(database.prisma, configuration, logger);

    const vehicleTokens = createVehicleTokens(secret);
    const parts = {
      database,
      ...cache,
      vehicleTokens,
      logger,
      signer: () => Promise.resolve(signer),
      metrics: () => Promise.resolve(metrics),
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
      sayReady(await openWorkers(configuration, { ...options, unforeseen }, lifecycle, logger));
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
        unforeseen,
      },
      lifecycle,
      logger,
    );
    sayReady(gateway.port);
    return lifecycle;
  });
}
