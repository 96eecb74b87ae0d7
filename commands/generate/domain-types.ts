/**
 * Which type of ours stands behind a type of a subgraph's schema: what a resolver is given as its parent, and what it may
 * give. Of a type that is not named here, that is an object with the schema's own fields.
 */
import type { SubgraphName } from '../../core/wire/subgraph.ts';

export interface DomainTypes {
  /** The context of the subgraph's resolvers, as `file#Type`; the file is named from the subgraph's folder. */
  readonly context: string;
  /** Enums whose values have a spelling of their own in the domain, or that the domain knows. */
  readonly enums: Readonly<Record<string, string>>;
  /** Object types that are resolved from a type of the domain. */
  readonly objects: Readonly<Record<string, string>>;
}

const MODEL = '../../core/model.ts';

export const DOMAIN_TYPES: Readonly<Partial<Record<SubgraphName, DomainTypes>>> = {
  vehicles: {
    context: 'resolvers.ts#Context',
    enums: {
      Environment: `${MODEL}#Environment`,
      RuleType: `${MODEL}#RuleType`,
      VehicleStatus: 'registry/vehicle.ts#VehicleStatus',
    },
    objects: {
      Audience: 'audience/audience.ts#Audience',
      Vehicle: 'registry/vehicle.ts#Vehicle',
    },
  },
};
