import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import {
  METRICS_MIGRATIONS_FOLDER,
  deployMetricsMigrations,
  metricsMigrationStatus,
  rollBackMetricsMigrations,
} from './migrations.ts';

const [ROWS, HOURS] = ['20261124005000_metric_rows', '20261124005100_metric_hours'] as const;

let own: TestMetricsStore;
let migrations: string;
let store: MetricsStore;

beforeEach(async () => {
  own = await createTestMetricsStore();
  migrations = join(own.folder, 'migrations');
  cpSync(METRICS_MIGRATIONS_FOLDER, migrations, { recursive: true });
  store = own.store;
});

afterEach(() => own.drop());

const tables = async () =>
  (
    await (
      await store.client.query({
        query:
          "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'metric%' ORDER BY name",
        format: 'JSONEachRow',
      })
    ).json<{ name: string }>()
  ).map(({ name }) => name);

test('are applied in order, once, and reverted newest first', async () => {
  expect(await metricsMigrationStatus(store.client)).toEqual({
    applied: [],
    pending: [ROWS, HOURS],
    edited: [],
    unknown: [],
  });
  expect(await deployMetricsMigrations(store.client)).toEqual([ROWS, HOURS]);
  expect(await tables()).toEqual(['metric_hours', 'metric_hours_of_rows', 'metric_rows']);
  expect(await deployMetricsMigrations(store.client)).toEqual([]);
  expect(await rollBackMetricsMigrations(store.client, 1)).toEqual([HOURS]);
  expect(await tables()).toEqual(['metric_rows']);
  expect(await metricsMigrationStatus(store.client)).toEqual({
    applied: [ROWS],
    pending: [HOURS],
    edited: [],
    unknown: [],
  });
  expect(await rollBackMetricsMigrations(store.client, 9)).toEqual([ROWS]);
  expect(await deployMetricsMigrations(store.client)).toEqual([ROWS, HOURS]);
});

test('that several processes apply at once, or that were interrupted, end up as if applied once', async () => {
  await Promise.all(Array.from({ length: 4 }, () => deployMetricsMigrations(store.client)));
  // Interrupted between the statements of a migration: its table exists, its view and its record do not.
  await store.client.command({ query: 'DROP VIEW metric_hours_of_rows' });
  await store.client.command({
    query: `ALTER TABLE applied_migrations DELETE WHERE name = '${HOURS}' SETTINGS mutations_sync = 1`,
  });
  await Promise.all(Array.from({ length: 2 }, () => deployMetricsMigrations(store.client)));
  expect(await metricsMigrationStatus(store.client)).toEqual({
    applied: [ROWS, HOURS],
    pending: [],
    edited: [],
    unknown: [],
  });
  expect(await tables()).toEqual(['metric_hours', 'metric_hours_of_rows', 'metric_rows']);
});

test('that changed after they were applied are named, and nothing is applied', async () => {
  await deployMetricsMigrations(store.client, migrations);
  writeFileSync(
    join(migrations, ROWS, 'up.sql'),
    'CREATE TABLE IF NOT EXISTS metric_other (a UInt8) ENGINE = MergeTree ORDER BY a;\n',
  );
  mkdirSync(join(migrations, '20991231000000_later'));
  writeFileSync(
    join(migrations, '20991231000000_later', 'up.sql'),
    'CREATE TABLE IF NOT EXISTS metric_later (a UInt8) ENGINE = MergeTree ORDER BY a;\n',
  );
  expect(await metricsMigrationStatus(store.client, migrations)).toMatchObject({
    edited: [ROWS],
    pending: ['20991231000000_later'],
  });
  await expect(deployMetricsMigrations(store.client, migrations)).rejects.toThrow(ROWS);
  expect(await tables()).not.toContain('metric_later');
  rmSync(join(migrations, HOURS), { recursive: true });
  expect(await metricsMigrationStatus(store.client, migrations)).toMatchObject({ unknown: [HOURS] });
  await expect(rollBackMetricsMigrations(store.client, 1, migrations)).rejects.toThrow('has no down.sql');
});
