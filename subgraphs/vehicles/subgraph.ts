/** Assembles the vehicles subgraph. */
import type { Logger } from 'pino';
import type { VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/feeds/bus.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph/subgraph.ts';
import { resolvers, vehicleLoaders, type VehiclesServices } from './resolvers.ts';
import { AudienceService } from './audience/audience-service.ts';
import { ClockWatch } from './heartbeats/clock-watch.ts';
import { FleetReports } from './reports/fleet-reports.ts';
import { HeartbeatCollector } from './heartbeats/heartbeat-collector.ts';
import { HeartbeatService } from './heartbeats/heartbeat-service.ts';
import { writeHeartbeats } from './heartbeats/heartbeat-store.ts';
import { PresenceSweepJob } from './presence/presence-sweep-job.ts';
import { Presence } from './presence/presence.ts';
import { VehicleService } from './registry/vehicle-service.ts';
import { StatusFeed } from './presence/status-feed.ts';
import { statusAnnouncer } from './registry/status-position.ts';

/** Seconds that a vehicle may be without a connection before it is offline. */
export const PRESENCE_GRACE_SECONDS = 30;

/** The dependencies and settings of the vehicles subgraph. */
export interface VehiclesOptions {
  readonly prisma: PrismaClient;
  /** Issues vehicle tokens, which the gateway verifies. */
  readonly tokens: VehicleTokens;
  /** The bus that announces status changes. */
  readonly bus: Bus;
  readonly logger: Logger;
  readonly presenceGraceSeconds?: number;
  /** Whether this instance sets vehicles offline; true by default. */
  readonly sweepsPresence?: boolean;
}

/** Starts the subgraph, and sweeps presence until `close`. */
export async function startVehicles(options: VehiclesOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const { prisma, tokens, bus, logger, presenceGraceSeconds = PRESENCE_GRACE_SECONDS, sweepsPresence = true } = options;
  const announce = statusAnnouncer(bus, logger);
  const vehicles = new VehicleService(prisma, tokens, announce);
  const audiences = new AudienceService(prisma);
  const reports = new FleetReports(prisma);
  const collector = new HeartbeatCollector((heartbeats) => writeHeartbeats(prisma, heartbeats));
  const heartbeats = new HeartbeatService(collector, new ClockWatch(logger));
  const presence = new Presence(prisma, presenceGraceSeconds, announce);
  const statuses = new StatusFeed(prisma, bus, logger);
  const sweeper = new PresenceSweepJob(presence, logger, presenceGraceSeconds);
  const subgraph = await createSubgraph<VehiclesServices>({
    name: 'vehicles',
    resolvers,
    services: () => ({ vehicles, audiences, reports, heartbeats, presence, statuses, ...vehicleLoaders(vehicles) }),
    logger,
  });
  await statuses.start();
  if (sweepsPresence) sweeper.start();
  return {
    subgraph,
    async close() {
      await statuses.close();
      await collector.close();
      await sweeper.close();
    },
  };
}
