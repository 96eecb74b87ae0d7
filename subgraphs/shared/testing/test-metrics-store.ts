/** A metrics store for a test: the real engine in this process, in a folder that is deleted with it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { madeOrRemoved } from '../../../core/testing/made-or-removed.ts';
import { openMetricsStore, type MetricsStore } from '../stores/metrics-store.ts';

/** A metrics store with its folder. */
export interface TestMetricsStore {
  readonly store: MetricsStore;
  /** A folder for other files of the test. */
  readonly folder: string;
  /** Closes the store and removes the folder. */
  drop(): Promise<void>;
}

/** Creates the store. */
export async function createTestMetricsStore(): Promise<TestMetricsStore> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-metrics-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  const store = await madeOrRemoved(() => openMetricsStore({ url: null, path: join(folder, 'store') }), remove);
  return {
    store,
    folder,
    async drop() {
      await store.close();
      await remove();
    },
  };
}
