/** `npm run admin -- verify-backup`: checks that a backup is whole and unchanged, without a database. */
import { parseArgs } from 'node:util';
import { readArguments, type AdminCommand } from '../command.ts';
import { faultsOf, readBackupFolder, readBackupManifest } from './manifest.ts';

/** The help text of `verify-backup`. */
export const VERIFY_BACKUP_USAGE = `npm run admin -- verify-backup --from FOLDER
    Reads every file of a backup and compares its checksum. Changes nothing.`;

/** Runs `verify-backup`. Exit codes: 0 whole, 1 damaged or no backup, 2 wrong usage. */
export const verifyBackupCommand: AdminCommand = async (args, _configuration, output) => {
  const from = readArguments(VERIFY_BACKUP_USAGE, () => {
    const { values } = parseArgs({ args: [...args], options: { from: { type: 'string' } } });
    return readBackupFolder(values.from);
  });
  const manifest = await readBackupManifest(from);
  const faults = await faultsOf(from, manifest, output.err);
  for (const fault of faults) output.err(fault);
  if (faults.length > 0) return 1;
  const rows = manifest.postgres.tables.reduce((sum, table) => sum + table.rows, 0);
  output.out(
    `${from} is whole: ${rows} rows as of ${manifest.takenAt}${manifest.metrics === null ? '' : ', with measurements'}.`,
  );
  return 0;
};
