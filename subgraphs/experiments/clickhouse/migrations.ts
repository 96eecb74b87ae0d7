/**
 * The metrics store's tables, as ordered migrations. ClickHouse has neither transactions over tables nor locks, so each
 * statement is written to be run again (`IF NOT EXISTS`): several processes may apply the same one at once, and one
 * that was cut off half-way is finished by the next.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClickHouseClient } from '@clickhouse/client';

/** How a store stands to the migrations of this checkout; names are those of the folders, oldest first. */
export interface MetricsMigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied, and their up.sql has been changed since. */
  readonly edited: readonly string[];
  /** Applied, and not in this checkout: the store is newer. */
  readonly unknown: readonly string[];
}

export const METRICS_MIGRATIONS_FOLDER = fileURLToPath(new URL('migrations', import.meta.url));

/** What happened, in order; the newest line of a name tells whether it is applied. Lines are only ever added. */
const LOG = `CREATE TABLE IF NOT EXISTS applied_migrations
(
    name     String,
    checksum String COMMENT 'SHA-256 of up.sql; empty when it was taken back',
    at       DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (name, at)`;

interface Migration {
  readonly name: string;
  readonly up: string;
  readonly checksum: string;
}

/**
 * Applies what is pending, in order. Gives the names of those that this call applied. Throws an Error when an applied
 * one was changed; else ClickHouse's.
 */
export async function deployMetricsMigrations(
  client: ClickHouseClient,
  folder = METRICS_MIGRATIONS_FOLDER,
): Promise<readonly string[]> {
  await client.command({ query: LOG });
  const applied = await appliedChecksums(client);
  const migrations = await readMigrations(folder);
  const edited = migrations.filter(({ name, checksum }) => (applied.get(name) ?? checksum) !== checksum);
  if (edited.length > 0) {
    throw new Error(
      `Applied migrations of the metrics store were changed afterwards: ${edited.map(({ name }) => name).join(', ')}. Restore their up.sql; a change goes into a new migration.`,
    );
  }
  const done: string[] = [];
  for (const { name, up, checksum } of migrations) {
    if (applied.has(name)) continue;
    await run(client, up);
    await record(client, name, checksum);
    done.push(name);
  }
  return done;
}

/** Tells how the store stands to the migrations, without changing it. */
export async function metricsMigrationStatus(
  client: ClickHouseClient,
  folder = METRICS_MIGRATIONS_FOLDER,
): Promise<MetricsMigrationStatus> {
  const applied = await appliedChecksums(client);
  const migrations = await readMigrations(folder);
  return {
    applied: [...applied.keys()],
    pending: migrations.flatMap(({ name }) => (applied.has(name) ? [] : [name])),
    edited: migrations.flatMap(({ name, checksum }) => ((applied.get(name) ?? checksum) === checksum ? [] : [name])),
    unknown: [...applied.keys()].filter((name) => !migrations.some((migration) => migration.name === name)),
  };
}

/**
 * Takes back the newest `count` applied migrations, newest first, with all that their tables hold. Gives their names.
 */
export async function rollBackMetricsMigrations(
  client: ClickHouseClient,
  count: number,
  folder = METRICS_MIGRATIONS_FOLDER,
): Promise<readonly string[]> {
  const newest = [...(await appliedChecksums(client)).keys()].reverse().slice(0, count);
  for (const name of newest) {
    const script = await readFile(join(folder, name, 'down.sql'), 'utf8').catch(() => {
      throw new Error(`${name} has no down.sql: it cannot be taken back.`);
    });
    await run(client, script);
    await record(client, name, '');
  }
  return newest;
}

/** ClickHouse takes one statement a request; a `;` ends one only at the end of a line. */
async function run(client: ClickHouseClient, script: string): Promise<void> {
  for (const query of script.split(/;\s*$/m)) {
    if (query.replace(/^\s*--.*$/gm, '').trim() !== '') await client.command({ query });
  }
}

async function record(client: ClickHouseClient, name: string, checksum: string): Promise<void> {
  await client.insert({
    table: 'applied_migrations',
    columns: ['name', 'checksum'],
    values: [{ name, checksum }],
    format: 'JSONEachRow',
    clickhouse_settings: { async_insert: 0 },
  });
}

/** The checksums of the applied migrations by name, oldest name first. */
async function appliedChecksums(client: ClickHouseClient): Promise<Map<string, string>> {
  const rows = async <T>(query: string) => (await client.query({ query, format: 'JSONEachRow' })).json<T>();
  const [{ found } = { found: 0 }] = await rows<{ found: number }>(
    "SELECT toUInt8(count()) AS found FROM system.tables WHERE database = currentDatabase() AND name = 'applied_migrations'",
  );
  if (found === 0) return new Map();
  const applied = await rows<{ name: string; last: string }>(
    "SELECT name, argMax(checksum, at) AS last FROM applied_migrations GROUP BY name HAVING last != '' ORDER BY name",
  );
  return new Map(applied.map(({ name, last }) => [name, last]));
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  return Promise.all(
    names.map(async (name) => {
      const up = await readFile(join(folder, name, 'up.sql'), 'utf8');
      return { name, up, checksum: createHash('sha256').update(up).digest('hex') };
    }),
  );
}
