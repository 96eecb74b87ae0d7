/**
 * The contents of a backup, `manifest.json` in its folder. It is written last: a folder without it is no backup. Every
 * other file of the folder stands in it with its size and its SHA-256.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorCode } from '../../../core/caught-error.ts';
import { parseJson } from '../../../core/json/json-value.ts';
import { is, type GuardedBy } from '../../../core/json/shape.ts';

const MANIFEST = 'manifest.json';

const isFile = is.shape({ path: is.string, bytes: is.number, sha256: is.string });
const isTable = is.shape({
  name: is.string,
  columns: is.listOf(is.string),
  rows: is.number,
  file: is.string,
  /** The partitioned table that this one once was a part of; null for all others. */
  detachedFrom: is.nullable(is.string),
});
const isManifest = is.shape({
  fleetflagBackup: is.oneOf([1]),
  /** ISO 8601: the moment of whose data the tables are. */
  takenAt: is.string,
  postgres: is.shape({
    migrations: is.listOf(is.string),
    tables: is.listOf(isTable),
    /** The partitions of the audit log, by name. */
    partitions: is.listOf(is.string),
    sequences: is.listOf(is.shape({ name: is.string, value: is.string })),
  }),
  /**
   * A physical copy of the embedded server, for a restore to a moment after `endedAt` (ISO 8601) from the archive of
   * its write-ahead log; null where none is archived.
   */
  base: is.nullable(is.shape({ folder: is.string, endedAt: is.string, archive: is.string })),
  /** The copy of the metrics store; null where it is left out, as `metricsLeftOut` says. */
  metrics: is.nullable(is.shape({ folder: is.string })),
  metricsLeftOut: is.nullable(is.string),
  /** The names of the keys that a new machine needs; never the keys themselves. */
  keys: is.listOf(is.shape({ name: is.string, why: is.string, identity: is.nullable(is.string) })),
  files: is.listOf(isFile),
});

/** A file of a backup. */
export type BackupFile = GuardedBy<typeof isFile>;
/** A table in a backup. */
export type BackupTable = GuardedBy<typeof isTable>;
/** The manifest of a backup. */
export type Manifest = GuardedBy<typeof isManifest>;

/** Computes a file's size and SHA-256 by reading it once. */
async function digestOf(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      hash.update(chunk);
      done();
    },
  });
  await pipeline(createReadStream(path), sink);
  return { bytes, sha256: hash.digest('hex') };
}

/** Gives all files below the folder but the manifest, with their digests. Paths are relative, with slashes. */
export async function filesOf(folder: string): Promise<BackupFile[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files: BackupFile[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path).split(sep).join('/');
    if (name !== MANIFEST) files.push({ path: name, ...(await digestOf(path)) });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Syncs every file of the backup to disk, and then gives the folder its manifest. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  for (const { path } of manifest.files) await syncFile(join(folder, ...path.split('/')));
  await rewriteManifest(folder, manifest);
}

/** Replaces the manifest in one step. */
export async function rewriteManifest(folder: string, manifest: Manifest): Promise<void> {
  const draft = join(folder, `${MANIFEST}.draft`);
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, join(folder, MANIFEST));
  await syncFile(folder);
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Reads a backup's manifest.
 *
 * @throws Error that names the folder where it is no whole backup, or one that this FleetFlag cannot read
 */
export async function readBackupManifest(folder: string): Promise<Manifest> {
  let text;
  try {
    text = await readFile(join(folder, MANIFEST), 'utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw error;
    const isFolder = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    throw new Error(
      isFolder
        ? `${folder} is no whole backup: it has no ${MANIFEST}, which is written last. The backup was interrupted, or this is another folder.`
        : `There is no folder ${folder}.`,
      { cause: error },
    );
  }
  let manifest: unknown;
  try {
    manifest = parseJson(text);
  } catch (error) {
    throw new Error(`${join(folder, MANIFEST)} is damaged: it is not JSON.`, { cause: error });
  }
  if (!isManifest(manifest))
    throw new Error(
      `${join(folder, MANIFEST)} is damaged, or of a newer FleetFlag: this one reads backups of version 1.`,
    );
  return manifest;
}

/** Gives a line for each file that is missing, changed, or not of the backup; none where all is as it was written. */
export async function faultsOf(
  folder: string,
  manifest: Manifest,
  progress: (line: string) => void,
): Promise<readonly string[]> {
  const faults: string[] = [];
  const present = new Map<string, BackupFile>();
  for (const file of await filesOf(folder)) present.set(file.path, file);
  for (const { path, bytes, sha256 } of manifest.files) {
    const found = present.get(path);
    present.delete(path);
    if (found === undefined) faults.push(`${path} is missing.`);
    else if (found.bytes !== bytes) faults.push(`${path} has ${found.bytes} bytes; ${bytes} were written.`);
    else if (found.sha256 !== sha256) faults.push(`${path} has changed since it was written.`);
  }
  for (const path of present.keys()) faults.push(`${path} does not belong to the backup.`);
  progress(`Checked ${manifest.files.length} files.`);
  return faults;
}

/**
 * Gives the line about a key that stands in no backup.
 *
 * @param verb what the line is about, such as `Put back`
 */
export const keyLine = (verb: string, { name, why, identity }: Manifest['keys'][number]) =>
  `${verb}: ${name}${identity === null ? '' : ` (${identity})`}. ${why}`;

/**
 * Reads the folder of a backup from a command line.
 *
 * @throws Error where the option is missing
 */
export function readBackupFolder(given: string | undefined): string {
  if (given === undefined || given === '') throw new Error('--from must name the folder of a backup.');
  return resolve(given);
}
