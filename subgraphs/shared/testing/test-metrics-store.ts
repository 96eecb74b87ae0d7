/** A metrics store of a test's own: the real engine in this process, in a folder that goes with it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMetricsStore, type MetricsStore } from '../stores/metrics-store.ts';

export interface TestMetricsStore {
  readonly store: MetricsStore;
  /** For what else the test keeps. */
  readonly folder: string;
  /** Closes the store and removes the folder. */
  drop(): Promise<void>;
}

export async function createTestMetricsStore(): Promise<TestMetricsStore> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-metrics-'));
  const store = await openMetricsStore({ url: null, path: join(folder, 'store') });
  return {
    store,
    folder,
    async drop() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
