/** The services, loaders and context that the resolvers of the flags subgraph get for each request. */
import DataLoader from 'dataloader';
import type { PartitionNewsJson } from '../../../core/wire/subgraph/partition-news.ts';
import type { AnswerInputsJson } from '../../../core/wire/subgraph/answer-inputs.ts';
import type { Environment } from '../../../core/model.ts';
import type { FieldOfRow, SharedLoader } from '../../shared/postgres/shared-loader.ts';
import type { SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { FactsByVin } from '../../shared/between-subgraphs/vehicle-facts.ts';
import type { Definitions } from '../sync/evaluation.ts';
import type { FlagFeed } from '../sync/feed.ts';
import type { Flag } from '../flags/flag.ts';
import type { DependencyGraph } from '../../../core/partitions/dependency-graph.ts';
import type { FlagStatistics } from '../flags/reading/flag-statistics.ts';
import type { NodeType } from '../flags/reading/nodes.ts';
import type { FlagService } from '../flags/flag-service.ts';
import type { EnvironmentSnapshots } from '../sync/snapshots/snapshots.ts';
import type { ChangeRequest, ChangeRequestStatus } from '../changes/requests/change-request.ts';
import type { ChangeRequestFeed } from '../changes/requests/change-request-feed.ts';
import type { ChangeRequestService } from '../changes/requests/change-request-service.ts';
import type { Rollout } from '../rollouts/rollout.ts';
import type { RolloutService } from '../rollouts/rollout-service.ts';
import type { Signer } from '../signing/signing.ts';
import type { ResolvedSegment } from '../../../core/evaluation/segments/segment.ts';
import type { NamingPage, StoredSegment } from '../segments/segment.ts';
import type { FlagRelease } from '../releases/flag-release.ts';
import type { FaultFigures } from '../../../core/releases/fault-limit.ts';
import type { ReleaseFigures } from '../releases/health/release-figures.ts';
import type { WatchedGuardOfRelease } from '../releases/release-guards.ts';
import type { ReleaseService } from '../releases/release-service.ts';
import type { ReleasePolicyService } from '../releases/policies/release-policy-service.ts';
import type { SegmentService } from '../segments/segment-service.ts';
import type { SyncService } from '../sync/sync.ts';
import type { PartitionSignals } from '../sync/partition-news.ts';
import type { VehiclePartitions } from '../sync/vehicle-partitions.ts';
import { MAX_PARTITION_VINS } from '../../../core/wire/subgraph/vehicle-partitions.ts';

/** The services of one request. */
export interface FlagsServices {
  /** Looks up vehicles' registered facts, batched over all requests. */
  readonly registered: FactsByVin;
  readonly signer: Signer;
  readonly flags: FlagService;
  readonly statistics: SharedLoader<Flag, FlagStatistics | null>;
  readonly snapshots: EnvironmentSnapshots;
  /**
   * Gives the definitions that vehicles of an environment have, and of one model where it is given; while the database
   * is down, those that were last read, of all models.
   */
  readonly definitions: (environment: Environment, model?: string | null) => Promise<Definitions>;
  readonly sync: SyncService;
  /** Reads what decides whether answers still hold, in the form in which gateways get it. */
  readonly answerInputs: (vins: readonly string[], keys: readonly string[]) => Promise<AnswerInputsJson>;
  /** Looks up the partitions of vehicles. */
  readonly partitions: VehiclePartitions;
  readonly partitionOf: DataLoader<VehicleIn, string | null, string>;
  /** Reads what can have moved vehicles to another partition. */
  readonly partitionNews: (since: number, after: string) => Promise<PartitionNewsJson>;
  readonly partitionSignals: PartitionSignals;
  readonly feed: FlagFeed;
  readonly requests: ChangeRequestService;
  readonly requestById: SharedLoader<string, ChangeRequest | null>;
  readonly requestsOf: SharedLoader<FieldOfRow<ChangeRequestStatus | null>, ChangeRequest[] | null>;
  readonly requestFeed: ChangeRequestFeed;
  readonly rollouts: RolloutService;
  readonly rolloutOfRule: DataLoader<string, Rollout | null>;
  readonly releasePolicies: ReleasePolicyService;
  readonly releases: ReleaseService;
  /** Loads the release of a flag that is under way, by the flag's id. */
  readonly releaseOfFlag: DataLoader<string, FlagRelease | null>;
  /** Loads the figures of the health gate; null for releases that are no longer under way. */
  readonly figuresOfRelease: DataLoader<FlagRelease, FaultFigures | null>;
  /** Loads the guards of a release, with what they have found. */
  readonly guardsOfRelease: DataLoader<FlagRelease, WatchedGuardOfRelease[]>;
  readonly segments: SegmentService;
  readonly segmentByKey: DataLoader<string, StoredSegment | null>;
  readonly flagsOfSegment: DataLoader<NamingPage, Flag[], string>;
  readonly flagCountOfSegment: DataLoader<string, number>;
  readonly resolvedSegment: DataLoader<string, ResolvedSegment | null>;
  /** Loads what requests about segments make of these. */
  readonly proposedSegment: DataLoader<ChangeRequest, ResolvedSegment>;
  readonly typeOfNode: (id: string) => Promise<NodeType | null>;
  readonly byId: DataLoader<string, Flag | null>;
  readonly byKey: DataLoader<string, Flag | null>;
  /** Loads the dependencies between the flags in use of an environment. */
  readonly dependencies: DataLoader<Environment, DependencyGraph>;
}

/** A vehicle, seen from an environment. */
export interface VehicleIn {
  readonly environment: Environment;
  readonly vin: string;
}

/** The context of this subgraph's resolvers. */
export type FlagsContext = SubgraphContext<FlagsServices>;

/** Creates one request's loaders of flags, so that a list of entities costs one query. */
export function flagLoaders(flags: FlagService): Pick<FlagsServices, 'byId' | 'byKey' | 'dependencies'> {
  const load = (name: 'id' | 'key', find: (names: readonly string[]) => Promise<Flag[]>) =>
    new DataLoader<string, Flag | null>(async (names) => {
      const found = new Map((await find(names)).map((flag) => [flag[name], flag]));
      return names.map((wanted) => found.get(wanted) ?? null);
    });
  return {
    byId: load('id', (ids) => flags.byIds(ids)),
    byKey: load('key', (keys) => flags.byKeys(keys)),
    // There is no cache, because a change may come between two fields of one operation.
    dependencies: new DataLoader((environments) => flags.dependencies(environments), { cache: false }),
  };
}

/** Creates a loader that batches but does not cache: a subscription's context lives long, and rollouts change. */
export function rolloutLoader(rollouts: RolloutService): DataLoader<string, Rollout | null> {
  return new DataLoader(
    async (ruleIds) => {
      const found = await rollouts.ofRules(ruleIds);
      return ruleIds.map((id) => found.get(id) ?? null);
    },
    { cache: false },
  );
}

/** Creates one request's loader of the releases of flags that are under way. */
export function releaseLoader(releases: ReleaseService): DataLoader<string, FlagRelease | null> {
  return new DataLoader(
    async (flagIds) => {
      const found = await releases.underWay(flagIds);
      return flagIds.map((id) => found.get(id) ?? null);
    },
    { cache: false },
  );
}

/** Creates one request's loader of the figures of releases, so that all of an operation are asked for together. */
export function figuresLoader(figures: ReleaseFigures): FlagsServices['figuresOfRelease'] {
  return new DataLoader((releases) => figures.of(releases), { cache: false });
}

/** Creates one request's loader of the guards of releases. */
export function releaseGuardsLoader(releases: ReleaseService): FlagsServices['guardsOfRelease'] {
  return new DataLoader(
    async (asked) => {
      const found = await releases.guards(asked);
      return asked.map(({ id }) => found.get(id) ?? []);
    },
    { cache: false },
  );
}

const placeOf = ({ environment, vin }: VehicleIn) => `${environment} ${vin}`;

/** Creates one request's loader of partitions, with one statement for each environment. */
export function partitionLoader(partitions: VehiclePartitions): FlagsServices['partitionOf'] {
  return new DataLoader(
    async (asked) => {
      const found = new Map<string, string>();
      for (const environment of new Set(asked.map((one) => one.environment))) {
        const vins = asked.filter((one) => one.environment === environment).map(({ vin }) => vin);
        for (const [vin, partition] of await partitions.of(environment, vins))
          found.set(placeOf({ environment, vin }), partition);
      }
      return asked.map((one) => found.get(placeOf(one)) ?? null);
    },
    { cacheKeyFn: placeOf, cache: false, maxBatchSize: MAX_PARTITION_VINS },
  );
}

/** Creates one request's loaders of segments. */
export function segmentLoaders(
  segments: SegmentService,
): Pick<
  FlagsServices,
  'segments' | 'segmentByKey' | 'flagsOfSegment' | 'flagCountOfSegment' | 'resolvedSegment' | 'proposedSegment'
> {
  return {
    segments,
    segmentByKey: new DataLoader(async (keys) => {
      const found = new Map((await segments.byKeys(keys)).map((segment) => [segment.key, segment]));
      return keys.map((key) => found.get(key) ?? null);
    }),
    // There is no cache, because a subscription's context lives long, and segments change.
    resolvedSegment: new DataLoader(
      async (keys) => {
        const found = await segments.resolved([...new Set(keys)]);
        return keys.map((key) => found.get(key) ?? null);
      },
      { cache: false },
    ),
    proposedSegment: new DataLoader(
      async (requests) => {
        const found = new Map<string, Promise<ResolvedSegment>>();
        return Promise.all(
          requests.map((request) => {
            const known = found.get(request.id) ?? segments.proposedBy(request);
            found.set(request.id, known);
            return known;
          }),
        );
      },
      { cache: false },
    ),
    flagCountOfSegment: new DataLoader(async (keys) => {
      const found = await segments.flagCounts(keys);
      return keys.map((key) => found.get(key) ?? 0);
    }),
    flagsOfSegment: new DataLoader((pages) => segments.flagPages(pages), {
      cacheKeyFn: ({ key, after, limit }) => JSON.stringify([key, after, limit]),
    }),
  };
}
