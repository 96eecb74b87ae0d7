/** Starts the gateway from the settings, with subgraphs in this process or in processes of their own. */
import type { Logger } from 'pino';
import { bySubgraph, type SubgraphConnection } from '../../core/wire/subgraph/subgraph.ts';
import type { VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import { startGateway, type Gateway, type GatewayOptions } from '../../gateway/gateway.ts';
import type { Lifecycle } from '../process/lifecycle.ts';
import type { Configuration } from '../configuration.ts';
import { endedSessionsIn, sessionsIn } from './sessions.ts';
import { bundleConsole } from '../console/bundle-console.ts';
import type { GatewayCache } from '../workers/shared-cache.ts';
import { answers } from '../stores/cache.ts';

/** The dependencies of the gateway. */
export interface GatewayParts extends GatewayCache, Pick<GatewayOptions, 'metrics' | 'sharedLimits'> {
  /** The connections, one for each subgraph. */
  readonly connections: readonly SubgraphConnection[];
  readonly vehicleTokens: VehicleTokens;
  /** Gives the public signing keys (RFC 7517). */
  readonly publicKeys: () => Promise<unknown>;
}

/**
 * Opens the gateway. Resolves when it listens; it and its connections close with `lifecycle`. Rejects when the port is
 * taken.
 */
export async function openGateway(
  configuration: Configuration,
  parts: GatewayParts,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<Gateway> {
  const { connections, store, limiter, vehicleTokens, publicKeys, metrics, sharedLimits } = parts;
  for (const connection of connections) lifecycle.onClose(() => connection.close());
  const { playground, console, introspection, supergraphFile, trustedProxies, allowedOrigins, metricsToken } =
    configuration;
  const { host, port } = configuration;
  const gateway = await startGateway({
    subgraphs: bySubgraph((name) => connections.find((connection) => connection.name === name)!),
    findSession: sessionsIn(store),
    endedSessions: endedSessionsIn(store),
    vehicleTokens,
    limiter,
    publicKeys,
    readiness: async () => ({ running: !lifecycle.isEnding, sessions: await answers(() => store.ping()) }),
    isEnding: () => lifecycle.isEnding,
    playground,
    console: console ? bundleConsole : null,
    introspection,
    supergraphFile,
    trustedProxies,
    allowedOrigins,
    metricsToken,
    host,
    port,
    logger,
    ...(metrics !== undefined && { metrics }),
    ...(sharedLimits !== undefined && { sharedLimits }),
  });
  lifecycle.onClose(() => gateway.close());
  return gateway;
}
