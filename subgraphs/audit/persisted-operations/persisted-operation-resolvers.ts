/** GraphQL to domain and back, for persisted operations. */
import DataLoader from 'dataloader';
import { ENUMS } from '../../shared/subgraph/graphql-enums.ts';
import type { Resolvers, SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { ApiKeyServices } from '../api-keys/api-key-resolvers.ts';
import type { PersistedOperationService } from './persisted-operation-service.ts';

export interface PersistedOperationServices extends Pick<ApiKeyServices, 'apiKeyById'> {
  readonly operations: PersistedOperationService;
  readonly keysOfOperation: DataLoader<string, readonly string[] | null>;
}

/** Batches, and keeps nothing: see loader-by-id.ts. */
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

export const persistedOperationResolvers = {
  OperationType: ENUMS.OperationType,

  PersistedOperation: {
    async apiKeys({ id }: { id: string }, _: unknown, { services }: Context) {
      const keys = (await services.keysOfOperation.load(id)) ?? [];
      return services.apiKeyById.loadMany(keys);
    },
  },

  Query: {
    persistedOperations: (_: unknown, __: unknown, { services }: Context) => services.operations.list(),
    persistedOperation: (
      _: unknown,
      { id, sha256 }: { id?: string | null; sha256?: string | null },
      { services }: Context,
    ) => services.operations.find(id ?? null, sha256 ?? null),
  },

  Mutation: {
    registerPersistedOperations: (
      _: unknown,
      { manifest, apiKeys }: { manifest: unknown; apiKeys?: string[] | null },
      { services, identity }: Context,
    ) => services.operations.register(identity, manifest, apiKeys ?? null),
  },
} satisfies Resolvers;
