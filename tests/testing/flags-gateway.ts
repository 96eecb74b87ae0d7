/** A gateway in this process over a flags subgraph, for tests that need no accounts, audit log and experiments. */
import type { VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { SubgraphConnection, SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import { startGateway, type Gateway } from '../../gateway/gateway.ts';
import { EventSource } from '../../gateway/subscriptions/testing/event-source.ts';
import { BARE_GATEWAY } from '../../gateway/testing/bare-gateway.ts';
import { countingLimiter } from '../../gateway/testing/counting-limiter.ts';
import type { Signer } from '../../subgraphs/flags/signing/signing.ts';
import { silent } from '../../subgraphs/shared/testing/asking.ts';

/** Gives a subgraph that nobody needs. */
function unused(name: SubgraphName): SubgraphConnection {
  return {
    name,
    execute: async () => ({ data: null }),
    subscribe: () =>
      Object.assign(
        new EventSource<never>().iterate(() => true),
        { established: Promise.resolve() },
      ),
    ready: async () => true,
    close: async () => undefined,
  };
}

/** The parts behind the gateway. */
export interface FlagsGatewayParts {
  readonly flags: SubgraphConnection;
  /** The registry of vehicles; absent where no test asks it. */
  readonly vehicles?: SubgraphConnection;
  readonly signer: Signer;
  readonly vehicleTokens: VehicleTokens;
}

/** Starts the gateway on a free port. */
export function startFlagsGateway({
  flags,
  vehicles = unused('vehicles'),
  signer,
  vehicleTokens,
}: FlagsGatewayParts): Promise<Gateway> {
  return startGateway({
    subgraphs: { flags, vehicles, audit: unused('audit'), experiments: unused('experiments') },
    findSession: async () => null,
    endedSessions: async () => new Set(),
    vehicleTokens,
    limiter: countingLimiter(),
    publicKeys: async () => signer.publicKeys,
    ...BARE_GATEWAY,
    logger: silent,
  });
}
