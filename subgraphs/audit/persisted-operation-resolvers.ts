/** GraphQL to domain and back, for persisted operations. */
import { ENUMS } from '../shared/graphql-enums.ts';
import type { Resolvers, SubgraphContext } from '../shared/subgraph.ts';
import type { PersistedOperationService } from './persisted-operation-service.ts';

type Context = SubgraphContext<{ readonly operations: PersistedOperationService }>;

export const persistedOperationResolvers = {
  OperationType: ENUMS.OperationType,

  Query: {
    persistedOperations: (_: unknown, __: unknown, { services }: Context) => services.operations.list(),
    persistedOperation: (_: unknown, { id, sha256 }: { id?: string | null; sha256?: string | null }, { services }: Context) => services.operations.find(id ?? null, sha256 ?? null),
  },

  Mutation: {
    registerPersistedOperations: (_: unknown, { manifest }: { manifest: unknown }, { services, identity }: Context) => services.operations.register(identity, manifest),
  },
} satisfies Resolvers;
