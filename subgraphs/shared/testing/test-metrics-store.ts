/**
 * A metrics store for a test: the real engine in this process, in a folder that is deleted with it, or a database of
 * its own on the server of `TEST_CLICKHOUSE_URL`.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { madeOrRemoved } from '../../../core/testing/made-or-removed.ts';
import { openMetricsStore, type MetricsStore } from '../stores/metrics-store.ts';
import { databaseUrl } from './test-server.ts';

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
  const { store, drop } = await madeOrRemoved(() => openStore(folder), remove);
  return {
    store,
    folder,
    async drop() {
      await drop();
      await remove();
    },
  };
}

async function openStore(folder: string): Promise<Pick<TestMetricsStore, 'store' | 'drop'>> {
  const server = process.env['TEST_CLICKHOUSE_URL'];
  if (server === undefined || server === '') {
    const store = await openMetricsStore({ url: null, path: join(folder, 'store') });
    return { store, drop: () => store.close() };
  }
  const database = await createMetricsDatabase(server, `fleetflag_test_${randomBytes(6).toString('hex')}`);
  const store = await openMetricsStore({ url: database.url, path: '' });
  return {
    store,
    async drop() {
      await store.close();
      await database.drop();
    },
  };
}

/** A database on a ClickHouse server. */
export interface MetricsDatabase {
  readonly url: string;
  /** Removes it with all of its rows. */
  drop(): Promise<void>;
}

/** Creates a database on the ClickHouse server of an address. */
export async function createMetricsDatabase(server: string, name: string): Promise<MetricsDatabase> {
  const run = async (query: string) => {
    const store = await openMetricsStore({ url: server, path: '' });
    try {
      await store.client.command({ query });
    } finally {
      await store.close();
    }
  };
  await run(`CREATE DATABASE ${name}`);
  return { url: databaseUrl(server, name), drop: () => run(`DROP DATABASE ${name} SYNC`) };
}
