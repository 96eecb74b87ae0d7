/**
 * Copies the rows of all tables to files, as they are at one moment, while the control plane runs. The embedded
 * PostgreSQL brings no pg_dump; this needs nothing but a connection, so it is the same for servers.
 */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { Client } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { is, readRows } from '../../../core/json/shape.ts';
import type { BackupTable, Manifest } from './manifest.ts';
import { quoted, tablesInOrder, type StoredTable } from './postgres-tables.ts';

const FOLDER = 'postgres';
/**
 * Rows of audit entries and definitions are mostly names; a higher level takes three times as long for a tenth less.
 */
const GZIP_LEVEL = 1;

interface Dump {
  /** ISO 8601. */
  readonly takenAt: string;
  readonly postgres: Omit<Manifest['postgres'], 'migrations'>;
}

/**
 * Writes one file for each table into `postgres/` of the folder, in the text format of COPY, compressed.
 *
 * @param progress gets a line for each table
 */
export async function dumpPostgres(url: string, folder: string, progress: (line: string) => void): Promise<Dump> {
  const client = new Client({ connectionString: url, application_name: 'fleetflag backup' });
  client.on('error', () => {});
  await client.connect();
  try {
    // One snapshot for all tables. A long copy must not end by the time limits of short statements.
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query('SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0');
    const { rows } = await client.query('SELECT now() AS "takenAt"');
    const [moment] = readRows({ takenAt: is.date }, rows, 'The time of the snapshot');
    await mkdir(join(folder, FOLDER), { mode: 0o700 });
    const tables: BackupTable[] = [];
    for (const table of await tablesInOrder(client)) {
      const dumped = await dumpTable(client, table, folder);
      progress(`${table.name}: ${dumped.rows} rows.`);
      tables.push(dumped);
    }
    const [partitions, sequences] = [await partitionsOf(client), await sequencesOf(client)];
    await client.query('COMMIT');
    return { takenAt: moment!.takenAt.toISOString(), postgres: { tables, partitions, sequences } };
  } finally {
    await client.end();
  }
}

async function dumpTable(client: Client, { name, columns }: StoredTable, folder: string): Promise<BackupTable> {
  const file = `${FOLDER}/${name}.copy.gz`;
  // COPY of a partitioned table's name would leave out the partitions.
  const source = client.query(copyTo(`COPY (SELECT ${columns.map(quoted).join(', ')} FROM ${quoted(name)}) TO STDOUT`));
  await pipeline(source, createGzip({ level: GZIP_LEVEL }), createWriteStream(join(folder, file), { mode: 0o600 }));
  return { name, columns: [...columns], rows: source.rowCount, file, detachedFrom: parentOf(name) };
}

/** A month of the audit log that was detached after seven years is a table of its own, which no migration makes. */
const parentOf = (name: string) => /^(audit_logs)_\d{4}_\d{2}$/.exec(name)?.[1] ?? null;

async function partitionsOf(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1",
  );
  return readRows({ name: is.string }, rows, 'A partition of the catalogue').map(({ name }) => name);
}

async function sequencesOf(client: Client): Promise<Manifest['postgres']['sequences']> {
  const { rows } = await client.query(
    `SELECT sequencename AS name, last_value::text AS value FROM pg_sequences
     WHERE schemaname = current_schema() AND last_value IS NOT NULL ORDER BY sequencename`,
  );
  return readRows({ name: is.string, value: is.string }, rows, 'A sequence of the catalogue');
}
