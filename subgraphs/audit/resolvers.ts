/** Maps GraphQL to the domain and back for the audit subgraph; it has no logic of its own. */
import type { Caller, Role } from '../../core/access/caller.ts';
import { permissionsOf } from '../../core/access/permissions.ts';
import type { EndedCredential } from '../../core/credentials/ended-credential.ts';
import type { Environment } from '../../core/model.ts';
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionOf, isUuid, readPage, type PageArguments } from '../../core/wire/api/pagination.ts';
import type { SharedLoader } from '../shared/postgres/shared-loader.ts';
import type { SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import { accountMutations, type AccountServices } from './accounts/account-resolvers.ts';
import { apiKeyResolvers, type ApiKeyServices } from './api-keys/api-key-resolvers.ts';
import type { DatabaseHealth } from './database-health/database-health.ts';
import type { EndedCredentials } from './sessions/ended-credentials.ts';
import type { IntegrityChecks } from './log/integrity.ts';
import {
  persistedOperationResolvers,
  type PersistedOperationServices,
} from './persisted-operations/persisted-operation-resolvers.ts';
import type { AuditLogService } from './log/audit-log-service.ts';
import { readUserFilter } from './accounts/user-filter.ts';
import type { AuditLogFeed } from './log/audit-log-feed.ts';
import type { AuditLogSearch, StoredAuditEntry } from './log/audit-log-store.ts';
import type { FlagHistories } from './log/flag-histories.ts';
import { webhookResolvers, type WebhookServices } from './webhooks/webhook-resolvers.ts';

/** The services of one request. */
export interface AuditServices
  extends AccountServices, ApiKeyServices, PersistedOperationServices, FlagHistories, WebhookServices {
  readonly auditLog: AuditLogService;
  readonly feed: AuditLogFeed;
  readonly integrity: IntegrityChecks;
  readonly databaseHealth: () => Promise<DatabaseHealth>;
  readonly ended: EndedCredentials;
  readonly entryById: SharedLoader<string, StoredAuditEntry | null>;
}

/** The context of this subgraph's resolvers. */
export type AuditContext = SubgraphContext<AuditServices>;

/** Gives a page of the audit log. */
async function logPage(services: AuditServices, search: AuditLogSearch, args: PageArguments) {
  const page = readPage(args);
  const { entries, more } = await services.auditLog.auditLogPage(search, page);
  return connectionOf(entries, page, more, () => services.auditLog.auditLogCount(search));
}

/** Gives a page of a flag's history. First pages, as lists of flags show them, are read together. */
async function history(services: AuditServices, flagId: string, args: PageArguments) {
  const { cursor, ...page } = readPage(args);
  if (cursor !== null) return logPage(services, { flagId }, args);
  const given = { ...page, cursor };
  const { entries, more } = (await services.historyOf.load({ id: flagId, given })) ?? { entries: [], more: false };
  return connectionOf(entries, given, more, async () => (await services.historyCountOf.load(flagId)) ?? 0);
}

/** The calling user, key or vehicle. The account and the key are read only when a client selects them. */
export interface Viewer {
  readonly kind: 'USER' | 'API_KEY' | 'VEHICLE';
  readonly role?: Role;
  readonly userId?: string | null;
  readonly apiKeyId?: string | null;
  readonly vin?: string | null;
  readonly environment?: Environment;
  readonly permissions: readonly string[];
}

const references = (ids: readonly string[] | undefined) => ids?.map((id) => ({ id })) ?? null;

function viewer(caller: Caller): Viewer {
  const permissions = permissionsOf(caller);
  switch (caller.kind) {
    case 'user':
      return { kind: 'USER', role: caller.role, userId: caller.userId, permissions };
    case 'apiKey':
      return { kind: 'API_KEY', role: caller.role, apiKeyId: caller.apiKeyId, permissions };
    case 'vehicle':
      return { kind: 'VEHICLE', vin: caller.vin, environment: caller.environment, permissions };
    case 'anonymous':
    case 'gateway':
      throw new Error(
        `me was resolved for the caller kind ${caller.kind}, which the permission table should have refused`,
      );
  }
}

/** The resolvers of the audit subgraph. */
export const auditResolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  Environment: ENUMS.Environment,
  OperationType: persistedOperationResolvers.OperationType,
  PersistedOperation: persistedOperationResolvers.PersistedOperation,
  ApiKey: apiKeyResolvers.ApiKey,
  Webhook: webhookResolvers.Webhook,
  WebhookDelivery: webhookResolvers.WebhookDelivery,
  WebhookKind: webhookResolvers.WebhookKind,
  WebhookDeliveryStatus: webhookResolvers.WebhookDeliveryStatus,

  Query: {
    ...persistedOperationResolvers.Query,
    ...apiKeyResolvers.Query,
    ...webhookResolvers.Query,
    me: (_, __, { identity }) => viewer(identity.caller),
    async users(_, args, { services }) {
      const page = readPage(args);
      const filter = readUserFilter(args.filter ?? {});
      const { users, more } = await services.accounts.users(filter, page);
      return connectionOf(users, page, more, () => services.accounts.userCount(filter));
    },
    auditLogs: async (_, args, { services, identity }) =>
      logPage(services, await services.auditLog.readSearch(identity, args.filter ?? {}), args),
    auditIntegrity: (_, { from = null, to = null }, { services }) => services.integrity.check({ from, to }),
    databaseHealth: (_, __, { services }) => services.databaseHealth(),
  },

  Mutation: {
    ...accountMutations,
    ...apiKeyResolvers.Mutation,
    ...persistedOperationResolvers.Mutation,
    ...webhookResolvers.Mutation,
  },

  Subscription: {
    auditTrail: {
      async subscribe(_, __, { services }) {
        const entries = services.feed.subscribe('now');
        await entries.established;
        return entries;
      },
      resolve: (entry: StoredAuditEntry) => entry,
    },
    endedCredentials: {
      subscribe: (_, { after }, { services }) => services.ended.follow(after ?? null),
      resolve: (ended: EndedCredential) => ended,
    },
  },

  Viewer: {
    user: ({ userId = null }, _, { services }) => (userId === null ? null : services.userById.load(userId)),
    apiKey: ({ apiKeyId = null }, _, { services }) => (apiKeyId === null ? null : services.apiKeyById.load(apiKeyId)),
  },

  User: {
    cancelledChangeRequests: (user) => references(user.cancelledChangeRequests),
    pausedRollouts: (user) => references(user.pausedRollouts),
    __resolveReference: ({ id }, { services }) => (isUuid(id) ? services.userById.load(id.toLowerCase()) : null),
  },

  Flag: {
    __resolveReference: ({ id }) => ({ id }),
    history: ({ id }, args, { services }) =>
      isUuid(id) ? history(services, id.toLowerCase(), args) : connectionOf([], readPage(args), false, 0),
  },

  AuditLog: {
    __resolveReference: ({ id }, { services }) => (isUuid(id) ? services.entryById.load(id.toLowerCase()) : null),
    user: ({ userId }, _, { services }) => (userId === null ? null : services.userById.load(userId)),
    apiKey: ({ apiKeyId }, _, { services }) => (apiKeyId === null ? null : services.apiKeyById.load(apiKeyId)),
    flag: ({ flagId }) => (flagId === null ? null : { id: flagId }),
  },
};
