/**
 * The metrics store's tables as ordered migrations. ClickHouse has neither locks nor transactions across tables, so
 * each statement can be repeated (`IF NOT EXISTS`, or a condition): several processes may apply the same one at once,
 * and the next one finishes what was interrupted.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { is, readRows, type Shape } from '../../../core/json/shape.ts';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';

/** The state of a store compared with this checkout's migrations. Names are those of the folders, oldest first. */
export interface MetricsMigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied migrations whose up.sql has changed since. */
  readonly edited: readonly string[];
  /** Applied migrations that this checkout lacks: the store is newer. */
  readonly unknown: readonly string[];
}

/** The folder of this checkout's migrations. */
export const METRICS_MIGRATIONS_FOLDER = fileURLToPath(new URL('migrations', import.meta.url));

/** An append-only table of events, in order; the newest row of a name says whether it is applied. */
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
 * Applies the pending migrations, in order. Gives the names of those that this call applied. Throws an Error when an
 * applied one was changed, otherwise ClickHouse's errors.
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
      `Applied migrations of the metrics store were changed afterwards: ${edited.map(({ name }) => name).join(', ')}. Restore their up.sql and put the change into a new migration.`,
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

/** Compares the store with the migrations, without changing it. */
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

/** Reverts the newest `count` applied migrations, newest first, with all data in their tables. Gives their names. */
export async function rollBackMetricsMigrations(
  client: ClickHouseClient,
  count: number,
  folder = METRICS_MIGRATIONS_FOLDER,
): Promise<readonly string[]> {
  const newest = [...(await appliedChecksums(client)).keys()].reverse().slice(0, count);
  for (const name of newest) {
    const script = await readFile(join(folder, name, 'down.sql'), 'utf8').catch(() => {
      throw new Error(`${name} has no down.sql: it cannot be rolled back.`);
    });
    await run(client, script);
    await record(client, name, '');
  }
  return newest;
}

/** The condition of a statement: a comment in the line before it, with a query that gives a row where it is to run. */
const CONDITION = /^\s*-- only if: (.*)$/m;

/** Keeps a connection alive while a statement copies a table: the client gives up on one that is silent for 30 s. */
const PROGRESS: ClickHouseSettings = { send_progress_in_http_headers: 1, http_headers_progress_interval_ms: '20000' };

/**
 * Runs a script statement by statement, because ClickHouse takes one a request. A `;` ends a statement only at the end
 * of a line. What `IF EXISTS` cannot say is said by a line `-- only if: SELECT …` before the statement.
 */
async function run(client: ClickHouseClient, script: string): Promise<void> {
  for (const query of script.split(/;\s*$/m)) {
    if (query.replace(/^\s*--.*$/gm, '').trim() !== '') await runStatement(client, query);
  }
}

async function runStatement(client: ClickHouseClient, query: string): Promise<void> {
  const condition = CONDITION.exec(query)?.[1];
  const due = async () => condition === undefined || (await countRows(client, condition)) > 0;
  if (!(await due())) return;
  try {
    await client.command({ query, clickhouse_settings: PROGRESS });
  } catch (error) {
    // Another process has done it in the meantime.
    if (condition === undefined || (await due())) throw error;
  }
}

async function countRows(client: ClickHouseClient, query: string): Promise<number> {
  return (await (await client.query({ query, format: 'JSONEachRow' })).json()).length;
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

/** Reads the checksums of the applied migrations by name, oldest name first. */
async function appliedChecksums(client: ClickHouseClient): Promise<Map<string, string>> {
  const rows = async <const S extends Shape>(columns: S, query: string) =>
    readRows(columns, await (await client.query({ query, format: 'JSONEachRow' })).json(), 'A row of ClickHouse');
  const [{ found } = { found: 0 }] = await rows(
    { found: is.number },
    "SELECT toUInt8(count()) AS found FROM system.tables WHERE database = currentDatabase() AND name = 'applied_migrations'",
  );
  if (found === 0) return new Map();
  const applied = await rows(
    { name: is.string, last: is.string },
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
