/**
 * `npm run migrate -- deploy|status|down [n]|down-metrics [n]`: see
 * subgraphs/shared/postgres/schema/migrate-command.ts.
 */
import {
  deployMetricsMigrations,
  metricsMigrationStatus,
  rollBackMetricsMigrations,
} from '../subgraphs/experiments/clickhouse/migrations.ts';
import {
  MIGRATE_USAGE,
  runMigrateCommand,
  type WithMetrics,
} from '../subgraphs/shared/postgres/schema/migrate-command.ts';
import { embeddedMetricsPath, openMetricsStore } from '../subgraphs/shared/stores/metrics-store.ts';
import { answerHelp } from './command-line.ts';
import { ConfigurationError, readConfiguration, type Configuration } from '../main/configuration.ts';

/**
 * Gives the metrics store to migrate. With an external PostgreSQL and no ClickHouse URL, the embedded metrics store
 * belongs to the experiments subgraph, on whatever machine that runs.
 */
function metricsOf({ databaseUrl, clickhouseUrl, dataDir }: Configuration): WithMetrics {
  if (clickhouseUrl === null && databaseUrl !== null) return null;
  return async (use) => {
    const store = await openMetricsStore({
      url: clickhouseUrl,
      path: embeddedMetricsPath(dataDir),
      onSetAside: (keptAs) =>
        console.error(`Cannot read the folder of the embedded metrics store; it is kept as ${keptAs}.`),
    });
    try {
      return await use({
        deploy: () => deployMetricsMigrations(store.client),
        status: () => metricsMigrationStatus(store.client),
        down: (count) => rollBackMetricsMigrations(store.client, count),
      });
    } finally {
      await store.close();
    }
  };
}

answerHelp(MIGRATE_USAGE);
try {
  const configuration = readConfiguration();
  process.exitCode = await runMigrateCommand(process.argv.slice(2), configuration, undefined, metricsOf(configuration));
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
