/** The vehicles subgraph, put together from its parts. */
import type { Logger } from 'pino';
import type { VehicleTokens } from '../../core/protocol/vehicle-token.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph.ts';
import { resolvers, vehicleLoaders, type VehiclesServices } from './resolvers.ts';
import { AudienceService } from './audience-service.ts';
import { FleetReports } from './fleet-reports.ts';
import { VehicleService } from './service.ts';

export interface VehiclesOptions {
  readonly prisma: PrismaClient;
  /** Issues what the gateway accepts. */
  readonly tokens: VehicleTokens;
  readonly logger: Logger;
}

/** Starts the subgraph. It holds nothing that `close` would have to end. */
export async function startVehicles({ prisma, tokens, logger }: VehiclesOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const vehicles = new VehicleService(prisma, tokens);
  const audiences = new AudienceService(prisma);
  const reports = new FleetReports(prisma);
  const subgraph = await createSubgraph<VehiclesServices>({
    name: 'vehicles',
    resolvers,
    services: () => ({ vehicles, audiences, reports, ...vehicleLoaders(vehicles) }),
    logger,
  });
  return { subgraph, close: async () => {} };
}
