/** Assembles the vehicles subgraph. */
import type { Logger } from 'pino';
import type { VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/feeds/bus.ts';
import type { SubgraphMetrics } from '../shared/monitoring/subgraph-metrics.ts';
import { primaryReads, type ReplicaReads } from '../shared/postgres/replica-reads.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph/subgraph.ts';
import {
  audienceLoaders,
  faultLoaders,
  vehiclesResolvers,
  vehicleLoaders,
  type VehiclesServices,
} from './resolvers.ts';
import { AudienceService } from './audience/audience-service.ts';
import { FlagAudienceService } from './audience/flag-audience-service.ts';
import { BackupCollector } from './backups/backup-collector.ts';
import { BackupService } from './backups/backup-service.ts';
import { removeOldBackups, writeBackups } from './backups/backup-store.ts';
import { FaultCollector } from './faults/fault-collector.ts';
import { FaultService } from './faults/fault-service.ts';
import { removeOldFaults, writeFaults } from './faults/fault-store.ts';
import { ClockWatch } from './heartbeats/clock-watch.ts';
import { FleetReports } from './reports/fleet-reports.ts';
import { HeartbeatCollector } from './heartbeats/heartbeat-collector.ts';
import { HeartbeatService } from './heartbeats/heartbeat-service.ts';
import { writeHeartbeats } from './heartbeats/heartbeat-store.ts';
import { PresenceSweepJob } from './presence/presence-sweep-job.ts';
import { Presence } from './presence/presence.ts';
import { VehicleLists } from './search/vehicle-lists.ts';
import { VehicleService } from './registry/vehicle-service.ts';
import { TagService } from './tags/tag-service.ts';
import { tagAnnouncer } from '../shared/between-subgraphs/tags-changed.ts';
import { StatusFeed } from './presence/status-feed.ts';
import { modelsAnnouncer, statusAnnouncer } from './registry/status-position.ts';

/** Seconds that a vehicle may be without a connection before it is offline. */
const PRESENCE_GRACE_SECONDS = 30;

/** The dependencies and settings of the vehicles subgraph. */
export interface VehiclesOptions {
  readonly prisma: PrismaClient;
  /** The place where lists and reports are read; by default the primary. */
  readonly reads?: ReplicaReads;
  /** Issues vehicle tokens, which the gateway verifies. */
  readonly tokens: VehicleTokens;
  /** The bus that announces status changes. */
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics?: SubgraphMetrics | undefined;
  readonly presenceGraceSeconds?: number;
  /** Whether this instance sets vehicles offline and deletes old backups and faults; true by default. */
  readonly sweepsPresence?: boolean;
}

/** Starts the subgraph, and sweeps presence, old backups and old faults until `close`. */
export async function startVehicles(options: VehiclesOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const { metrics } = options;
  const { prisma, tokens, bus, logger, presenceGraceSeconds = PRESENCE_GRACE_SECONDS, sweepsPresence = true } = options;
  const reads = options.reads ?? primaryReads(prisma);
  const announce = statusAnnouncer(bus, logger);
  const vehicles = new VehicleService(prisma, tokens, announce, modelsAnnouncer(bus, logger));
  const tags = new TagService(prisma, tagAnnouncer(bus, logger));
  const audiences = new AudienceService(prisma);
  const flagAudiences = new FlagAudienceService(prisma);
  const collector = new HeartbeatCollector((heartbeats) => writeHeartbeats(prisma, heartbeats));
  metrics?.watchQueue('heartbeats', () => collector.load());
  const heartbeats = new HeartbeatService(collector, new ClockWatch(logger));
  const backupCollector = new BackupCollector((backups) => writeBackups(prisma, backups));
  const backups = new BackupService(prisma, backupCollector);
  const faultCollector = new FaultCollector((reports) => writeFaults(prisma, reports));
  metrics?.watchQueue('faults', () => faultCollector.load());
  const faults = new FaultService(faultCollector);
  const presence = new Presence(prisma, presenceGraceSeconds, announce);
  const statuses = new StatusFeed(prisma, bus, logger);
  const sweeper = new PresenceSweepJob(
    {
      sweep: () => presence.sweep(),
      old: { backups: () => removeOldBackups(prisma), faults: () => removeOldFaults(prisma) },
    },
    logger,
    presenceGraceSeconds,
  );
  const subgraph = await createSubgraph<VehiclesServices>({
    name: 'vehicles',
    resolvers: vehiclesResolvers,
    reads,
    services: (_identity, _notes, lagging) => ({
      vehicles,
      tags,
      lists: new VehicleLists(prisma, lagging),
      audiences,
      reports: new FleetReports(prisma, lagging),
      heartbeats,
      backups,
      faults,
      presence,
      statuses,
      ...vehicleLoaders(vehicles),
      ...audienceLoaders(flagAudiences),
      ...faultLoaders(lagging),
    }),
    logger,
    metrics,
  });
  await statuses.start();
  if (sweepsPresence) sweeper.start();
  return {
    subgraph,
    async close() {
      await statuses.close();
      await collector.close();
      await backupCollector.close();
      await faultCollector.close();
      await sweeper.close();
    },
  };
}
