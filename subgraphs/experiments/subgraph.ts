/** Assembles the experiments subgraph. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { MetricsStore } from '../shared/stores/metrics-store.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph/subgraph.ts';
import { storedMeasurements } from './experiments/arm-sums.ts';
import { ExperimentLife } from './experiments/life.ts';
import { ExperimentResults } from './experiments/results.ts';
import { FlagStatisticsJob } from './flag-statistics/flag-statistics-job.ts';
import { DefinitionService } from './definitions/definition-service.ts';
import { GuardVerdictJob } from './guards/guard-verdict-job.ts';
import { MetricCollector } from './metrics/metric-collector.ts';
import { MetricService } from './metrics/metric-service.ts';
import { MetricTables } from './metrics/metric-store.ts';
import { experimentLoaders, pointsLoader, resolvers, type ExperimentsServices } from './resolvers.ts';
import { storedSettledVehicles } from './settled/settled-vehicles.ts';
import { ExperimentService } from './experiments/experiment-service.ts';

/** The dependencies and settings of the experiments subgraph. */
export interface ExperimentsOptions {
  readonly prisma: PrismaClient;
  readonly metrics: MetricsStore;
  readonly logger: Logger;
  /** Whether this instance refreshes flags' statistics and the verdicts on guarded rollouts; true by default. */
  readonly keepsStatistics?: boolean;
}

/** The running subgraph. */
export interface StartedExperiments {
  readonly subgraph: Subgraph;
  close(): Promise<void>;
}

/**
 * Starts the subgraph, refreshes flags' statistics and watches rollouts, until `close`. The caller owns the stores:
 * `close` leaves them open.
 */
export async function startExperiments({
  prisma,
  metrics,
  logger,
  keepsStatistics = true,
}: ExperimentsOptions): Promise<StartedExperiments> {
  const experiments = new ExperimentService(prisma);
  const sums = storedMeasurements(metrics);
  const results = new ExperimentResults(prisma, sums);
  const life = new ExperimentLife(prisma, results);
  const tables = new MetricTables(metrics.client);
  const collector = new MetricCollector((rows, signal) => tables.insert(rows, signal));
  const measurements = new MetricService(tables, collector);
  const statistics = new FlagStatisticsJob(prisma, tables, logger);
  const settled = storedSettledVehicles(metrics, tables);
  const guards = new GuardVerdictJob(prisma, settled, logger);
  const definitions = new DefinitionService(prisma);
  const subgraph = await createSubgraph<ExperimentsServices>({
    name: 'experiments',
    resolvers,
    services: () => ({
      experiments,
      life,
      results,
      definitions,
      metrics: measurements,
      pointsOfFlag: pointsLoader(measurements),
      ...experimentLoaders(experiments),
    }),
    logger,
  });
  if (keepsStatistics) {
    statistics.start();
    guards.start();
  }
  return {
    subgraph,
    async close() {
      await collector.close();
      await Promise.all([statistics.close(), guards.close()]);
    },
  };
}
