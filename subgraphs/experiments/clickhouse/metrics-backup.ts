/**
 * Backs up and restores the tables of the metrics store by ClickHouse's own statements. Source: ClickHouse's manual,
 * "Backup and Restore in ClickHouse".
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ClickHouseClient } from '@clickhouse/client';
import { metricsBackupsFolder } from '../../shared/stores/metrics-store.ts';
import { is, readRows } from '../../../core/json/shape.ts';

/**
 * Writes all tables of the client's database to the destination, as they are at one moment.
 *
 * @param destination in ClickHouse's form, such as `File('/folder')` or `Disk('backups', 'monday')`
 * @throws ClickHouse's errors, among them that the server does not let backups be written there
 */
export async function backUpMetrics(client: ClickHouseClient, destination: string): Promise<void> {
  await client.command({
    query: `BACKUP DATABASE ${await databaseOf(client)} TO ${destination}`,
    // The whole store may take hours; the answer comes at the end.
    clickhouse_settings: { max_execution_time: 0 },
  });
}

/**
 * Fills an empty metrics store from a backup.
 *
 * @throws Error where the store has tables already; ClickHouse's errors
 */
export async function restoreMetrics(client: ClickHouseClient, destination: string): Promise<void> {
  const database = await databaseOf(client);
  const result = await client.query({
    query: 'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name',
    format: 'JSONEachRow',
  });
  const tables = readRows({ name: is.string }, await result.json(), 'A table of the metrics store');
  if (tables.length > 0)
    throw new Error(
      `The metrics store is not empty: it has the tables ${tables.map(({ name }) => name).join(', ')}. Restore into an empty one.`,
    );
  await client.command({
    // The definition of the database itself differs, at least in its id.
    query: `RESTORE DATABASE ${database} FROM ${destination} SETTINGS allow_different_database_def = 1`,
    clickhouse_settings: { max_execution_time: 0 },
  });
}

/**
 * Gives the path of a new folder where the embedded engine of `path` may write and read a backup. The folder itself is
 * not made: the engine does that.
 */
export async function stagingFolder(path: string): Promise<string> {
  const parent = resolve(metricsBackupsFolder(path));
  await mkdir(parent, { recursive: true, mode: 0o700 });
  return join(parent, randomUUID());
}

/**
 * Backs up the embedded engine of `path` into a folder of its own, which the caller has to remove. Gives the folder.
 */
export async function backUpEmbedded(client: ClickHouseClient, path: string): Promise<string> {
  const folder = await stagingFolder(path);
  try {
    await backUpMetrics(client, fileDestination(folder));
    return folder;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Puts a text into a statement. */
export const fileDestination = (path: string) => `File('${path.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}')`;

async function databaseOf(client: ClickHouseClient): Promise<string> {
  const result = await client.query({ query: 'SELECT currentDatabase() AS name', format: 'JSONEachRow' });
  const [row] = readRows({ name: is.string }, await result.json(), 'The database of the metrics store');
  return `\`${row!.name.replaceAll('`', '``')}\``;
}
