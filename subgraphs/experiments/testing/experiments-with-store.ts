/** The experiments subgraph on a test database, with a metrics store that is a test's own. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import type { TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import type { ExperimentsUnderTest } from './experiments-under-test.ts';

/** A running subgraph and its store. */
export class ExperimentsWithStore {
  protected constructor(
    private readonly own: TestMetricsStore,
    readonly experiments: ExperimentsUnderTest,
  ) {}

  get metrics(): MetricsStore {
    return this.own.store;
  }

  get prisma(): PrismaClient {
    return this.experiments.prisma;
  }

  /** Deletes the database and the store. */
  async drop(): Promise<void> {
    await this.experiments.database.drop();
    await this.own.drop();
  }
}
