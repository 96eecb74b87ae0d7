/**
 * The archive of the embedded server's write-ahead log (WAL), from which a physical copy is brought to any moment after
 * it. Source: PostgreSQL 15's manual, "Continuous Archiving and Point-in-Time Recovery".
 */
import { accessSync, chmodSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { endianness } from 'node:os';
import { join, resolve } from 'node:path';
import { makeDataFolder } from './data-folder.ts';
import { ownFolder, reachable, type ServerAccount } from './embedded-place.ts';

/** Seconds after which a segment that is not full is archived too: what the loss of the machine can cost. */
const ARCHIVE_TIMEOUT_SECONDS = 60;

/**
 * Puts the path of a file in a folder into a command of the server's shell, in which `%` has a meaning of its own.
 *
 * @param name what the server puts in place of it, such as `%f`
 */
const inCommand = (folder: string, name: string) =>
  `'${folder.replaceAll("'", "'\\''").replaceAll('%', '%%')}/${name}'`;

/**
 * Gives the folder of a cluster's segments in the archive. Each cluster has one of its own: a restored one begins to
 * count its segments again. Source: PostgreSQL 15, src/include/catalog/pg_control.h, whose first member is the system
 * identifier.
 */
function folderOf(archive: string, cluster: string): string {
  const control = readFileSync(join(cluster, 'global', 'pg_control'));
  const identifier = endianness() === 'LE' ? control.readBigUInt64LE(0) : control.readBigUInt64BE(0);
  return join(resolve(archive), String(identifier));
}

/**
 * Makes the cluster's folder in the archive, for the server's account, and gives the settings that copy each segment
 * there.
 *
 * @throws Error that names the folder where the server's account cannot reach or write it
 */
export function archivingTo(
  archive: string,
  cluster: string,
  account: ServerAccount,
): Readonly<Record<string, string>> {
  const path = folderOf(archive, cluster);
  if (!existsSync(path)) {
    // Others may only pass through it.
    if (!existsSync(archive)) makeArchive(archive);
    ownFolder(path, account);
  }
  if (account.other ? statSync(path).uid !== account.uid || !reachable(path, account) : !isWritable(path))
    throw new Error(
      `The WAL archive ${path} cannot be used: PostgreSQL runs as user id ${account.uid}, which must own the folder and be able to reach it. Choose another folder in FLEETFLAG_WAL_ARCHIVE.`,
    );
  const target = inCommand(path, '%f');
  const draft = inCommand(path, '%f.part');
  return {
    archive_mode: 'on',
    archive_timeout: `${ARCHIVE_TIMEOUT_SECONDS}s`,
    // A segment appears whole or not at all. One that is there already is the same one, archived before a crash.
    archive_command: `if test -f ${target}; then cmp -s '%p' ${target}; else cp '%p' ${draft} && sync ${draft} && mv ${draft} ${target}; fi`,
  };
}

/** Makes the archive itself: the server's account, which may be another one, passes through it. */
function makeArchive(archive: string): void {
  makeDataFolder(archive);
  chmodSync(archive, 0o711);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The form that the setting takes before the server has read its names of zones. */
const timeOf = (moment: Date) => moment.toISOString().replace('T', ' ').replace('Z', '+00');

/**
 * Gives the settings by which a physical copy is brought forward.
 *
 * @param cluster the copy's files
 * @param until the moment; null for as far as the archive goes
 */
export function recoveringFrom(archive: string, cluster: string, until: Date | null): Readonly<Record<string, string>> {
  return {
    restore_command: `cp ${inCommand(folderOf(archive, cluster), '%f')} '%p'`,
    recovery_target_timeline: 'latest',
    ...(until !== null && { recovery_target_time: timeOf(until), recovery_target_action: 'promote' }),
    // Nobody may read a state in between.
    hot_standby: 'off',
  };
}
