/** Against the real engine, in a process of its own: one process can have one folder open. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { metricsBackupsFolder, openMetricsStore } from '../../shared/stores/metrics-store.ts';
import { backUpMetrics, fileDestination, restoreMetrics } from './metrics-backup.ts';
import { deployMetricsMigrations, metricsMigrationStatus } from './migrations.ts';

const folder = await mkdtemp(join(tmpdir(), 'fleetflag-metrics-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

test("what the store had when it was backed up is all that a restored one has, with this version's migrations", async () => {
  const path = join(folder, "it's here");
  const destination = fileDestination(join(metricsBackupsFolder(path), 'one'));
  const store = await openMetricsStore({ url: null, path });
  await deployMetricsMigrations(store.client);
  await store.client.command({ query: 'CREATE TABLE extra (a UInt32) ENGINE = MergeTree ORDER BY a' });
  await store.client.insert({ table: 'extra', values: [{ a: 1 }, { a: 2 }], format: 'JSONEachRow' });
  await backUpMetrics(store.client, destination);
  await expect(restoreMetrics(store.client, destination)).rejects.toThrow('is not empty');
  for (const { name } of await names(store)) await store.client.command({ query: `DROP TABLE IF EXISTS ${name} SYNC` });
  await restoreMetrics(store.client, destination);
  const result = await store.client.query({ query: 'SELECT sum(a) AS n FROM extra', format: 'JSONEachRow' });
  expect(await result.json()).toEqual([{ n: 3 }]);
  expect(await metricsMigrationStatus(store.client)).toMatchObject({ pending: [], edited: [], unknown: [] });
  await store.close();
});

async function names({ client }: Awaited<ReturnType<typeof openMetricsStore>>): Promise<{ name: string }[]> {
  const result = await client.query({
    query: 'SELECT name FROM system.tables WHERE database = currentDatabase()',
    format: 'JSONEachRow',
  });
  return result.json<{ name: string }>();
}
