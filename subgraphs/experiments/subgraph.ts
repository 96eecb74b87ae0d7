/** Assembles the experiments subgraph. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { findRegisteredFacts } from '../shared/between-subgraphs/vehicle-facts.ts';
import { primaryReads, type ReplicaReads } from '../shared/postgres/replica-reads.ts';
import type { MetricsStore } from '../shared/stores/metrics-store.ts';
import type { SubgraphMetrics } from '../shared/monitoring/subgraph-metrics.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph/subgraph.ts';
import { ExperimentLifecycle } from './experiments/experiment-lifecycle.ts';
import { ExperimentLookJob } from './experiments/looks/experiment-look-job.ts';
import { ExperimentLooks } from './experiments/looks/look.ts';
import { FurtherLooks } from './experiments/looks/further-looks.ts';
import { ExplorationService } from './experiments/exploration/exploration-service.ts';
import { ExperimentReanalysis } from './experiments/reanalysis.ts';
import { ExperimentResults } from './experiments/results.ts';
import { ExposureRecorder, type FactsOf } from './exposures/exposure-recorder.ts';
import { FlagStatisticsJob } from './flag-statistics/flag-statistics-job.ts';
import { DefinitionService } from './definitions/definition-service.ts';
import { findLooks } from './guards/guard-history.ts';
import { GuardVerdictJob } from './guards/guard-verdict-job.ts';
import { GUARDED_RELEASES } from './guards/guarded-releases.ts';
import { GUARDED_ROLLOUTS } from './guards/guarded-rollouts.ts';
import { MetricCollector } from './metrics/metric-collector.ts';
import { MetricService } from './metrics/metric-service.ts';
import { MetricTables } from './metrics/metric-store.ts';
import {
  experimentLoaders,
  looksLoader,
  namesLoader,
  pointsLoader,
  experimentsResolvers,
  type ExperimentsServices,
} from './resolvers.ts';
import { storedComparedVehicles } from './settled/compared-vehicles.ts';
import { storedGroupedVehicles } from './settled/grouped-vehicles.ts';
import { storedSettledVehicles } from './settled/settled-vehicles.ts';
import { ExperimentService } from './experiments/experiment-service.ts';

/** The dependencies and settings of the experiments subgraph. */
export interface ExperimentsOptions {
  readonly prisma: PrismaClient;
  /** The place where lists are read; by default the primary. */
  readonly reads?: ReplicaReads;
  readonly metrics: MetricsStore;
  readonly logger: Logger;
  /** Counts what the subgraph does. */
  readonly monitoring?: SubgraphMetrics | undefined;
  /**
   * Whether this instance refreshes flags' statistics, watches rollouts and releases, and computes the looks of
   * experiments; true by default.
   */
  readonly keepsStatistics?: boolean;
}

/** The running subgraph. */
export interface StartedExperiments {
  readonly subgraph: Subgraph;
  close(): Promise<void>;
}

/**
 * Starts the subgraph, refreshes flags' statistics, watches rollouts and releases, and computes the looks of
 * experiments, until `close`. The caller owns the stores: `close` leaves them open.
 */
export async function startExperiments({
  prisma,
  reads = primaryReads(prisma),
  metrics,
  logger,
  monitoring,
  keepsStatistics = true,
}: ExperimentsOptions): Promise<StartedExperiments> {
  const experiments = new ExperimentService(prisma);
  const tables = new MetricTables(metrics.client);
  const factsOf: FactsOf = (vins) => findRegisteredFacts(prisma, vins);
  const exposures = new ExposureRecorder(metrics.client, tables, factsOf);
  const settled = storedSettledVehicles(metrics, tables, exposures);
  const compared = storedComparedVehicles(metrics, tables, exposures);
  const grouped = storedGroupedVehicles(metrics, tables, exposures);
  const looks = new ExperimentLooks(prisma, { ...settled, ...compared });
  const furtherLooks = new FurtherLooks(prisma, settled, compared);
  const results = new ExperimentResults(looks, furtherLooks);
  const reanalysis = new ExperimentReanalysis(looks, furtherLooks);
  const exploration = new ExplorationService(looks, { ...settled, ...grouped });
  const lifecycle = new ExperimentLifecycle(prisma, results);
  const collector = new MetricCollector((rows, signal) => tables.insert(rows, signal));
  monitoring?.watchQueue('measurements', () => collector.load());
  const measurements = new MetricService(tables, collector);
  const statistics = new FlagStatisticsJob(prisma, tables, logger);
  const guards = [GUARDED_ROLLOUTS, GUARDED_RELEASES].map(
    (guarded) => new GuardVerdictJob(prisma, settled, logger, undefined, guarded),
  );
  const lookJob = new ExperimentLookJob(prisma, results, logger);
  const definitions = new DefinitionService(prisma);
  const subgraph = await createSubgraph<ExperimentsServices>({
    name: 'experiments',
    resolvers: experimentsResolvers,
    reads,
    services: (_identity, _notes, lagging) => ({
      experiments: new ExperimentService(prisma, lagging),
      lifecycle,
      results,
      reanalysis,
      exploration,
      definitions,
      metrics: measurements,
      pointsOfFlag: pointsLoader(measurements),
      namesOfFlag: namesLoader(measurements),
      looksOfRollout: looksLoader((ids) => findLooks(prisma, ids)),
      ...experimentLoaders(experiments),
    }),
    logger,
    metrics: monitoring,
  });
  if (keepsStatistics) {
    statistics.start();
    for (const job of guards) job.start();
    lookJob.start();
  }
  return {
    subgraph,
    async close() {
      await collector.close();
      await Promise.all([statistics.close(), ...guards.map((job) => job.close()), lookJob.close()]);
    },
  };
}
