/** The whole control plane in one process: the four subgraphs, called in process, behind the gateway. */
import type { Logger } from 'pino';
import { createVehicleTokens } from '../core/protocol/vehicle-token.ts';
import { SUBGRAPH_NAMES, type SubgraphConnection } from '../core/protocol/subgraph.ts';
import type { Subgraphs } from '../gateway/composition/supergraph.ts';
import { startGateway } from '../gateway/gateway.ts';
import { ensureAdministrator } from '../subgraphs/audit/administrator.ts';
import { connectInProcess } from '../subgraphs/shared/in-process-connection.ts';
import { opening, together } from './closing.ts';
import type { Configuration } from './configuration.ts';
import { internalSecret } from './secrets.ts';
import { sessionsIn } from './sessions.ts';
import { openSigner } from './signing-keys.ts';
import { answers, openCache, openMetrics, openPostgres } from './stores.ts';
import { startSubgraph } from './subgraphs.ts';

export interface ControlPlane {
  readonly port: number;
  /** The administrator that this start has created, with the generated password; null on later starts. */
  readonly administrator: { readonly email: string; readonly password: string | null } | null;
  /** Ends everything in order: no process stays behind. @param spread milliseconds over which websockets are told to go */
  close(spread?: number): Promise<void>;
}

/** Starts everything; resolves when the gateway listens. What was started is stopped again if anything fails. */
export function startControlPlane(configuration: Configuration, logger: Logger): Promise<ControlPlane> {
  return opening(async (closing) => {
    const { dataDir } = configuration;
    // The stores do not depend on each other: opened together, the start takes as long as the slowest of them.
    const [database, cache, metrics, signer, secret] = await together([
      openPostgres(configuration, closing, logger),
      openCache(configuration, closing, logger),
      openMetrics(configuration, closing),
      openSigner(configuration),
      internalSecret(configuration.internalSecret, dataDir),
    ]);
    const administrator = await ensureAdministrator(database.prisma, { email: configuration.adminEmail, password: configuration.adminPassword });

    const vehicleTokens = createVehicleTokens(secret);
    const parts = { database, ...cache, vehicleTokens, logger, signer: () => Promise.resolve(signer), metrics: () => Promise.resolve(metrics) };
    const connections = await Promise.all(
      SUBGRAPH_NAMES.map(async (name): Promise<[string, SubgraphConnection]> => {
        const { subgraph, ready } = await startSubgraph(name, parts, closing);
        const connection = connectInProcess(subgraph, ready);
        closing.add(() => connection.close());
        return [name, connection];
      }),
    );

    const gateway = await startGateway({
      subgraphs: Object.fromEntries(connections) as unknown as Subgraphs,
      findSession: sessionsIn(cache.store),
      vehicleTokens,
      publicKeys: () => Promise.resolve(signer.publicKeys),
      readiness: async () => ({ sessions: await answers(() => cache.store.ping()) }),
      playground: configuration.playground,
      introspection: configuration.introspection,
      host: configuration.host,
      port: configuration.port,
      logger,
    });
    let spread: number | undefined;
    closing.add(() => gateway.close(spread));
    return {
      port: gateway.port,
      administrator,
      close(milliseconds) {
        spread = milliseconds;
        return closing.close();
      },
    };
  });
}
