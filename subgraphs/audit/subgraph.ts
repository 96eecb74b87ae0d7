/** The audit subgraph (accounts, sessions, the trail), put together from its parts. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { KeyValueStore } from '../shared/key-value-store.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph.ts';
import { apiKeyLoaders } from './api-key-resolvers.ts';
import { ApiKeyService } from './api-key-service.ts';
import { PartitionKeeper } from './partition-keeper.ts';
import { Passwords } from './passwords.ts';
import { auditLoaders, resolvers, type AuditServices } from './resolvers.ts';
import { AuditService } from './service.ts';
import { SignInService } from './sign-in.ts';

export interface AuditOptions {
  readonly prisma: PrismaClient;
  /** Where sessions are kept; the gateway reads them there. */
  readonly sessions: KeyValueStore;
  readonly logger: Logger;
}

/** Starts the subgraph: it keeps the trail's partitions ready from here on, until `close`. */
export async function startAudit({ prisma, sessions, logger }: AuditOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const audit = new AuditService(prisma);
  const apiKeys = new ApiKeyService(prisma);
  const signIn = new SignInService(prisma, sessions, await Passwords.create());
  const subgraph = await createSubgraph<AuditServices>({
    name: 'audit',
    resolvers,
    services: () => ({ audit, signIn, apiKeys, ...auditLoaders(audit), ...apiKeyLoaders(apiKeys) }),
    logger,
  });
  const partitions = new PartitionKeeper(prisma, logger);
  await partitions.start();
  return { subgraph, close: () => partitions.close() };
}
