/** Assembles the flags subgraph. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/feeds/bus.ts';
import type { LaneName } from '../shared/postgres/database.ts';
import type { KeyValueStore } from '../shared/stores/key-value-store.ts';
import { sharedFieldLoader, sharedLoaderById } from '../shared/postgres/shared-loader.ts';
import { createSubgraph, type AnswerNotes, type Subgraph } from '../shared/subgraph/subgraph.ts';
import { registeredFacts } from '../shared/between-subgraphs/vehicle-facts.ts';
import { ChangeRequestFeed } from './changes/change-request-feed.ts';
import type { ChangeRequestStatus } from './changes/change-request.ts';
import { ChangeRequestService } from './changes/change-request-service.ts';
import { createFlagChanges } from './changes/change.ts';
import { changesInTurn, clearedWay } from './changes/change-lanes.ts';
import { databaseClock, type Clock } from './changes/database-clock.ts';
import { flagStatistics } from './flags/flag-statistics.ts';
import { FlagFeed } from './sync/feed.ts';
import { flagLoaders, resolvers, rolloutLoader, type FlagsServices } from './resolvers.ts';
import { typeOfNode } from './flags/nodes.ts';
import { PositionSignatures } from './signing/position-signatures.ts';
import { orRemembered, RememberedFlags } from './flags/remembered-flags.ts';
import { RememberingFlagService } from './flags/remembering-flag-service.ts';
import { RolloutStepJob } from './rollouts/rollout-step-job.ts';
import { RolloutService } from './rollouts/rollout-service.ts';
import { RolloutTransitions } from './rollouts/rollout-transitions.ts';
import type { Signer } from './signing/signing.ts';
import type { Definitions } from './sync/evaluation.ts';
import { readInputs } from './sync/answer-inputs.ts';
import { EnvironmentSnapshots } from './sync/snapshots.ts';
import { SyncService } from './sync/sync.ts';

/** The dependencies and settings of the flags subgraph. */
export interface FlagsOptions {
  readonly prisma: PrismaClient;
  /** Gives clients with reserved connections; by default `prisma` for every lane. */
  readonly lanes?: (name: LaneName) => PrismaClient;
  readonly bus: Bus;
  /** The store in which instances share snapshots. */
  readonly store: KeyValueStore;
  readonly signer: Signer;
  readonly logger: Logger;
  /** The clock of rollouts; by default the database's. */
  readonly clock?: Clock;
  /** Whether this instance applies the steps of rollouts as they become due; true by default. */
  readonly appliesRollouts?: boolean;
}

/** Gives the definitions of the higher revision. */
const newer = (a: Definitions | null, b: Definitions | null) => ((b?.revision ?? -1) > (a?.revision ?? -1) ? b : a);

/** Starts the subgraph. It follows the environments' revisions and applies rollouts until `close`. */
export async function startFlags({
  prisma,
  lanes = () => prisma,
  bus,
  store,
  signer,
  logger,
  clock = databaseClock,
  appliesRollouts = true,
}: FlagsOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const transitions = new RolloutTransitions(clock);
  const [killLane, delivery] = [lanes('kill-switch'), lanes('delivery')];
  const remembered = new RememberedFlags(delivery);
  const snapshots = new EnvironmentSnapshots({ prisma: delivery, store, logger, follower: remembered });
  const changes = remembered.noting(createFlagChanges(changesInTurn(prisma), signer, bus, logger, transitions));
  const kills = remembered.noting(createFlagChanges(clearedWay(killLane, logger), signer, bus, logger, transitions));
  const look = () => snapshots.refresh();
  const flagsNoting = (notes: AnswerNotes) =>
    new RememberingFlagService(prisma, changes, { changes: kills, prisma: killLane }, remembered, look, notes);
  const requests = new ChangeRequestService(prisma, changes, transitions);
  const requestFeed = new ChangeRequestFeed(prisma, bus, logger);
  const rollouts = new RolloutService(prisma, transitions);
  const scheduler = new RolloutStepJob(prisma, changes, transitions, logger);
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
  const sync = new SyncService(snapshots, signatures);
  const feed = new FlagFeed((keys) => remembered.byKeys(keys), snapshots, signatures, bus, logger);
  const subgraph = await createSubgraph<FlagsServices>({
    name: 'flags',
    resolvers,
    services(_identity, notes) {
      const flags = flagsNoting(notes);
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
        definitions: (environment) =>
          orRemembered(
            () => snapshots.definitions(environment),
            () => newer(remembered.definitions(environment), snapshots.lastDefinitions(environment)),
            notes,
          ),
        sync,
        answerInputs: (vins, keys) => readInputs(delivery, vins, keys),
        feed,
        rolloutOfRule: rolloutLoader(rollouts),
        ...flagLoaders(flags),
      };
    },
    logger,
  });
  await feed.start();
  await requestFeed.start();
  // Opens a connection now: when a kill switch is pulled, the server may have none left to give.
  await killLane.$queryRaw`SELECT 1`;
  if (appliesRollouts) scheduler.start();
  return {
    subgraph,
    async close() {
      await scheduler.close();
      await feed.close();
      await requestFeed.close();
      snapshots.close();
    },
  };
}
