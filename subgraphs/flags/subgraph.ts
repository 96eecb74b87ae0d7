/** The flags subgraph, put together from its parts. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { Bus } from '../shared/bus.ts';
import type { KeyValueStore } from '../shared/key-value-store.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph.ts';
import { createFlagChanges } from './change.ts';
import { FlagFeed } from './feed.ts';
import { flagLoaders, resolvers, type FlagsServices } from './resolvers.ts';
import { FlagService } from './service.ts';
import type { Signer } from './signing.ts';
import { EnvironmentSnapshots } from './snapshots.ts';
import { SyncService } from './sync.ts';

export interface FlagsOptions {
  readonly prisma: PrismaClient;
  readonly bus: Bus;
  /** Where instances leave each other what they have read. */
  readonly store: KeyValueStore;
  readonly signer: Signer;
  readonly logger: Logger;
}

/** Starts the subgraph: it follows the environments' revisions from here on, until `close`. */
export async function startFlags({ prisma, bus, store, signer, logger }: FlagsOptions): Promise<{ subgraph: Subgraph; close(): Promise<void> }> {
  const flags = new FlagService(prisma, createFlagChanges(prisma, signer, bus, logger));
  const snapshots = new EnvironmentSnapshots({ prisma, store, signer, logger });
  const sync = new SyncService(snapshots);
  const feed = new FlagFeed(prisma, snapshots, bus, logger);
  const subgraph = await createSubgraph<FlagsServices>({
    name: 'flags',
    resolvers,
    services: () => ({ prisma, flags, snapshots, sync, feed, ...flagLoaders(flags) }),
    logger,
  });
  await feed.start();
  const close = async () => {
    await feed.close();
    snapshots.close();
  };
  return { subgraph, close };
}
