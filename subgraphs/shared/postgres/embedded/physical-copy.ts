/**
 * A physical copy of the embedded server's files, taken while it runs, and put back. Alone it is of no use: it needs
 * the archived write-ahead log of the time in which it was taken. Source: PostgreSQL 15's manual, "Making a Base Backup
 * Using the Low Level API".
 */
import { chown, copyFile, lchown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { is, readRows } from '../../../../core/json/shape.ts';
import { isMissingFile } from '../../../../core/caught-error.ts';
import type { ServerAccount } from './embedded-place.ts';

/** Folders whose contents belong to the running server, or are made again at its start. The manual lists them. */
const CONTENTS_LEFT_OUT = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
]);
const FILES_LEFT_OUT = /^(?:postmaster\.(?:pid|opts)|pg_internal\.init.*|pgsql_tmp.*|backup_label|recovery\.signal)$/;

/** The folders of a cluster that may be empty, and that a copy may therefore lack. */
const FOLDERS = [
  ...['pg_commit_ts', 'pg_dynshmem', 'pg_logical/mappings', 'pg_logical/snapshots', 'pg_notify', 'pg_replslot'],
  ...['pg_serial', 'pg_snapshots', 'pg_stat', 'pg_stat_tmp', 'pg_subtrans', 'pg_tblspc', 'pg_twophase'],
  'pg_wal/archive_status',
];

/**
 * Copies the cluster's files into a new folder. Resolves when the write-ahead log of the copy is archived; gives the
 * moment after which a recovery can stop.
 */
export async function copyCluster(url: string, cluster: string, to: string): Promise<Date> {
  const client = new Client({ connectionString: url, application_name: 'fleetflag backup' });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query('SET statement_timeout = 0');
    await client.query("SELECT pg_backup_start('fleetflag', true)");
    await copyFolder(cluster, to, '');
    // The copy takes no effect before the session that began it ends it, and it waits for the archive.
    const { rows } = await client.query('SELECT labelfile, clock_timestamp() AS "endedAt" FROM pg_backup_stop(true)');
    const [ended] = readRows({ labelfile: is.string, endedAt: is.date }, rows, 'The end of the copy');
    await writeFile(join(to, 'backup_label'), ended!.labelfile, { mode: 0o600 });
    return ended!.endedAt;
  } finally {
    await client.end();
  }
}

/** Copies a folder of a running cluster: files may change, and go, meanwhile. The log makes up for it. */
async function copyFolder(from: string, to: string, name: string): Promise<void> {
  await mkdir(join(to, name), { recursive: true, mode: 0o700 });
  for (const entry of await readdir(join(from, name), { withFileTypes: true })) {
    const path = join(name, entry.name);
    if (entry.isDirectory()) {
      if (CONTENTS_LEFT_OUT.has(path)) await mkdir(join(to, path), { mode: 0o700 });
      else await copyFolder(from, to, path);
    } else if (entry.isFile() && !FILES_LEFT_OUT.test(entry.name)) {
      await copyFile(join(from, path), join(to, path)).catch((error: unknown) => {
        if (!isMissingFile(error)) throw error;
      });
    }
  }
}

/** Puts a copy where a cluster is to be, for the server's account, so that its first start recovers. */
export async function placeCluster(from: string, cluster: string, account: ServerAccount): Promise<void> {
  await mkdir(cluster, { mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true, recursive: true })) {
    const name = join(entry.parentPath, entry.name).slice(from.length + 1);
    if (entry.isDirectory()) await mkdir(join(cluster, name), { recursive: true, mode: 0o700 });
    else {
      await mkdir(join(cluster, name, '..'), { recursive: true, mode: 0o700 });
      await copyFile(join(from, name), join(cluster, name));
    }
  }
  for (const name of FOLDERS) await mkdir(join(cluster, name), { recursive: true, mode: 0o700 });
  await writeFile(join(cluster, 'recovery.signal'), '', { mode: 0o600 });
  if (!account.other) return;
  await chown(cluster, account.uid, account.gid);
  for (const entry of await readdir(cluster, { withFileTypes: true, recursive: true }))
    await lchown(join(entry.parentPath, entry.name), account.uid, account.gid);
}
