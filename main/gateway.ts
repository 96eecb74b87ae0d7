/** Starts the gateway from the settings, with subgraphs in this process or in processes of their own. */
import type { Logger } from 'pino';
import { bySubgraph, type SubgraphConnection } from '../core/wire/subgraph.ts';
import type { VehicleTokens } from '../core/credentials/vehicle-token.ts';
import { startGateway, type Gateway, type GatewayOptions } from '../gateway/gateway.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Configuration } from './configuration.ts';
import type { UnforeseenCounts } from './last-handler.ts';
import { stderr } from './log.ts';
import { endedSessionsIn, sessionsIn } from './sessions.ts';
import type { GatewayCache } from './workers/shared-cache.ts';
import { answers } from './cache.ts';

/** The dependencies of the gateway. */
export interface GatewayParts extends GatewayCache, Pick<GatewayOptions, 'figuresOfOthers'> {
  /** The connections, one for each subgraph. */
  readonly connections: readonly SubgraphConnection[];
  readonly vehicleTokens: VehicleTokens;
  /** Gives the public signing keys (RFC 7517). */
  readonly publicKeys: () => Promise<unknown>;
  /** Gives the number of failures that nothing in this process has caught. */
  readonly unforeseen: () => UnforeseenCounts;
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
  const { connections, store, limiter, vehicleTokens, publicKeys, unforeseen, figuresOfOthers } = parts;
  for (const connection of connections) lifecycle.onClose(() => connection.close());
  const { playground, introspection, trustedProxies, allowedOrigins, metricsToken, host, port } = configuration;
  const gateway = await startGateway({
    subgraphs: bySubgraph((name) => connections.find((connection) => connection.name === name)!),
    findSession: sessionsIn(store),
    endedSessions: endedSessionsIn(store),
    vehicleTokens,
    limiter,
    publicKeys,
    unforeseen,
    readiness: async () => ({ sessions: await answers(() => store.ping()) }),
    playground,
    introspection,
    trustedProxies,
    allowedOrigins,
    metricsToken,
    host,
    port,
    logger,
    lostLogLines: () => stderr.lost,
    ...(figuresOfOthers !== undefined && { figuresOfOthers }),
  });
  lifecycle.onClose(() => gateway.close());
  return gateway;
}
