/** Maps GraphQL to the domain and back for the flags subgraph; it has no logic of its own. */
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import type { Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import { flagTypes } from './graphql/flag-types.ts';
import { mutations } from './graphql/mutations.ts';
import { queries } from './graphql/queries.ts';
import { releaseTypes } from './graphql/release-types.ts';
import { requestTypes } from './graphql/request-types.ts';
import { streams } from './graphql/streams.ts';

/** The resolvers of the flags subgraph. */
export const flagsResolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  Environment: ENUMS.Environment,
  SafetyLevel: ENUMS.SafetyLevel,
  FlagType: ENUMS.FlagType,
  RuleType: ENUMS.RuleType,
  ChangeRequestStatus: ENUMS.ChangeRequestStatus,
  ReleaseGuardAction: ENUMS.ReleaseGuardAction,
  ReleaseStatus: ENUMS.ReleaseStatus,
  RolloutStatus: ENUMS.RolloutStatus,
  GuardDirection: ENUMS.GuardDirection,
  GuardVerdict: ENUMS.GuardVerdict,
  FlagOrderField: ENUMS.FlagOrderField,
  OrderDirection: ENUMS.OrderDirection,
  PolicyLoosening: ENUMS.PolicyLoosening,
  ...queries,
  ...mutations,
  ...streams,
  ...flagTypes,
  ...requestTypes,
  ...releaseTypes,
};
