/** Another instance of the flags subgraph on the same database, whose statements and signatures tests can see. */
import type { SubgraphConnection } from '../../../core/wire/subgraph/subgraph.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore, type KeyValueStore } from '../../shared/stores/key-value-store.ts';
import { connectInProcess } from '../../shared/subgraph/in-process-connection.ts';
import { asking, silent, type Ask } from '../../shared/testing/asking.ts';
import { watchDatabase, type WatchedDatabase } from '../../shared/testing/watched-database.ts';
import type { Signer } from '../signing/signing.ts';
import { startFlags } from '../subgraph.ts';
import type { FlagsUnderTest } from './flags-under-test.ts';

/** An instance with a client, a bus and a store of its own. */
export interface WatchedInstance {
  readonly database: WatchedDatabase;
  readonly ask: Ask;
  readonly connection: SubgraphConnection;
  readonly signed: { statements: number; proofs: number };
  stop(): Promise<void>;
}

/** Starts the instance. */
export async function startWatchedInstance(
  flags: FlagsUnderTest,
  store: KeyValueStore = createInProcessStore(),
): Promise<WatchedInstance> {
  const database = await watchDatabase(flags.database.url);
  const signed = { statements: 0, proofs: 0 };
  const signer: Signer = {
    ...flags.signer,
    statement: (...args) => {
      signed.statements++;
      return flags.signer.statement(...args);
    },
    proof: (...args) => {
      signed.proofs++;
      return flags.signer.proof(...args);
    },
  };
  // Only the costs of syncing are counted, so it does not apply rollouts.
  const started = await startFlags({
    prisma: database.prisma,
    bus: createInProcessBus(),
    store,
    signer,
    logger: silent,
    appliesRollouts: false,
  });
  return {
    database,
    ask: asking(started.subgraph),
    connection: connectInProcess(started.subgraph, async () => true),
    signed,
    stop: async () => {
      await started.close();
      await database.close();
    },
  };
}
