/** The experiments subgraph, put together from its parts. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../prisma/generated/client.ts';
import type { MetricsStore } from '../shared/metrics-store.ts';
import { createSubgraph, type Subgraph } from '../shared/subgraph.ts';
import { storedMeasurements } from './arm-sums.ts';
import { ExperimentLife } from './life.ts';
import { experimentLoaders, resolvers, type ExperimentsServices } from './resolvers.ts';
import { ExperimentResults } from './results.ts';
import { ExperimentService } from './service.ts';

export interface ExperimentsOptions {
  readonly prisma: PrismaClient;
  readonly metrics: MetricsStore;
  readonly logger: Logger;
}

export interface StartedExperiments {
  readonly subgraph: Subgraph;
  /** Whether the metrics store answers. Never rejects. */
  ready(): Promise<boolean>;
  close(): Promise<void>;
}

/** Starts the subgraph. The stores belong to who opened them: `close` leaves them open. */
export async function startExperiments({ prisma, metrics, logger }: ExperimentsOptions): Promise<StartedExperiments> {
  const experiments = new ExperimentService(prisma);
  const results = new ExperimentResults(prisma, storedMeasurements(metrics));
  const life = new ExperimentLife(prisma, results);
  const subgraph = await createSubgraph<ExperimentsServices>({
    name: 'experiments',
    resolvers,
    services: () => ({ experiments, life, results, ...experimentLoaders(experiments) }),
    logger,
  });
  return {
    subgraph,
    ready: () => metrics.ping().then(() => true, () => false),
    close: async () => {},
  };
}
