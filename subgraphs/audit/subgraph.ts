/** Assembles the audit subgraph: accounts, sessions, API keys, persisted operations, webhooks and the audit log. */
import type { Logger } from 'pino';
import type { RateLimiter } from '../../core/access/rate-limiter.ts';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/feeds/bus.ts';
import type { EndPlans } from '../shared/between-subgraphs/ended-plans.ts';
import { primaryReads, type LaggingReads, type ReplicaReads } from '../shared/postgres/replica-reads.ts';
import type { KeyValueStore } from '../shared/stores/key-value-store.ts';
import { sharedLoaderById } from '../shared/postgres/shared-loader.ts';
import type { SubgraphMetrics } from '../shared/monitoring/subgraph-metrics.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph/subgraph.ts';
import { Accounts } from './accounts/accounts.ts';
import { credentialLoader } from './api-keys/api-key-resolvers.ts';
import { ApiKeyService } from './api-keys/api-key-service.ts';
import { readDatabaseHealth } from './database-health/database-health.ts';
import { EndedCredentials } from './sessions/ended-credentials.ts';
import { IntegrityChecks } from './log/integrity.ts';
import { PartitionJob } from './log/partition-job.ts';
import { Passwords } from './sessions/passwords.ts';
import type { CheckOperation } from './persisted-operations/persisted-operation.ts';
import { operationLoaders } from './persisted-operations/persisted-operation-resolvers.ts';
import { PersistedOperationService } from './persisted-operations/persisted-operation-service.ts';
import { auditResolvers, type AuditServices } from './resolvers.ts';
import { AuditLogService } from './log/audit-log-service.ts';
import { flagHistories, type FlagHistories } from './log/flag-histories.ts';
import { SessionEnding } from './sessions/session-ending.ts';
import { Sessions } from './sessions/sessions.ts';
import { SignInService } from './sessions/sign-in.ts';
import { SignInThrottle } from './sessions/sign-in-throttle.ts';
import { AuditLogFeed } from './log/audit-log-feed.ts';
import { readOutboxLoad } from './webhooks/delivery-store.ts';
import { createWebhooks, type WebhookOptions } from './webhooks/webhooks.ts';

/** The dependencies and settings of the audit subgraph. */
export interface AuditOptions {
  readonly prisma: PrismaClient;
  /** The place where the audit log is read; by default the primary. */
  readonly reads?: ReplicaReads;
  /** The store of sessions, from which the gateway reads them, too. */
  readonly sessions: KeyValueStore;
  /** Counts failed sign-ins. */
  readonly limiter: RateLimiter;
  /** Checks operations that are to be registered. */
  readonly checkOperation: CheckOperation;
  /** Ends requests and rollouts that a person may no longer continue. */
  readonly endPlans: EndPlans;
  /** The bus that announces new rows of the audit log. */
  readonly bus: Bus;
  readonly webhooks: WebhookOptions;
  readonly logger: Logger;
  readonly metrics?: SubgraphMetrics | undefined;
}

/** Starts the subgraph, and maintains the audit log's partitions until `close`. */
export async function startAudit({
  prisma,
  reads = primaryReads(prisma),
  sessions: store,
  limiter,
  checkOperation,
  endPlans,
  bus,
  webhooks: webhookOptions,
  logger,
  metrics,
}: AuditOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const auditLog = new AuditLogService(prisma);
  const passwords = await Passwords.create();
  const sessions = new Sessions(store);
  const signIn = new SignInService(prisma, sessions, passwords, new SignInThrottle(limiter, store));
  const accounts = new Accounts(prisma, sessions, passwords, endPlans);
  const apiKeys = new ApiKeyService(prisma);
  const operations = new PersistedOperationService(prisma, checkOperation);
  const feed = new AuditLogFeed(prisma, bus, logger);
  const ended = new EndedCredentials(prisma, feed);
  const integrity = new IntegrityChecks(prisma);
  const webhooks = createWebhooks(prisma, bus, integrity, webhookOptions, logger);
  metrics?.watchOutbox(() => readOutboxLoad(prisma));
  const loaders = {
    userById: sharedLoaderById((ids) => accounts.usersById(ids)),
    entryById: sharedLoaderById((ids) => auditLog.entriesById(ids)),
    apiKeyById: sharedLoaderById((ids) => apiKeys.byId(ids)),
    webhookById: sharedLoaderById((ids) => webhooks.service.byId(ids)),
  };
  // Without replicas all requests read from one database, and share the loaders.
  const histories = new WeakMap<LaggingReads, FlagHistories>();
  const historiesAt = (lagging: LaggingReads) => {
    const found = histories.get(lagging) ?? flagHistories(lagging);
    histories.set(lagging, found);
    return found;
  };
  const subgraph = await createSubgraph<AuditServices>({
    name: 'audit',
    resolvers: auditResolvers,
    reads,
    services: (_identity, _notes, lagging) => ({
      auditLog: new AuditLogService(prisma, lagging),
      ...historiesAt(lagging),
      ...{ signIn, accounts, apiKeys, operations, feed, ended, integrity, webhooks: webhooks.service },
      ...loaders,
      databaseHealth: () => readDatabaseHealth(prisma),
      ...credentialLoader(apiKeys),
      ...operationLoaders(operations),
    }),
    logger,
    metrics,
  });
  const partitions = new PartitionJob(prisma, logger);
  await feed.start();
  const ending = new SessionEnding(feed, sessions, logger);
  ending.start();
  await partitions.start();
  await webhooks.start();
  return {
    subgraph,
    async close() {
      // The check of integrity is closed first: webhooks run it, and would wait for it.
      integrity.close();
      await webhooks.close();
      await ending.close();
      await feed.close();
      await partitions.close();
    },
  };
}
