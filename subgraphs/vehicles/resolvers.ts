/** Maps GraphQL to the domain and back for the vehicles subgraph; it has no logic of its own. */
import DataLoader from 'dataloader';
import { VIN_PATTERN } from '../../core/model.ts';
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionBy, readPage } from '../../core/wire/pagination.ts';
import type { SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import type { AudienceService } from './audience/audience-service.ts';
import type { FleetReports } from './reports/fleet-reports.ts';
import type { HeartbeatService } from './heartbeats/heartbeat-service.ts';
import type { Presence } from './presence/presence.ts';
import type { VehicleService } from './registry/vehicle-service.ts';
import type { StatusFeed } from './presence/status-feed.ts';
import { readFilter, readText } from './search/vehicle-filter.ts';
import { checkVin, type Vehicle } from './registry/vehicle.ts';

/** The services of one request. */
export interface VehiclesServices {
  readonly vehicles: VehicleService;
  readonly audiences: AudienceService;
  readonly reports: FleetReports;
  readonly heartbeats: HeartbeatService;
  readonly presence: Presence;
  readonly statuses: StatusFeed;
  readonly byVin: DataLoader<string, Vehicle | null>;
}

/** The context of this subgraph's resolvers. */
export type Context = SubgraphContext<VehiclesServices>;

/** Creates one request's loader of vehicles, so that a list of entities costs one query. */
export function vehicleLoaders(vehicles: VehicleService): Pick<VehiclesServices, 'byVin'> {
  return {
    byVin: new DataLoader<string, Vehicle | null>(async (vins) => {
      const found = new Map((await vehicles.byVins(vins)).map((vehicle) => [vehicle.vin, vehicle]));
      return vins.map((vin) => found.get(vin) ?? null);
    }),
  };
}

/** The schema's default, also used when a client sends null. */
const DEFAULT_TOKEN_DAYS = 365;

/** The resolvers of the vehicles subgraph. */
export const resolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  Environment: ENUMS.Environment,
  VehicleStatus: ENUMS.VehicleStatus,
  RuleType: ENUMS.RuleType,

  Query: {
    vehicle(_, { vin }, { services }) {
      checkVin(vin, 'vin');
      return services.byVin.load(vin);
    },
    async vehicles(_, args, { services }) {
      const page = readPage(args, (text) => VIN_PATTERN.test(text));
      const { vehicles, more, totalCount } = await services.vehicles.search(readFilter(args.filter ?? {}), page);
      return connectionBy(vehicles, ({ vin }) => vin, page, more, totalCount);
    },
    fleet: (_, __, { services }) => services.reports.fleet(),
    previewAudience: (_, { flagKey, rule }, { services }) => services.audiences.preview(flagKey, rule),
    rolloutProgress: (_, { environment, revision }, { services }) =>
      services.reports.progress(environment, revision ?? null),
    vehicleTokenGenerations: (_, { since, after }, { services }) => services.vehicles.tokenGenerations(since, after),
  },

  Mutation: {
    registerVehicles: (_, { input }, { services, identity }) => services.vehicles.register(identity, input),
    setVehicleMaintenance: (_, { vin, maintenance }, { services, identity }) =>
      services.vehicles.setMaintenance(identity, vin, maintenance),
    issueVehicleToken: (_, { vin, environment, expiresInDays }, { services, identity }) =>
      services.vehicles.issueToken(identity, vin, environment, expiresInDays ?? DEFAULT_TOKEN_DAYS),
    revokeVehicleTokens: (_, { vin }, { services, identity }) => services.vehicles.revokeTokens(identity, vin),
    agentHeartbeat: (_, { input }, { services, identity }) => services.heartbeats.beat(identity, input),
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

  Vehicle: {
    id: ({ vin }) => vin,
    __resolveReference: ({ vin }, { services }) => (VIN_PATTERN.test(vin) ? services.byVin.load(vin) : null),
  },
};
