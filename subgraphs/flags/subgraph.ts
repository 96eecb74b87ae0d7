/** Assembles the flags subgraph. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/feeds/bus.ts';
import { primaryReads, type LaggingReads, type ReplicaReads } from '../shared/postgres/replica-reads.ts';
import type { LaneName } from '../shared/postgres/database.ts';
import type { KeyValueStore } from '../shared/stores/key-value-store.ts';
import { sharedFieldLoader, sharedLoaderById } from '../shared/postgres/shared-loader.ts';
import type { SubgraphMetrics } from '../shared/monitoring/subgraph-metrics.ts';
import { createSubgraph, type AnswerNotes, type Subgraph } from '../shared/subgraph/subgraph.ts';
import { registeredFacts } from '../shared/between-subgraphs/vehicle-facts.ts';
import { ChangeRequestFeed } from './changes/requests/change-request-feed.ts';
import type { ChangeRequestStatus } from './changes/requests/change-request.ts';
import { ChangeRequestService } from './changes/requests/change-request-service.ts';
import { createFlagChanges } from './changes/change.ts';
import { changesInTurn, clearedWay, haltsInTurn } from './changes/change-lanes.ts';
import { databaseClock, type Clock } from './rollouts/database-clock.ts';
import { flagStatistics } from './flags/reading/flag-statistics.ts';
import { FlagFeed } from './sync/feed.ts';
import {
  flagLoaders,
  partitionLoader,
  figuresLoader,
  releaseGuardsLoader,
  releaseLoader,
  rolloutLoader,
  segmentLoaders,
  type FlagsServices,
} from './graphql/services.ts';
import { flagsResolvers } from './resolvers.ts';
import { typeOfNode } from './flags/reading/nodes.ts';
import { PositionSignatures } from './signing/position-signatures.ts';
import { orRemembered, RememberedFlags } from './flags/remembered/remembered-flags.ts';
import { RememberingFlagService } from './flags/remembered/remembering-flag-service.ts';
import { RolloutStepJob } from './rollouts/rollout-step-job.ts';
import { RolloutService } from './rollouts/rollout-service.ts';
import { ReleaseHealthJob } from './releases/health/release-health-job.ts';
import { ReleaseStageJob } from './releases/release-stage-job.ts';
import { RolloutTransitions } from './rollouts/rollout-transitions.ts';
import type { Signer } from './signing/signing.ts';
import type { Definitions } from './sync/evaluation.ts';
import { readInputs } from './sync/answer-inputs.ts';
import { EnvironmentSnapshots } from './sync/snapshots/snapshots.ts';
import { SegmentRefreshJob } from './segments/segment-refresh-job.ts';
import { ReleaseFigures } from './releases/health/release-figures.ts';
import { ReleaseService } from './releases/release-service.ts';
import { ReleasePolicyService } from './releases/policies/release-policy-service.ts';
import { SegmentService } from './segments/segment-service.ts';
import { SyncService } from './sync/sync.ts';
import { PartitionSignals, findPartitionNews } from './sync/partition-news.ts';
import { VehiclePartitions } from './sync/vehicle-partitions.ts';
import { rowCount } from '../shared/postgres/rows.ts';

/** The dependencies and settings of the flags subgraph. */
export interface FlagsOptions {
  readonly prisma: PrismaClient;
  /** The place where texts are searched for; by default the primary. */
  readonly reads?: ReplicaReads;
  /** Gives clients with reserved connections; by default `prisma` for every lane. */
  readonly lanes?: (name: LaneName) => PrismaClient;
  readonly bus: Bus;
  /** The store in which instances share snapshots. */
  readonly store: KeyValueStore;
  readonly signer: Signer;
  readonly logger: Logger;
  readonly metrics?: SubgraphMetrics | undefined;
  /** The clock of rollouts and releases; by default the database's. */
  readonly clock?: Clock;
  /** Whether this instance applies the steps of rollouts and releases as they become due; true by default. */
  readonly appliesRollouts?: boolean;
}

/** Gives the definitions of the higher revision. */
const newer = (a: Definitions | null, b: Definitions | null) => ((b?.revision ?? -1) > (a?.revision ?? -1) ? b : a);

/** Starts the subgraph. It follows the environments' revisions and applies rollouts until `close`. */
export async function startFlags({
  prisma,
  reads = primaryReads(prisma),
  lanes = () => prisma,
  bus,
  store,
  signer,
  logger,
  metrics,
  clock = databaseClock,
  appliesRollouts = true,
}: FlagsOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const transitions = new RolloutTransitions(clock);
  const [killLane, delivery] = [lanes('kill-switch'), lanes('delivery')];
  const remembered = new RememberedFlags(delivery);
  const snapshots = new EnvironmentSnapshots({ prisma: delivery, store, logger, follower: remembered });
  const [turns, cleared] = [changesInTurn(prisma), clearedWay(killLane, logger)];
  const changes = remembered.noting(createFlagChanges(turns, signer, bus, logger, transitions));
  const kills = remembered.noting(createFlagChanges(cleared, signer, bus, logger, transitions));
  const look = () => snapshots.refresh();
  const killing = { changes: kills, prisma: killLane };
  const halting = { changes: kills, prisma: haltsInTurn(cleared) };
  const flagsNoting = (notes: AnswerNotes, lagging: LaggingReads) =>
    new RememberingFlagService(prisma, changes, killing, remembered, look, notes, lagging);
  const requests = new ChangeRequestService(prisma, turns, changes, transitions);
  const segments = new SegmentService(prisma, turns, changes);
  const releases = new ReleaseService(prisma, turns, changes, halting);
  const figures = new ReleaseFigures(prisma);
  const releasePolicies = new ReleasePolicyService(prisma, turns, changes);
  const refresher = new SegmentRefreshJob(prisma, changes, bus, logger);
  const requestFeed = new ChangeRequestFeed(prisma, bus, logger);
  const rollouts = new RolloutService(prisma, turns, transitions);
  const scheduler = new RolloutStepJob(prisma, changes, transitions, logger);
  const stages = new ReleaseStageJob(prisma, changes, clock, logger);
  const health = new ReleaseHealthJob(prisma, halting, logger);
  const signatures = new PositionSignatures(signer);
  const registered = registeredFacts(prisma);
  const loaders = {
    statistics: flagStatistics(prisma),
    requestById: sharedLoaderById((ids) => requests.byIds(ids)),
    requestsOf: sharedFieldLoader(
      (flagIds, status: ChangeRequestStatus | null) => requests.ofFlags(flagIds, status),
      (status) => status ?? '',
    ),
  };
  const partitions = new VehiclePartitions(delivery);
  const partitionSignals = new PartitionSignals(bus);
  const sync = new SyncService(snapshots, signatures, partitions.find);
  const feed = new FlagFeed(
    (keys) => remembered.byKeys(keys),
    snapshots,
    signatures,
    bus,
    logger,
    (changedAtMs) => metrics?.changesRead(changedAtMs),
  );
  const subgraph = await createSubgraph<FlagsServices>({
    name: 'flags',
    resolvers: flagsResolvers,
    reads,
    services(_identity, notes, lagging) {
      const flags = flagsNoting(notes, lagging);
      return {
        registered,
        ...loaders,
        typeOfNode: (id) => typeOfNode(prisma, id),
        signer,
        flags,
        requests,
        requestFeed,
        rollouts,
        snapshots,
        definitions: (environment, model) =>
          orRemembered(
            () => snapshots.definitions(environment, model),
            () => newer(remembered.definitions(environment), snapshots.lastDefinitions(environment)),
            notes,
          ),
        sync,
        answerInputs: (vins, keys) => readInputs(delivery, vins, keys),
        partitions,
        partitionNews: (since, after) => findPartitionNews(delivery, since, after),
        partitionSignals,
        feed,
        rolloutOfRule: rolloutLoader(rollouts),
        releasePolicies,
        releases,
        releaseOfFlag: releaseLoader(releases),
        figuresOfRelease: figuresLoader(figures),
        guardsOfRelease: releaseGuardsLoader(releases),
        ...segmentLoaders(segments),
        partitionOf: partitionLoader(partitions),
        ...flagLoaders(flags),
      };
    },
    logger,
    metrics,
  });
  await feed.start();
  await partitionSignals.start();
  await requestFeed.start();
  await refresher.start();
  // Opens a connection now: when a kill switch is pulled, the server may have none left to give.
  await rowCount(killLane)`SELECT 1`;
  if (appliesRollouts) {
    scheduler.start();
    stages.start();
    health.start();
  }
  return {
    subgraph,
    async close() {
      await scheduler.close();
      await stages.close();
      await health.close();
      await refresher.close();
      await feed.close();
      await partitionSignals.close();
      await requestFeed.close();
      snapshots.close();
    },
  };
}
