/** GraphQL to domain and back, for the vehicles subgraph; no logic of its own. */
import DataLoader from 'dataloader';
import { VIN_PATTERN, type Environment } from '../../core/model.ts';
import type { RuleDraft } from '../../core/validation/validate-rule.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionBy, readPage, type PageArguments } from '../shared/subgraph/pagination.ts';
import type { Resolvers, SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { AudienceService } from './audience/audience-service.ts';
import type { FleetReports } from './reports/fleet-reports.ts';
import type { HeartbeatInput } from './heartbeats/heartbeat.ts';
import type { HeartbeatService } from './heartbeats/heartbeat-service.ts';
import type { Presence, PresenceReport } from './presence/presence.ts';
import type { VehicleService } from './registry/vehicle-service.ts';
import type { StatusFeed } from './presence/status-feed.ts';
import { readFilter, readText, type VehicleFilter } from './search/vehicle-filter.ts';
import { checkVin, type Vehicle, type VehicleRegistration } from './registry/vehicle.ts';

export interface VehiclesServices {
  readonly vehicles: VehicleService;
  readonly audiences: AudienceService;
  readonly reports: FleetReports;
  readonly heartbeats: HeartbeatService;
  readonly presence: Presence;
  readonly statuses: StatusFeed;
  readonly byVin: DataLoader<string, Vehicle | null>;
}

type Context = SubgraphContext<VehiclesServices>;

/** Loaders of one request: a list of entities costs one query. */
export function vehicleLoaders(vehicles: VehicleService): Pick<VehiclesServices, 'byVin'> {
  return {
    byVin: new DataLoader<string, Vehicle | null>(async (vins) => {
      const found = new Map((await vehicles.byVins(vins)).map((vehicle) => [vehicle.vin, vehicle]));
      return vins.map((vin) => found.get(vin) ?? null);
    }),
  };
}

/** What the schema has as default, for a client that says null. */
const DEFAULT_TOKEN_DAYS = 365;

type ListArguments = PageArguments & { filter?: VehicleFilter | null };
type TokenArguments = { vin: string; environment: Environment; expiresInDays: number | null };

export const resolvers: Resolvers = {
  Environment: ENUMS.Environment,
  VehicleStatus: ENUMS.VehicleStatus,
  RuleType: ENUMS.RuleType,

  Query: {
    vehicle(_: unknown, { vin }: { vin: string }, { services }: Context) {
      checkVin(vin, 'vin');
      return services.byVin.load(vin);
    },
    async vehicles(_: unknown, args: ListArguments, { services }: Context) {
      const page = readPage(args, (text) => VIN_PATTERN.test(text));
      const { vehicles, more, totalCount } = await services.vehicles.search(readFilter(args.filter ?? {}), page);
      return connectionBy(vehicles, ({ vin }) => vin, page, more, totalCount);
    },
    fleet: (_: unknown, __: unknown, { services }: Context) => services.reports.fleet(),
    previewAudience: (_: unknown, { flagKey, rule }: { flagKey: string; rule: RuleDraft }, { services }: Context) =>
      services.audiences.preview(flagKey, rule),
    rolloutProgress: (
      _: unknown,
      { environment, revision }: { environment: Environment; revision?: number | null },
      { services }: Context,
    ) => services.reports.progress(environment, revision ?? null),
    vehicleTokenGenerations: (_: unknown, { since, after }: { since: Date; after: string }, { services }: Context) =>
      services.vehicles.tokenGenerations(since, after),
  },

  Mutation: {
    registerVehicles: (_: unknown, { input }: { input: VehicleRegistration[] }, { services, identity }: Context) =>
      services.vehicles.register(identity, input),
    setVehicleMaintenance: (
      _: unknown,
      { vin, maintenance }: { vin: string; maintenance: boolean },
      { services, identity }: Context,
    ) => services.vehicles.setMaintenance(identity, vin, maintenance),
    issueVehicleToken: (
      _: unknown,
      { vin, environment, expiresInDays }: TokenArguments,
      { services, identity }: Context,
    ) => services.vehicles.issueToken(identity, vin, environment, expiresInDays ?? DEFAULT_TOKEN_DAYS),
    revokeVehicleTokens: (_: unknown, { vin }: { vin: string }, { services, identity }: Context) =>
      services.vehicles.revokeTokens(identity, vin),
    agentHeartbeat: (_: unknown, { input }: { input: HeartbeatInput }, { services, identity }: Context) =>
      services.heartbeats.beat(identity, input),
    reportPresence: (_: unknown, report: PresenceReport, { services }: Context) => services.presence.report(report),
  },

  Subscription: {
    vehicleStatusChanges: {
      async subscribe(
        _: unknown,
        { region, model }: { region?: string | null; model?: string | null },
        { services }: Context,
      ) {
        const changes = services.statuses.follow({
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
    sample: async ({ sample }: { sample: readonly string[] }, _: unknown, { services }: Context) =>
      (await services.byVin.loadMany(sample)).filter((vehicle) => vehicle !== null),
  },

  Vehicle: {
    id: ({ vin }: { vin: string }) => vin,
    __resolveReference: ({ vin }: { vin: string }, { services }: Context) =>
      VIN_PATTERN.test(vin) ? services.byVin.load(vin) : null,
  },
};
