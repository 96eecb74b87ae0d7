/** Opens the databases that the settings name: servers by URL, or the embedded ones in the data folder. */
import type { Logger } from 'pino';
import { unattended } from '../../core/last-handler/unattended.ts';
import type { StoreMetrics } from '../../subgraphs/shared/monitoring/store-metrics.ts';
import { openDatabase, type Database } from '../../subgraphs/shared/postgres/database.ts';
import { followReplicas, primaryReads, type ReplicaReads } from '../../subgraphs/shared/postgres/replica-reads.ts';
import type { KeyValueStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { startEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../../subgraphs/shared/postgres/schema/migrations.ts';
import {
  embeddedMetricsPath,
  openMetricsStore,
  type MetricsStore,
} from '../../subgraphs/shared/stores/metrics-store.ts';
import type { Lifecycle } from '../process/lifecycle.ts';
import { placeOf, whileWaiting } from '../process/waiting.ts';
import { serveLocalSocket } from './local-socket.ts';
import type { Configuration } from '../configuration.ts';

/** Opens PostgreSQL, starting the embedded one if needed, and applies all migrations. */
export async function openPostgres(
  configuration: Configuration,
  lifecycle: Lifecycle,
  logger: Logger,
  metrics?: StoreMetrics,
): Promise<Database> {
  let url = configuration.databaseUrl;
  if (url === null) {
    const { dataDir, walArchive } = configuration;
    const server = await whileWaiting(logger, `the embedded PostgreSQL in ${dataDir}`, () =>
      startEmbeddedPostgres({ dataDir, walArchive, log: (line) => logger.info(line) }),
    );
    lifecycle.onClose(() => server.stop());
    url = server.url;
  }
  const at = url;
  const server = configuration.databaseUrl === null ? 'the embedded PostgreSQL' : `PostgreSQL at ${placeOf(at)}`;
  const applied = await whileWaiting(logger, `the schema of ${server}, which one process at a time may change`, () =>
    deployMigrations({ url: at }),
  );
  if (applied.length > 0) logger.info({ applied }, 'Applied migrations');
  const database = await whileWaiting(logger, server, () =>
    openDatabase({
      url: at,
      metrics,
      replicaUrls: configuration.databaseReplicaUrls,
      onConnectionError: (error) =>
        logger.warn({ err: error }, 'A connection to PostgreSQL failed; the next query opens another one'),
    }),
  );
  lifecycle.onClose(() => database.close());
  return database;
}

/** Follows the replicas that the settings name, and decides which reads go to them. */
export function openReads(
  database: Database,
  store: KeyValueStore,
  lifecycle: Lifecycle,
  logger: Logger,
): ReplicaReads {
  const { prisma, replicas } = database;
  if (replicas.length === 0) return primaryReads(prisma);
  const reads = followReplicas({ prisma, replicas, readPosition: () => database.position(), store, logger });
  lifecycle.onClose(() => reads.close());
  return reads;
}

/**
 * Opens ClickHouse. Measurements that the embedded engine cannot read are set aside, because flags must not wait for
 * them.
 */
export async function openMetrics(
  configuration: Configuration,
  lifecycle: Lifecycle,
  logger: Logger,
  figures?: StoreMetrics,
): Promise<MetricsStore> {
  const metrics = await whileWaiting(logger, 'the metrics store', () =>
    openMetricsStore({
      metrics: figures,
      url: configuration.clickhouseUrl,
      path: embeddedMetricsPath(configuration.dataDir),
      onSetAside: (keptAs, err) =>
        logger.error(
          { err, keptAs },
          'Cannot read the folder of the embedded metrics store; keeping it under another name and starting an empty one. Flags are not affected',
        ),
    }),
  );
  lifecycle.onClose(() => metrics.close());
  if (configuration.clickhouseUrl === null)
    await serveLocalSocket(configuration.dataDir, metrics, lifecycle).catch((err: unknown) => {
      logger.warn(
        { err },
        'Cannot open the local socket for commands; to back up the metrics store, stop this process first',
      );
    });
  // The start does not wait for the answer, and readiness does not depend on it: everything except measurements and
  // results works without ClickHouse.
  const answered = metrics.ping().catch((err: unknown) => {
    logger.warn(
      { err },
      'The metrics store does not answer; refusing metrics and results until it does, while vehicles keep their measurements',
    );
  });
  unattended(answered, 'Pinging the metrics store');
  return metrics;
}
