/** GraphQL to domain and back, for the audit subgraph; no logic of its own. */
import type DataLoader from 'dataloader';
import type { Caller } from '../../core/access/caller.ts';
import type { EndedCredential } from '../../core/credentials/ended-credential.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionOf, isUuid, readPage, type PageArguments } from '../shared/subgraph/pagination.ts';
import type { Resolvers, SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { ChangedUser } from './accounts/accounts.ts';
import { accountMutations, type AccountServices } from './accounts/account-resolvers.ts';
import { apiKeyResolvers, type ApiKeyServices } from './api-keys/api-key-resolvers.ts';
import type { DatabaseHealth } from './database-health/database-health.ts';
import type { EndedCredentials } from './sessions/ended-credentials.ts';
import type { IntegrityChecks } from './log/integrity.ts';
import { loaderById } from './loader-by-id.ts';
import {
  persistedOperationResolvers,
  type PersistedOperationServices,
} from './persisted-operations/persisted-operation-resolvers.ts';
import { checkTrailSearch, type AuditService } from './log/audit-log-service.ts';
import type { TrailFeed } from './log/trail-feed.ts';
import type { TrailEntry, TrailSearch } from './log/trail-store.ts';

export interface AuditServices extends AccountServices, ApiKeyServices, PersistedOperationServices {
  readonly audit: AuditService;
  readonly feed: TrailFeed;
  readonly integrity: IntegrityChecks;
  readonly databaseHealth: () => Promise<DatabaseHealth>;
  readonly ended: EndedCredentials;
  readonly entryById: DataLoader<string, TrailEntry | null>;
}

type Context = SubgraphContext<AuditServices>;

/** Loaders that batch but keep nothing: a list of entities costs one query, and a subscription's context lives long. */
export function auditLoaders(audit: AuditService): Pick<AuditServices, 'userById' | 'entryById'> {
  return {
    userById: loaderById((ids) => audit.usersById(ids)),
    entryById: loaderById((ids) => audit.entriesById(ids)),
  };
}

async function trail(services: AuditServices, search: TrailSearch, args: PageArguments) {
  const page = readPage(args);
  const { entries, more } = await services.audit.trail(search, page);
  return connectionOf(entries, page, more, () => services.audit.trailCount(search));
}

/** Who calls. The account and the key are read for who selects them only. */
interface Viewer {
  readonly kind: 'USER' | 'API_KEY' | 'VEHICLE';
  readonly userId?: string | null;
  readonly apiKeyId?: string | null;
}

const references = (type: string, ids: readonly string[] | undefined) =>
  ids?.map((id) => ({ __typename: type, id })) ?? null;

function viewer(caller: Caller): Viewer & Record<string, unknown> {
  switch (caller.kind) {
    case 'user':
      return { kind: 'USER', role: caller.role, userId: caller.userId };
    case 'apiKey':
      return { kind: 'API_KEY', role: caller.role, apiKeyId: caller.apiKeyId };
    case 'vehicle':
      return { kind: 'VEHICLE', vin: caller.vin, environment: caller.environment };
    case 'nobody':
    case 'gateway':
      throw new Error(`me was resolved for ${caller.kind}: the permission table lets none through`);
  }
}

export const resolvers: Resolvers = {
  Environment: ENUMS.Environment,
  OperationType: persistedOperationResolvers.OperationType,
  PersistedOperation: persistedOperationResolvers.PersistedOperation,
  ApiKey: apiKeyResolvers.ApiKey,

  Query: {
    ...persistedOperationResolvers.Query,
    ...apiKeyResolvers.Query,
    me: (_: unknown, __: unknown, { identity }: Context) => viewer(identity.caller),
    async users(_: unknown, args: PageArguments, { services }: Context) {
      const page = readPage(args);
      const { users, more } = await services.audit.users(page);
      return connectionOf(users, page, more, () => services.audit.userCount());
    },
    auditLogs: (_: unknown, args: PageArguments & { filter?: TrailSearch | null }, { services }: Context) =>
      trail(services, checkTrailSearch(args.filter ?? {}), args),
    auditIntegrity: (
      _: unknown,
      { from = null, to = null }: { from?: Date | null; to?: Date | null },
      { services }: Context,
    ) => services.integrity.check({ from, to }),
    databaseHealth: (_: unknown, __: unknown, { services }: Context) => services.databaseHealth(),
  },

  Mutation: { ...accountMutations, ...apiKeyResolvers.Mutation, ...persistedOperationResolvers.Mutation },

  Subscription: {
    auditTrail: {
      async subscribe(_: unknown, __: unknown, { services }: Context) {
        const entries = services.feed.follow('now');
        await entries.established;
        return entries;
      },
      resolve: (entry: TrailEntry) => entry,
    },
    endedCredentials: {
      subscribe: (_: unknown, { after }: { after?: number | null }, { services }: Context) =>
        services.ended.follow(after ?? null),
      resolve: (ended: EndedCredential) => ended,
    },
  },

  Viewer: {
    user: ({ userId = null }: Viewer, _: unknown, { services }: Context) =>
      userId === null ? null : services.userById.load(userId),
    apiKey: ({ apiKeyId = null }: Viewer, _: unknown, { services }: Context) =>
      apiKeyId === null ? null : services.apiKeyById.load(apiKeyId),
  },

  User: {
    cancelledChangeRequests: (user: Partial<ChangedUser>) => references('ChangeRequest', user.cancelledChangeRequests),
    pausedRollouts: (user: Partial<ChangedUser>) => references('Rollout', user.pausedRollouts),
    __resolveReference: ({ id }: { id: string }, { services }: Context) =>
      isUuid(id) ? services.userById.load(id.toLowerCase()) : null,
  },

  Flag: {
    __resolveReference: ({ id }: { id: string }) => ({ id }),
    history: ({ id }: { id: string }, args: PageArguments, { services }: Context) =>
      isUuid(id) ? trail(services, { flagId: id }, args) : connectionOf([], readPage(args), false, 0),
  },

  AuditLog: {
    __resolveReference: ({ id }: { id: string }, { services }: Context) =>
      isUuid(id) ? services.entryById.load(id.toLowerCase()) : null,
    user: ({ userId }: TrailEntry, _: unknown, { services }: Context) =>
      userId === null ? null : services.userById.load(userId),
    apiKey: ({ apiKeyId }: TrailEntry, _: unknown, { services }: Context) =>
      apiKeyId === null ? null : services.apiKeyById.load(apiKeyId),
    flag: ({ flagId }: TrailEntry) => (flagId === null ? null : { id: flagId }),
  },
};
