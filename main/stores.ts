/** Opens the databases that the settings name: servers by URL, or the embedded ones in the data folder. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { unattended } from '../core/async/unattended.ts';
import { openDatabase, type Database } from '../subgraphs/shared/postgres/database.ts';
import { startEmbeddedPostgres } from '../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../subgraphs/shared/postgres/schema/migrations.ts';
import { openMetricsStore, type MetricsStore } from '../subgraphs/shared/stores/metrics-store.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Configuration } from './configuration.ts';

/** Opens PostgreSQL, starting the embedded one if needed, and applies all migrations. */
export async function openPostgres(
  configuration: Configuration,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<Database> {
  let url = configuration.databaseUrl;
  if (url === null) {
    const server = await startEmbeddedPostgres({ dataDir: configuration.dataDir, log: (line) => logger.info(line) });
    lifecycle.onClose(() => server.stop());
    url = server.url;
  }
  const applied = await deployMigrations({ url });
  if (applied.length > 0) logger.info({ applied }, 'Applied migrations');
  const database = await openDatabase({
    url,
    onConnectionError: (error) =>
      logger.warn({ err: error }, 'A connection to PostgreSQL failed; the next query opens another one'),
  });
  lifecycle.onClose(() => database.close());
  return database;
}

/**
 * Opens ClickHouse. Measurements that the embedded engine cannot read are set aside, because flags must not wait for
 * them.
 */
export async function openMetrics(
  configuration: Configuration,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<MetricsStore> {
  const metrics = await openMetricsStore({
    url: configuration.clickhouseUrl,
    path: join(configuration.dataDir, 'clickhouse'),
    onSetAside: (keptAs, err) =>
      logger.error(
        { err, keptAs },
        'Cannot read the folder of the embedded metrics store; keeping it under another name and starting an empty one. Flags are not affected',
      ),
  });
  lifecycle.onClose(() => metrics.close());
  // The start does not wait for the answer, and readiness does not depend on it: everything except measurements and
  // results works without ClickHouse.
  const asked = metrics.ping().catch((err: unknown) => {
    logger.warn(
      { err },
      'The metrics store does not answer; refusing metrics and results until it does, while vehicles keep their measurements',
    );
  });
  unattended(asked, 'Polling the metrics store');
  return metrics;
}
