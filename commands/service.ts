/** `npm run service -- gateway|flags|vehicles|experiments|audit`: starts one role of a distributed deployment. */
import type { Logger } from 'pino';
import { FleetFlagError } from '../core/errors.ts';
import { createIdentityTokens } from '../core/credentials/identity-token.ts';
import { SUBGRAPH_NAMES, type SubgraphName } from '../core/wire/subgraph.ts';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { connectRemote } from '../gateway/composition/remote-subgraph.ts';
import type { Signer } from '../subgraphs/flags/signing/signing.ts';
import { createReplayGuard } from '../subgraphs/shared/subgraph/replay-guard.ts';
import { serveSubgraph } from '../subgraphs/shared/subgraph/subgraph-process.ts';
import { openAll, type Lifecycle } from '../main/lifecycle.ts';
import { readPlainArguments } from './command-line.ts';
import type { Configuration } from '../main/configuration.ts';
import { makeFirstAdministrator } from '../main/first-administrator.ts';
import { openGateway } from '../main/gateway.ts';
import type { UnforeseenCounts } from '../main/last-handler.ts';
import { complain, say } from '../main/log.ts';
import { runUntilStopped } from '../main/process.ts';
import { internalSecret } from '../main/secrets.ts';
import { openCache, openMetrics, openPostgres } from '../main/stores.ts';
import { startSubgraph } from '../main/subgraphs.ts';
import { startingSigner } from '../main/trusted-signer.ts';

/** Milliseconds for which a gateway serves the signing keys that it has fetched. */
const KEYS_AGE = 60_000;

/** Fetches the public keys from the subgraph that signs; gives the last known ones while it does not answer. */
function publicKeysOf(flagsUrl: string): () => Promise<unknown> {
  let known: { keys: unknown; at: number } | undefined;
  return async () => {
    if (known !== undefined && Date.now() - known.at < KEYS_AGE) return known.keys;
    try {
      const response = await fetch(new URL('/.well-known/jwks.json', flagsUrl), { signal: AbortSignal.timeout(3_000) });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      known = { keys: await response.json(), at: Date.now() };
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

async function startGatewayService(
  configuration: Configuration,
  logger: Logger,
  unforeseen: () => UnforeseenCounts,
): Promise<Lifecycle> {
  return openAll(async (lifecycle) => {
    const secret = await internalSecret(configuration.internalSecret, configuration.dataDir);
    const { store, limiter } = await openCache(configuration, lifecycle, logger);
    const tokens = createIdentityTokens(secret);
    const connections = SUBGRAPH_NAMES.map((name) =>
      connectRemote({ name, url: configuration.subgraphUrls[name], tokens }),
    );
    const vehicleTokens = createVehicleTokens(secret);
    await openGateway(
      configuration,
      {
        connections,
        store,
        limiter,
        vehicleTokens,
        publicKeys: publicKeysOf(configuration.subgraphUrls.flags),
        unforeseen,
      },
      lifecycle,
      logger,
    );
    return lifecycle;
  });
}

async function startSubgraphService(
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

const USAGE = `Usage: npm run service -- gateway|${SUBGRAPH_NAMES.join('|')}

Starts one role of a distributed deployment. All settings are environment variables: docs/operations/configuration.md.

  --help, --version`;

const [role] = readPlainArguments(USAGE, { most: 1 });
const subgraph = SUBGRAPH_NAMES.find((name) => name === role);
if (role === 'gateway') await runUntilStopped({ role }, startGatewayService);
else if (subgraph !== undefined)
  await runUntilStopped({ role: subgraph }, (configuration, logger) =>
    startSubgraphService(subgraph, configuration, logger),
  );
else {
  complain(`${role === undefined ? 'A role is missing.' : `Unknown role "${role}".`}\n\n${USAGE}`);
  process.exitCode = 2;
}
