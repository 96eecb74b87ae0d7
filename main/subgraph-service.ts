/** A subgraph's role of a distributed deployment. */
import type { Logger } from 'pino';
import { createIdentityTokens } from '../core/credentials/identity-token.ts';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import type { SubgraphName } from '../core/wire/subgraph.ts';
import type { Signer } from '../subgraphs/flags/signing/signing.ts';
import { createReplayGuard } from '../subgraphs/shared/subgraph/replay-guard.ts';
import { serveSubgraph } from '../subgraphs/shared/subgraph/subgraph-process.ts';
import { openCache } from './cache.ts';
import type { Configuration } from './configuration.ts';
import { makeFirstAdministrator } from './first-administrator.ts';
import { openAll, type Lifecycle } from './lifecycle.ts';
import { say } from './log.ts';
import { internalSecret } from './secrets.ts';
import { openMetrics, openPostgres } from './stores.ts';
import { startSubgraph } from './subgraphs.ts';
import { startingSigner } from './trusted-signer.ts';

/** Starts the subgraph `name` as a process of its own. */
export function startSubgraphService(
  name: SubgraphName,
  configuration: Configuration,
  logger: Logger,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const secret = await internalSecret(configuration.internalSecret, configuration.dataDir);
    const database = await openPostgres(configuration, lifecycle, logger);
    const cache = await openCache(configuration, lifecycle, logger);
    if (name === 'audit') await makeFirstAdministrator(database.prisma, configuration, logger);
    let signer: Signer | undefined;
    const parts = {
      database,
      ...cache,
      vehicleTokens: createVehicleTokens(secret),
      logger,
      signer: async () => (signer ??= await startingSigner(database.prisma, configuration)),
      metrics: () => openMetrics(configuration, lifecycle, logger),
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
      publicKeys: signer?.publicKeys,
    });
    lifecycle.onClose(() => server.close());
    say(`FleetFlag ${name} ready at http://localhost:${server.port}`);
    return lifecycle;
  });
}
