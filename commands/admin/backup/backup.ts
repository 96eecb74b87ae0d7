/** `npm run admin -- backup`: copies what a new machine needs, except the keys (docs/operations/backup.md). */
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { errorCode, isMissingFile } from '../../../core/caught-error.ts';
import { archivedCluster } from '../../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { copyCluster } from '../../../subgraphs/shared/postgres/embedded/physical-copy.ts';
import type { Configuration } from '../../../main/configuration.ts';
import { migrationStatus } from '../../../subgraphs/shared/postgres/schema/migrations.ts';
import { withAdminUrl, withOneConnection } from '../admin-database.ts';
import { readArguments, type AdminCommand } from '../command.ts';
import { filesOf, keyLine, writeManifest, type Manifest } from './manifest.ts';
import { dumpMetrics, metricsPart } from './metrics-copy.ts';
import { neededKeys } from './needed-keys.ts';
import { dumpPostgres } from './postgres-dump.ts';
import { prune } from './retention.ts';

/** The folder of the physical copy in a backup. */
const BASE = 'base';

/** The help text of `backup`. */
export const BACKUP_USAGE = `npm run admin -- backup --to FOLDER [--keep-days N] [--keep-metrics-days N]
    Backs up the database, and the embedded metrics store, into a new folder, while the control plane runs. With the
    options it then removes the backups beside FOLDER that are older, or only their measurements.`;

/** Reads a number of days of at least 1; null where the option is not given. */
function readDays(option: string, given: string | undefined): number | null {
  if (given === undefined) return null;
  if (!/^[1-9]\d{0,4}$/.test(given)) throw new Error(`--${option} must be a number of days, 1 or more.`);
  return Number(given);
}

/** Creates the folder of a new backup. Throws an Error where there is something in it. */
async function newFolder(path: string): Promise<void> {
  let entries: string[] = [];
  try {
    entries = await readdir(path);
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') throw new Error(`${path} is not a folder.`, { cause: error });
    if (!isMissingFile(error)) throw error;
  }
  if (entries.length > 0) throw new Error(`${path} is not empty: a backup needs a folder of its own.`);
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/**
 * Gives the folder of the embedded server's files, where its write-ahead log is archived, and the archive.
 *
 * @throws Error where the settings name an archive and the running server does not use it
 */
async function archiving(
  { databaseUrl, dataDir, walArchive }: Configuration,
  url: string,
): Promise<{ readonly cluster: string; readonly archive: string } | null> {
  if (databaseUrl !== null || walArchive === null) return null;
  const cluster = await archivedCluster(dataDir, url);
  if (cluster === null)
    throw new Error(
      'FLEETFLAG_WAL_ARCHIVE is set, but the running control plane does not archive its log: restart it with this setting.',
    );
  return { cluster, archive: resolve(walArchive) };
}

/** Runs `backup`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const backupCommand: AdminCommand = async (args, configuration, output) => {
  const { to, keepDays, keepMetricsDays } = readArguments(BACKUP_USAGE, () => {
    const options = {
      to: { type: 'string' },
      'keep-days': { type: 'string' },
      'keep-metrics-days': { type: 'string' },
    } as const;
    const { values } = parseArgs({ args: [...args], options });
    if (values.to === undefined || values.to === '') throw new Error('--to must name a folder.');
    return {
      to: resolve(values.to),
      keepDays: readDays('keep-days', values['keep-days']),
      keepMetricsDays: readDays('keep-metrics-days', values['keep-metrics-days']),
    };
  });
  const progress = (line: string) => output.err(line);
  const manifest = await withAdminUrl(configuration, output, async (url) => {
    const { applied } = await migrationStatus({ url });
    if (applied.length === 0) throw new Error('The database is empty: there is nothing to back up.');
    const archived = await archiving(configuration, url);
    await newFolder(to);
    const dumped = await dumpPostgres(url, to, progress);
    let base: Manifest['base'] = null;
    if (archived !== null) {
      progress('Copying the files for a restore to a point in time.');
      const endedAt = await copyCluster(url, archived.cluster, join(to, BASE));
      base = { folder: BASE, endedAt: endedAt.toISOString(), archive: archived.archive };
    }
    const part = metricsPart(configuration);
    if (part.metricsLeftOut === null) {
      progress('Copying the measurements.');
      await dumpMetrics(configuration, to);
    } else progress(part.metricsLeftOut);
    const keys = await withOneConnection(url, (prisma) => neededKeys(prisma, configuration));
    progress('Computing the checksums.');
    const files = await filesOf(to);
    return {
      ...{ fleetflagBackup: 1 as const, takenAt: dumped.takenAt, base, keys, files, ...part },
      postgres: { ...dumped.postgres, migrations: [...applied] },
    };
  });
  await writeManifest(to, manifest);
  await prune(to, { keepDays, keepMetricsDays }, progress);
  for (const key of manifest.keys) output.err(keyLine('Not in the backup', key));
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  output.out(`${to}: ${manifest.files.length} files, ${bytes} bytes, as of ${manifest.takenAt}.`);
  return 0;
};
