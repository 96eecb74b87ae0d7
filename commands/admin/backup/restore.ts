/** `npm run admin -- restore`: fills an empty machine from a backup (docs/operations/backup.md). */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkIntegrity } from '../../../subgraphs/audit/log/integrity.ts';
import {
  findEmbeddedPostgres,
  recoverEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../../../subgraphs/shared/postgres/schema/migrations.ts';
import type { Configuration } from '../../../main/configuration.ts';
import { withOneConnection } from '../admin-database.ts';
import { readArguments, type AdminCommand, type Output } from '../command.ts';
import { faultsOf, keyLine, readBackupFolder, readBackupManifest, type Manifest } from './manifest.ts';
import { loadMetrics, metricsLeftOut } from './metrics-copy.ts';
import { loadPostgres } from './postgres-load.ts';

/** The help text of `restore`. */
export const RESTORE_USAGE = `npm run admin -- restore --from FOLDER [--until TIME|latest [--wal FOLDER]]
    Fills an empty data folder, or the empty database of DATABASE_URL, from a backup. Nothing may run on them meanwhile.
    With --until it brings an embedded database forward to that time (ISO 8601 with its zone), or as far as the archived
    write-ahead log goes; --wal names the archive where it is not where the backup says.
    Put the keys back that the backup names, start the control plane, and run advance-revision for each environment.`;

/** Runs `restore`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const restoreCommand: AdminCommand = async (args, configuration, output) => {
  const { from, until, wal } = readArguments(RESTORE_USAGE, () => {
    const options = { from: { type: 'string' }, until: { type: 'string' }, wal: { type: 'string' } } as const;
    const { values } = parseArgs({ args: [...args], options });
    const folder = readBackupFolder(values.from);
    if (values.wal !== undefined && values.until === undefined) throw new Error('--wal requires --until.');
    return { from: folder, until: readUntil(values.until), wal: values.wal };
  });
  const manifest = await readBackupManifest(from);
  const base = until === null ? null : baseFor(manifest, until, configuration);
  const faults = await faultsOf(from, manifest, output.err);
  if (faults.length > 0) {
    for (const fault of faults) output.err(fault);
    throw new Error(`The backup is damaged. Nothing was changed; restore another one.`);
  }
  if (base !== null) {
    output.err('Replaying the archived log on the copy.');
    const moment = until === 'latest' ? null : until;
    await recoverEmbeddedPostgres(
      { dataDir: configuration.dataDir, log: output.err },
      join(from, base.folder),
      wal ?? base.archive,
      moment,
    );
  }
  const { checked, intact } = await withDatabase(configuration, output, async (url) => {
    if (base === null) await loadPostgres(url, from, manifest, output.err);
    else await deployMigrations({ url });
    const integrity = await withOneConnection(url, (prisma) => checkIntegrity(prisma, { from: null, to: null }));
    if (!integrity.intact)
      output.err(
        `The audit log's chain is broken, as it was when the backup was taken: ${integrity.fault} Everything was restored.`,
      );
    return integrity;
  });
  if (manifest.metrics === null) output.err(manifest.metricsLeftOut ?? 'The backup has no measurements.');
  else {
    const leftOut = metricsLeftOut(configuration);
    if (leftOut !== null) output.err(`The measurements of the backup are left out. ${leftOut}`);
    else {
      output.err('Restoring the measurements.');
      await loadMetrics(configuration, from);
    }
  }
  for (const key of manifest.keys) output.err(keyLine('Put back', key));
  const moment =
    until === null ? manifest.takenAt : until === 'latest' ? 'the end of the archive' : until.toISOString();
  output.out(
    `Restored the state of ${moment}: ${checked} audit entries${intact ? ', all checked' : ' up to the broken one'}.`,
  );
  return 0;
};

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

function readUntil(given: string | undefined): Date | 'latest' | null {
  if (given === undefined) return null;
  if (given === 'latest') return 'latest';
  const time = new Date(given);
  if (!ISO_TIME.test(given) || Number.isNaN(time.getTime()))
    throw new Error('--until must be a time in ISO 8601 with its zone, such as 2026-11-28T03:00:00Z, or latest.');
  return time;
}

/** Gives the physical copy from which the moment can be reached. */
function baseFor(
  { base }: Manifest,
  until: Date | 'latest',
  { databaseUrl }: Configuration,
): NonNullable<Manifest['base']> {
  if (databaseUrl !== null)
    throw new Error(
      '--until is for the embedded database: restore a server to a point in time by its own means, without this command (docs/operations/backup.md).',
    );
  if (base === null)
    throw new Error(
      'The backup cannot be brought forward: when it was taken, no write-ahead log was archived (FLEETFLAG_WAL_ARCHIVE).',
    );
  if (until !== 'latest' && until.getTime() < Date.parse(base.endedAt))
    throw new Error(`The backup ended at ${base.endedAt}, after the time of --until: take an earlier backup.`);
  return base;
}

/** Calls `use` with the database to fill: that of DATABASE_URL, or the embedded one, made where there is none. */
async function withDatabase<T>(
  { databaseUrl, dataDir }: Configuration,
  { err }: Output,
  use: (url: string) => Promise<T>,
): Promise<T> {
  if (databaseUrl !== null) return use(databaseUrl);
  if ((await findEmbeddedPostgres(dataDir)) !== null)
    throw new Error(`A control plane runs on ${resolve(dataDir)}. Stop it, and restore into an empty data folder.`);
  const server = await startEmbeddedPostgres({ dataDir, log: err });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
  }
}
