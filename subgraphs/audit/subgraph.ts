/** The audit subgraph (accounts, sessions, the trail), put together from its parts. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/bus.ts';
import type { KeyValueStore } from '../shared/key-value-store.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph.ts';
import { apiKeyLoaders } from './api-key-resolvers.ts';
import { ApiKeyService } from './api-key-service.ts';
import { PartitionKeeper } from './partition-keeper.ts';
import { Passwords } from './passwords.ts';
import type { CheckOperation } from './persisted-operation.ts';
import { PersistedOperationService } from './persisted-operation-service.ts';
import { auditLoaders, resolvers, type AuditServices } from './resolvers.ts';
import { AuditService } from './service.ts';
import { SignInService } from './sign-in.ts';
import { TrailFeed } from './trail-feed.ts';

export interface AuditOptions {
  readonly prisma: PrismaClient;
  /** Where sessions are kept; the gateway reads them there. */
  readonly sessions: KeyValueStore;
  /** What operations that are to be registered are held to. */
  readonly checkOperation: CheckOperation;
  /** Tells that the trail has grown. */
  readonly bus: Bus;
  readonly logger: Logger;
}

/** Starts the subgraph: it keeps the trail's partitions ready from here on, until `close`. */
export async function startAudit({ prisma, sessions, checkOperation, bus, logger }: AuditOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const audit = new AuditService(prisma);
  const apiKeys = new ApiKeyService(prisma);
  const signIn = new SignInService(prisma, sessions, await Passwords.create());
  const operations = new PersistedOperationService(prisma, checkOperation);
  const feed = new TrailFeed(prisma, bus, logger);
  const subgraph = await createSubgraph<AuditServices>({
    name: 'audit',
    resolvers,
    services: () => ({ audit, signIn, apiKeys, operations, feed, ...auditLoaders(audit), ...apiKeyLoaders(apiKeys) }),
    logger,
  });
  const partitions = new PartitionKeeper(prisma, logger);
  await feed.start();
  await partitions.start();
  return {
    subgraph,
    async close() {
      await feed.close();
      await partitions.close();
    },
  };
}
