import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { MetricsStore } from '../../shared/stores/metrics-store.ts';
import { createTestMetricsStore, type TestMetricsStore } from '../../shared/testing/test-metrics-store.ts';
import {
  METRICS_MIGRATIONS_FOLDER,
  deployMetricsMigrations,
  metricsMigrationStatus,
  rollBackMetricsMigrations,
} from './migrations.ts';

const [ROWS, HOURS, EXPOSURES, ARRIVALS] = [
  '20261124005000_metric_rows',
  '20261124005100_metric_hours',
  '20261128110000_exposures',
  '20261128130000_first_arrivals',
] as const;
const ALL = [ROWS, HOURS, EXPOSURES, ARRIVALS];
const TABLES = ['metric_hours', 'metric_hours_of_arrivals', 'metric_rows'];

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

test('the migrations are applied in order, once, and reverted newest first', async () => {
  expect(await metricsMigrationStatus(store.client)).toEqual({
    applied: [],
    pending: ALL,
    edited: [],
    unknown: [],
  });
  expect(await deployMetricsMigrations(store.client)).toEqual(ALL);
  expect(await tables()).toEqual(TABLES);
  expect(await deployMetricsMigrations(store.client)).toEqual([]);
  expect(await rollBackMetricsMigrations(store.client, 1)).toEqual([ARRIVALS]);
  expect(await tables()).toEqual(['metric_hours', 'metric_hours_of_rows', 'metric_rows']);
  expect(await rollBackMetricsMigrations(store.client, 2)).toEqual([EXPOSURES, HOURS]);
  expect(await tables()).toEqual(['metric_rows']);
  expect(await metricsMigrationStatus(store.client)).toEqual({
    applied: [ROWS],
    pending: [HOURS, EXPOSURES, ARRIVALS],
    edited: [],
    unknown: [],
  });
  expect(await rollBackMetricsMigrations(store.client, 9)).toEqual([ROWS]);
  expect(await deployMetricsMigrations(store.client)).toEqual(ALL);
});

/** Takes the record of a migration away, so that the next deployment runs it again. */
const forget = (name: string) =>
  store.client.command({
    query: `ALTER TABLE applied_migrations DELETE WHERE name = '${name}' SETTINGS mutations_sync = 1`,
  });

test('migrations that several processes apply at once, or that were interrupted, end up as if applied once', async () => {
  await Promise.all(Array.from({ length: 4 }, () => deployMetricsMigrations(store.client)));
  expect(await tables()).toEqual(TABLES);
  // Interrupted between the statements of migrations: tables exist, a view and the records do not.
  await store.client.command({ query: 'DROP VIEW metric_hours_of_arrivals' });
  await forget(HOURS);
  await forget(ARRIVALS);
  await Promise.all(Array.from({ length: 2 }, () => deployMetricsMigrations(store.client)));
  expect(await metricsMigrationStatus(store.client)).toEqual({ applied: ALL, pending: [], edited: [], unknown: [] });
  expect(await tables()).toEqual(TABLES);
});

describe('the migration to first arrivals', () => {
  const at = '2026-11-27 10:00:00.000';
  const rowOf = (vin: string, received: string, value = 2) => ({
    flag_key: 'f',
    metric: 'm',
    at,
    vin,
    batch_id: 'b',
    position: 0,
    variant: 'treatment',
    value,
    tags: '',
    received_at: received,
  });
  const insert = (...rows: readonly object[]) =>
    store.client.insert({ table: 'metric_rows', values: rows, format: 'JSONEachRow' });
  const shown = async (query: string) => (await store.client.query({ query, format: 'JSONEachRow' })).json();
  const rows = () => shown('SELECT vin, value, toString(received_at) AS received FROM metric_rows FINAL ORDER BY vin');
  const hours = () => shown('SELECT vin, rows, sum FROM metric_hours FINAL ORDER BY vin');
  const [EARLY, LATE] = ['2026-11-27 10:01:00.000', '2026-11-27 11:00:00.000'];
  const before = async () => {
    await deployMetricsMigrations(store.client);
    await rollBackMetricsMigrations(store.client, 1);
    await insert(rowOf('A', EARLY));
  };
  const copies = async () => {
    // A copy that arrives later, and a new vehicle: rows and hours of both are right.
    await insert(rowOf('A', LATE));
    await insert(rowOf('B', LATE));
    const found = [
      { vin: 'A', value: 2, received: EARLY },
      { vin: 'B', value: 2, received: LATE },
    ];
    expect(await rows()).toEqual(found);
    expect(await hours()).toEqual(['A', 'B'].map((vin) => ({ vin, rows: 1, sum: 2 })));
    await store.client.command({ query: 'OPTIMIZE TABLE metric_rows FINAL' });
    expect(await rows()).toEqual(found);
  };

  test('keeps what was measured before, and from then on the first copy of each measurement', async () => {
    await before();
    await Promise.all(Array.from({ length: 3 }, () => deployMetricsMigrations(store.client)));
    await copies();
    expect(await rollBackMetricsMigrations(store.client, 1)).toEqual([ARRIVALS]);
    expect(await rows()).toMatchObject([{ vin: 'A' }, { vin: 'B' }]);
    await insert(rowOf('C', LATE));
    expect(await hours()).toHaveLength(3);
  });

  test.each([
    ['after it had made the new table', 1],
    ['between the two names', 2],
    ['after the renaming, with rows that arrived since', 3],
    ['before it dropped the old table', 4],
  ])('is finished by the next one when it was interrupted %s', async (_, statements) => {
    await before();
    const script = readFileSync(join(METRICS_MIGRATIONS_FOLDER, ARRIVALS, 'up.sql'), 'utf8');
    const parts = script.split(/;\s*$/m).map((part) => part.replace(/^\s*--.*$/gm, '').trim());
    const copy = parts.find((part) => part.startsWith('INSERT INTO metric_rows'))!;
    const done = [
      parts[0]!,
      'RENAME TABLE metric_rows TO metric_rows_before',
      'RENAME TABLE metric_rows_by_arrival TO metric_rows',
      copy,
    ];
    for (const query of done.slice(0, statements)) await store.client.command({ query });
    const late = statements >= 3;
    if (late)
      await insert({ ...rowOf('D', LATE), received_at: new Date().toISOString().slice(0, 23).replace('T', ' ') });
    await deployMetricsMigrations(store.client);
    expect(await tables()).toEqual(TABLES);
    expect(await hours()).toEqual((late ? ['A', 'D'] : ['A']).map((vin) => ({ vin, rows: 1, sum: 2 })));
    await store.client.command({ query: "ALTER TABLE metric_rows DELETE WHERE vin = 'D' SETTINGS mutations_sync = 1" });
    await store.client.command({
      query: "ALTER TABLE metric_hours DELETE WHERE vin = 'D' SETTINGS mutations_sync = 1",
    });
    await copies();
  });
});

test('migrations that changed after they were applied are named, and nothing is applied', async () => {
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
  rmSync(join(migrations, ARRIVALS), { recursive: true });
  expect(await metricsMigrationStatus(store.client, migrations)).toMatchObject({ unknown: [ARRIVALS] });
  await expect(rollBackMetricsMigrations(store.client, 1, migrations)).rejects.toThrow('has no down.sql');
});
