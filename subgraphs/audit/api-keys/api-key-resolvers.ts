/** Maps GraphQL to the domain and back for API keys. */
import DataLoader from 'dataloader';
import type { SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { ApiKeyCredential } from '../../../core/credentials/api-key.ts';
import type { ApiKey } from './api-key.ts';
import type { ApiKeyService } from './api-key-service.ts';
import type { Resolvers } from '../generated/resolvers.ts';
import type { SharedLoader } from '../../shared/postgres/shared-loader.ts';
import type { User } from '../accounts/user.ts';

/** The services of API keys. */
export interface ApiKeyServices {
  readonly apiKeys: ApiKeyService;
  readonly apiKeyById: SharedLoader<string, ApiKey | null>;
  readonly credentialByHash: DataLoader<string, ApiKeyCredential | null>;
  readonly userById: SharedLoader<string, User | null>;
}

type Context = SubgraphContext<ApiKeyServices>;

/** Creates one request's loader of credentials: a gateway looks up many keys at once. */
export function credentialLoader(apiKeys: ApiKeyService): Pick<ApiKeyServices, 'credentialByHash'> {
  return {
    credentialByHash: new DataLoader(async (hashes) => {
      const found = new Map((await apiKeys.use(hashes)).map((credential) => [credential.keyHash, credential]));
      return hashes.map((hash) => found.get(hash) ?? null);
    }),
  };
}

/** The resolvers of API keys. */
export const apiKeyResolvers = {
  Query: {
    apiKeys: (_, __, { services }) => services.apiKeys.list(),
    apiKeyCredential: (_, { keyHash }, { services }) => services.credentialByHash.load(keyHash),
  },
  Mutation: {
    createApiKey: (_, { input }, { services, identity }) => services.apiKeys.create(identity, input),
    revokeApiKey: (_, { id }, { services, identity }) => services.apiKeys.revoke(identity, id),
  },
  ApiKey: {
    createdBy: ({ createdById }, _, { services }) =>
      createdById === null ? null : services.userById.load(createdById),
  },
} satisfies Resolvers<Context>;
