/** The gateway as a process of its own, whose subgraphs are in other processes. */
import type { Logger } from 'pino';
import { FleetFlagError } from '../../core/errors.ts';
import { createIdentityTokens } from '../../core/credentials/identity-token.ts';
import { createVehicleTokens } from '../../core/credentials/vehicle-token.ts';
import { SUBGRAPH_NAMES } from '../../core/wire/subgraph/subgraph.ts';
import { connectRemote } from '../../gateway/composition/remote-subgraph.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import type { Configuration } from '../configuration.ts';
import { openGateway, type GatewayParts } from './gateway.ts';
import type { Lifecycle } from '../process/lifecycle.ts';
import type { GatewayCache } from '../workers/shared-cache.ts';

/** The dependencies of a gateway that is a process of its own. */
export interface GatewayAloneParts extends Pick<GatewayParts, 'metrics' | 'sharedLimits'> {
  /** The internal secret. */
  readonly secret: string;
  readonly cache: GatewayCache;
}

/** Milliseconds for which a gateway serves the signing keys that it has fetched. */
const KEYS_TTL_MS = 60_000;

async function fetchKeys(flagsUrl: string): Promise<unknown> {
  const response = await fetch(new URL('/.well-known/jwks.json', flagsUrl), { signal: AbortSignal.timeout(3_000) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

/** Fetches the public keys from the subgraph that signs; gives the last known ones while it does not answer. */
function publicKeysOf(flagsUrls: readonly string[]): () => Promise<unknown> {
  let known: { keys: unknown; at: number } | undefined;
  return async () => {
    if (known !== undefined && Date.now() - known.at < KEYS_TTL_MS) return known.keys;
    try {
      // All instances have the same keys.
      const keys = await Promise.any(flagsUrls.map(fetchKeys));
      known = { keys, at: Date.now() };
    } catch (error) {
      if (known === undefined)
        throw new FleetFlagError(
          'SERVICE_UNAVAILABLE',
          'The public keys cannot be read at the moment; try again.',
          { retryAfter: 1 },
          { cause: error },
        );
    }
    return known.keys;
  };
}

/** Opens the gateway over the subgraphs at `configuration.subgraphUrls`; resolves when it listens. */
export function openGatewayAlone(
  configuration: Configuration,
  { secret, cache, ...parts }: GatewayAloneParts,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<Gateway> {
  const tokens = createIdentityTokens(secret);
  const { subgraphUrls } = configuration;
  return openGateway(
    configuration,
    {
      ...parts,
      ...cache,
      connections: SUBGRAPH_NAMES.map((name) => connectRemote({ name, urls: subgraphUrls[name], tokens })),
      vehicleTokens: createVehicleTokens(secret),
      publicKeys: publicKeysOf(subgraphUrls.flags),
    },
    lifecycle,
    logger,
  );
}
