/** Fills an empty database from a backup. The rows come in one transaction: all of them, or none. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { is, readRows } from '../../../core/json/shape.ts';
import { deployMigrations, migrationStatus } from '../../../subgraphs/shared/postgres/schema/migrations.ts';
import type { BackupTable, Manifest } from './manifest.ts';
import { quoted, tablesInOrder } from './postgres-tables.ts';

/** The tables that a control plane fills. Where one of them has rows, a database is in use. */
const FILLED_TABLES = ['users', 'flags', 'vehicles', 'audit_logs'] as const;

/**
 * Brings the database to the schema of the backup, fills it, and then applies the migrations that came later.
 *
 * @param progress gets a line for each table
 * @throws Error, with nothing changed but the empty tables, where the database has rows, where the backup is of a newer
 * FleetFlag, or where a file of the backup does not fit
 */
export async function loadPostgres(
  url: string,
  folder: string,
  { postgres }: Manifest,
  progress: (line: string) => void,
): Promise<void> {
  await refuseOthers(url, postgres.migrations);
  await deployMigrations({ url, only: postgres.migrations });
  const client = new Client({ connectionString: url, application_name: 'fleetflag restore' });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query('SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0');
    await refuseRows(client);
    await emptyTables(client);
    for (const name of postgres.partitions)
      await client.query("SELECT create_audit_log_partition_of(to_date(right($1, 7), 'YYYY_MM'))", [name]);
    for (const table of postgres.tables) {
      await loadTable(client, folder, table);
      progress(`${table.name}: ${table.rows} rows.`);
    }
    for (const { name, value } of postgres.sequences)
      await client.query('SELECT setval($1::regclass, $2::bigint)', [quoted(name), value]);
    await client.query('COMMIT');
    await client.query('ANALYZE');
  } finally {
    // Where something failed, this rolls back the transaction.
    await client.end();
  }
  const later = await deployMigrations({ url });
  if (later.length > 0) progress(`Applied ${later.length} migrations that came after the backup.`);
}

/**
 * Refuses a database that is not empty and not of this backup's schema, and a backup that this FleetFlag cannot read.
 */
async function refuseOthers(url: string, migrations: readonly string[]): Promise<void> {
  const { applied, pending, unknown } = await migrationStatus({ url });
  const known = new Set([...applied, ...pending]);
  const newer = migrations.filter((name) => !known.has(name));
  if (newer.length > 0)
    throw new Error(
      `The backup is of a newer FleetFlag: this one does not know the migrations ${newer.join(', ')}. Restore it with the version that made it.`,
    );
  const beyond = [...applied, ...unknown].filter((name) => !migrations.includes(name));
  if (beyond.length > 0)
    throw new Error(
      `The database is not empty: it has had migrations that the backup has not (${beyond.join(', ')}). Restore into an empty database or data folder.`,
    );
}

async function refuseRows(client: Client): Promise<void> {
  for (const table of FILLED_TABLES) {
    const { rows } = await client.query(`SELECT EXISTS (SELECT FROM ${quoted(table)}) AS found`);
    if (readRows({ found: is.boolean }, rows, 'The query for rows')[0]!.found)
      throw new Error(
        `The database is not empty: ${table} has rows. Nothing was changed. Restore into an empty database or data folder.`,
      );
  }
}

/** Removes the rows that migrations have written, such as the environments: the backup has them. */
async function emptyTables(client: Client): Promise<void> {
  for (const { name } of (await tablesInOrder(client)).reverse()) await client.query(`DELETE FROM ${quoted(name)}`);
}

async function loadTable(client: Client, folder: string, table: BackupTable): Promise<void> {
  if (table.detachedFrom !== null)
    await client.query(`CREATE TABLE ${quoted(table.name)} (LIKE ${quoted(table.detachedFrom)} INCLUDING ALL)`);
  const columns = table.columns.map(quoted).join(', ');
  const target = client.query(copyFrom(`COPY ${quoted(table.name)} (${columns}) FROM STDIN`));
  await pipeline(createReadStream(join(folder, ...table.file.split('/'))), createGunzip(), target);
  if (target.rowCount !== table.rows)
    throw new Error(`${table.file} has ${target.rowCount} rows; the backup's manifest says ${table.rows}.`);
}
