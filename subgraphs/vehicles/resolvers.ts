/** Maps GraphQL to the domain and back for the vehicles subgraph; it has no logic of its own. */
import DataLoader from 'dataloader';
import { VIN_PATTERN } from '../../core/model.ts';
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionBy, readPage } from '../../core/wire/api/pagination.ts';
import type { LaggingReads } from '../shared/postgres/replica-reads.ts';
import type { SubgraphContext } from '../shared/subgraph/subgraph.ts';
import { pendingFlagOf } from './heartbeats/heartbeat.ts';
import type { Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import type { AudienceService } from './audience/audience-service.ts';
import {
  readContent,
  readContents,
  type AudienceChange,
  type ContentChange,
  type EvaluatedContent,
  type FlagAudience,
} from './audience/flag-audience.ts';
import type { FlagAudienceService } from './audience/flag-audience-service.ts';
import type { FleetReports } from './reports/fleet-reports.ts';
import type { BackupService } from './backups/backup-service.ts';
import type { FaultCount, StoredFault } from './faults/fault.ts';
import type { FaultService } from './faults/fault-service.ts';
import { faultCounts, faultsOfVehicles, type FlagName } from './faults/fault-store.ts';
import type { HeartbeatService } from './heartbeats/heartbeat-service.ts';
import type { Presence } from './presence/presence.ts';
import type { VehicleService } from './registry/vehicle-service.ts';
import type { StatusFeed } from './presence/status-feed.ts';
import { readFilter, readText } from './search/vehicle-filter.ts';
import type { VehicleLists } from './search/vehicle-lists.ts';
import { checkVin, type Vehicle } from './registry/vehicle.ts';
import { parseSegment } from '../../core/evaluation/segments/segment.ts';
import { membersOf } from '../../core/json/json-value.ts';
import type { TagService } from './tags/tag-service.ts';

/** The services of one request. */
export interface VehiclesServices {
  readonly vehicles: VehicleService;
  readonly tags: TagService;
  readonly lists: VehicleLists;
  readonly audiences: AudienceService;
  /** Counts the audiences of all flags that one request asks for together. */
  readonly audienceOf: DataLoader<{ readonly content: EvaluatedContent | null }, FlagAudience>;
  /** Counts the audiences of all changes that one request asks for together. */
  readonly audienceChangeOf: DataLoader<ContentChange, AudienceChange>;
  readonly reports: FleetReports;
  readonly heartbeats: HeartbeatService;
  readonly backups: BackupService;
  readonly faults: FaultService;
  readonly presence: Presence;
  readonly statuses: StatusFeed;
  readonly byVin: DataLoader<string, Vehicle | null>;
  /** Reads the faults of all vehicles that one request asks for together. */
  readonly faultsOf: DataLoader<string, readonly StoredFault[]>;
  /** Counts the faults under all flags that one request asks for together. */
  readonly faultCountsOf: DataLoader<FlagName, readonly FaultCount[]>;
}

/** The context of this subgraph's resolvers. */
export type VehiclesContext = SubgraphContext<VehiclesServices>;

/** Creates one request's loader of vehicles, so that a list of entities costs one query. */
export function vehicleLoaders(vehicles: VehicleService): Pick<VehiclesServices, 'byVin'> {
  return {
    byVin: new DataLoader<string, Vehicle | null>(async (vins) => {
      const found = new Map((await vehicles.byVins(vins)).map((vehicle) => [vehicle.vin, vehicle]));
      return vins.map((vin) => found.get(vin) ?? null);
    }),
  };
}

/** Creates one request's loaders of audiences, so that those of a list cost one pass over the fleet. */
export function audienceLoaders(
  flagAudiences: FlagAudienceService,
): Pick<VehiclesServices, 'audienceOf' | 'audienceChangeOf'> {
  return {
    // A loader takes no null for a key.
    audienceOf: new DataLoader((keys) => flagAudiences.audiences(keys.map(({ content }) => content)), { cache: false }),
    audienceChangeOf: new DataLoader((changes) => flagAudiences.changes(changes), { cache: false }),
  };
}

/** Creates one request's loaders of faults, so that those of a list cost one statement. */
export function faultLoaders(lagging: LaggingReads): Pick<VehiclesServices, 'faultsOf' | 'faultCountsOf'> {
  return {
    faultsOf: new DataLoader(async (vins) => {
      const found = await lagging.read((db) => faultsOfVehicles(db, vins));
      return vins.map((vin) => found.get(vin) ?? []);
    }),
    faultCountsOf: new DataLoader((flags) => lagging.read((db) => faultCounts(db, flags)), { cache: false }),
  };
}

/** The schema's default, also used when a client sends null. */
const DEFAULT_TOKEN_DAYS = 365;

/** The resolvers of the vehicles subgraph. */
export const vehiclesResolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  Environment: ENUMS.Environment,
  VehicleStatus: ENUMS.VehicleStatus,
  RuleType: ENUMS.RuleType,
  FlagFaultKind: ENUMS.FlagFaultKind,

  Query: {
    vehicle(_, { vin }, { services }) {
      checkVin(vin, 'vin');
      return services.byVin.load(vin);
    },
    async vehicles(_, args, { services }) {
      const page = readPage(args, (text) => VIN_PATTERN.test(text));
      const { vehicles, more, totalCount } = await services.lists.search(readFilter(args.filter ?? {}), page);
      return connectionBy(vehicles, ({ vin }) => vin, page, more, totalCount);
    },
    fleet: (_, __, { services }) => services.reports.fleet(),
    previewAudience: (_, { flagKey, rule }, { services }) => services.audiences.preview(flagKey, rule),
    rolloutProgress: (_, { environment, revision, flag }, { services }) =>
      services.reports.progress(environment, revision ?? null, flag ?? null),
    vehicleBackup: (_, { agent }, { services, identity }) => services.backups.find(identity, agent),
    gateways: (_, __, { services }) => services.presence.gateways(),
    heartbeatQueue: (_, __, { services }) => services.heartbeats.queue(),
    vehicleTokenGenerations: (_, { since, after }, { services }) => services.vehicles.tokenGenerations(since, after),
  },

  Mutation: {
    registerVehicles: (_, { input }, { services, identity }) => services.vehicles.register(identity, input),
    setVehicleMaintenance: (_, { vin, maintenance }, { services, identity }) =>
      services.vehicles.setMaintenance(identity, vin, maintenance),
    issueVehicleToken: (_, { vin, environment, expiresInDays }, { services, identity }) =>
      services.vehicles.issueToken(identity, vin, environment, expiresInDays ?? DEFAULT_TOKEN_DAYS),
    setVehicleTags: (_, { input }, { services, identity }) => services.tags.set(identity, input),
    revokeVehicleTokens: (_, { vin }, { services, identity }) => services.vehicles.revokeTokens(identity, vin),
    agentHeartbeat: (_, { input }, { services, identity }) => services.heartbeats.beat(identity, input),
    reportFaults: (_, { input }, { services, identity }) => services.faults.report(identity, input),
    backUpVehicleState: (_, { input }, { services, identity }) => services.backups.backUp(identity, input),
    reportPresence: (_, report, { services }) => services.presence.report(report),
  },

  Subscription: {
    vehicleStatusChanges: {
      async subscribe(_, { region, model }, { services }) {
        const changes = services.statuses.subscribe({
          region: readText(region, 'region'),
          model: readText(model, 'model'),
        });
        await changes.established;
        return changes;
      },
      resolve: (vehicle: Vehicle) => vehicle,
    },
  },

  Audience: {
    sample: async ({ sample }, _, { services }) =>
      (await Promise.all(sample.map((vin) => services.byVin.load(vin)))).filter((vehicle) => vehicle !== null),
  },

  Flag: {
    __resolveReference: (reference) => reference,
    faults({ key, environment }, _, { services }) {
      if (key === undefined || environment === undefined)
        throw new Error('The gateway has not sent the name of a flag.');
      return services.faultCountsOf.load({ key, environment: ENUMS.Environment[environment] });
    },
    audience: (flag, _, { services }) => services.audienceOf.load({ content: readContent(flag.evaluatedContent) }),
  },

  ChangeRequest: {
    __resolveReference: (reference) => reference,
    audience: ({ evaluatedContents = null }, _, { services }) =>
      evaluatedContents === null ? null : services.audienceChangeOf.load(readContents(evaluatedContents)),
  },

  Segment: {
    __resolveReference: (reference) => reference,
    audience: ({ conditions }, _, { services }) => services.audiences.ofSegment(parseSegment(conditions, 'conditions')),
  },

  SegmentPreview: {
    __resolveReference: (reference) => reference,
    before({ segments }, _, { services }) {
      const { before } = membersOf(segments);
      return before === null ? null : services.audiences.ofSegment(parseSegment(before, 'conditions'));
    },
    after: ({ segments }, _, { services }) =>
      services.audiences.ofSegment(parseSegment(membersOf(segments)['after'], 'conditions')),
  },

  ChangePreview: {
    __resolveReference: (reference) => reference,
    audience: ({ evaluatedContents }, _, { services }) =>
      services.audienceChangeOf.load(readContents(evaluatedContents)),
  },

  RolloutProgress: {
    async missing(progress, { status = null, ...args }, { services }) {
      const page = readPage(args, (text) => VIN_PATTERN.test(text));
      const { vehicles, more, totalCount } = await services.lists.missing(progress, status, page);
      return connectionBy(vehicles, ({ vin }) => vin, page, more, totalCount);
    },
  },

  Vehicle: {
    id: ({ vin }) => vin,
    pendingFlags: ({ pendingFlags }) => pendingFlags.map(pendingFlagOf),
    faults: ({ vin }, _, { services }) => services.faultsOf.load(vin),
    __resolveReference: ({ vin }, { services }) => (VIN_PATTERN.test(vin) ? services.byVin.load(vin) : null),
  },
};
