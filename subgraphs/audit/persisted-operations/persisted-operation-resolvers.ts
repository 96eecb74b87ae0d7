/** Maps GraphQL to the domain and back for persisted operations. */
import DataLoader from 'dataloader';
import { ENUMS } from '../../shared/subgraph/graphql-enums.ts';
import type { SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { ApiKeyServices } from '../api-keys/api-key-resolvers.ts';
import type { Resolvers } from '../generated/resolvers.ts';
import type { PersistedOperationService } from './persisted-operation-service.ts';

/** The services of persisted operations. */
export interface PersistedOperationServices extends Pick<ApiKeyServices, 'apiKeyById'> {
  readonly operations: PersistedOperationService;
  readonly keysOfOperation: DataLoader<string, readonly string[] | null>;
}

/** Creates loaders that batch but do not cache, because a subscription's context lives long. */
export function operationLoaders(
  operations: PersistedOperationService,
): Pick<PersistedOperationServices, 'keysOfOperation'> {
  return {
    keysOfOperation: new DataLoader<string, readonly string[] | null>(
      async (ids) => {
        const found = await operations.keysOf(ids);
        return ids.map((id) => found.get(id) ?? null);
      },
      { cache: false },
    ),
  };
}

type Context = SubgraphContext<PersistedOperationServices>;

/** The resolvers of persisted operations. */
export const persistedOperationResolvers = {
  OperationType: ENUMS.OperationType,

  PersistedOperation: {
    async apiKeys({ id }, _, { services }) {
      const ids = (await services.keysOfOperation.load(id)) ?? [];
      const keys = await Promise.all(ids.map((keyId) => services.apiKeyById.load(keyId)));
      return keys.filter((key) => key !== null);
    },
  },

  Query: {
    persistedOperations: (_, __, { services }) => services.operations.list(),
    persistedOperation: (_, { id, sha256 }, { services }) => services.operations.find(id ?? null, sha256 ?? null),
  },

  Mutation: {
    registerPersistedOperations: (_, { manifest, apiKeys }, { services, identity }) =>
      services.operations.register(identity, manifest, apiKeys ?? null),
    removePersistedOperations: (_, { ids }, { services, identity }) => services.operations.remove(identity, ids),
  },
} satisfies Resolvers<Context>;
