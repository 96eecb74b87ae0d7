import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { makeDataFolder } from './data-folder.ts';
import { errorCode } from '../../../../core/caught-error.ts';

/** The operating system account that runs the server. PostgreSQL refuses to run as root. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
  /** Whether the account differs from this process's. */
  readonly other: boolean;
}

/** The paths of the embedded server's files. */
export interface ServerPlace {
  /** The folder of everything else; owned by the server's account, mode 0700. */
  readonly folder: string;
  /** The cluster (PGDATA), inside `folder`. */
  readonly cluster: string;
  /** The server's log, inside `folder`. */
  readonly logFile: string;
}

/** The folders that root uses for files that another account must reach; the first usable one is taken. */
const SHARED_FOLDERS = ['/var/lib/fleetflag', '/var/tmp/fleetflag'];

/** The file in the data folder that records the place's path when the place is outside the data folder. */
const RECORD = 'postgresql.place';

/** Gives the server's account: this process's own, or `nobody` when this process runs as root. */
export function serverAccount(): ServerAccount {
  const uid = process.getuid?.() ?? -1;
  const gid = process.getgid?.() ?? -1;
  if (uid !== 0) return { uid, gid, other: false };
  const nobody = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody');
  return { uid: Number(nobody?.[2] ?? 65534), gid: Number(nobody?.[3] ?? 65534), other: true };
}

/**
 * Finds the place that belongs to the data folder. Gives null when it has none yet.
 *
 * @throws Error when the place belongs to another account
 */
export function findPlace(dataDir: string, account: ServerAccount): ServerPlace | null {
  const record = join(dataDir, RECORD);
  const folder = existsSync(record) ? readFileSync(record, 'utf8').trim() : join(resolve(dataDir), 'postgresql');
  if (!existsSync(folder)) return null;
  const owner = statSync(folder).uid;
  if (owner !== account.uid) {
    throw new Error(
      `The database in ${folder} belongs to user id ${owner}, but this process would run it as user id ${account.uid}. ` +
        'Start FleetFlag as the user who started it first, choose another data folder, or set DATABASE_URL.',
    );
  }
  return placeIn(folder);
}

/**
 * Creates the place: inside the data folder when the server's account can reach it, otherwise under a system folder.
 */
export function createPlace(dataDir: string, account: ServerAccount, log: (line: string) => void): ServerPlace {
  makeDataFolder(dataDir);
  if (reachable(dataDir, account)) {
    const folder = join(realpathSync(dataDir), 'postgresql');
    ownFolder(folder, account);
    return placeIn(folder);
  }
  const folder = join(sharedFolder(account), randomUUID());
  ownFolder(folder, account);
  // The record is written atomically: half a path would be followed for ever.
  const draft = join(dataDir, `${RECORD}.${process.pid}`);
  writeFileSync(draft, `${folder}\n`);
  renameSync(draft, join(dataDir, RECORD));
  log(`PostgreSQL runs as user id ${account.uid}, which cannot reach ${resolve(dataDir)}; its data are in ${folder}`);
  return placeIn(folder);
}

/** Deletes the place of a data folder with all its data, and the record of it. The server must not be running. */
export function deletePlace(dataDir: string): void {
  const place = findPlace(dataDir, serverAccount());
  if (place) rmSync(place.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  rmSync(join(dataDir, RECORD), { force: true });
}

/**
 * Gives the folder for the server's socket: the place itself, or a short folder under the temporary folder when the
 * path would be too long for a socket (108 bytes with the final zero on Linux, 104 on macOS).
 */
export function socketFolder(place: ServerPlace, account: ServerAccount): string {
  if (Buffer.byteLength(join(place.folder, '.s.PGSQL.5432')) < 104) return place.folder;
  const folder = mkdtempSync(join(tmpdir(), 'fleetflag-'));
  ownFolder(folder, account);
  return folder;
}

/** Removes a socket's folder if it lies under the temporary folder. */
export function removeSocketFolder(folder: string, place: ServerPlace): void {
  if (folder !== place.folder && dirname(folder) === tmpdir()) rmSync(folder, { recursive: true, force: true });
}

/** Gives a system folder that another account can reach; creates it if needed. */
export function sharedFolder(account: ServerAccount): string {
  for (const folder of SHARED_FOLDERS) {
    try {
      mkdirSync(folder, { mode: 0o711 });
      chmodSync(folder, 0o711);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') continue;
    }
    // If somebody else created the folder, they could replace what root puts there.
    if (statSync(folder).uid === process.getuid?.() && reachable(folder, account)) return folder;
  }
  throw new Error(
    `None of ${SHARED_FOLDERS.join(', ')} can be used for the embedded PostgreSQL. Set DATABASE_URL to a server, or start FleetFlag as an ordinary user.`,
  );
}

/** Checks whether the account may pass through the folder and all folders above it. */
export function reachable(path: string, account: ServerAccount): boolean {
  if (!account.other) return true;
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    const { mode, uid } = statSync(folder);
    if (!(mode & 0o001) && !(uid === account.uid && mode & 0o100)) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Makes a folder that belongs to the server's account alone. */
export function ownFolder(folder: string, account: ServerAccount): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  if (account.other) chownSync(folder, account.uid, account.gid);
}

function placeIn(folder: string): ServerPlace {
  return { folder, cluster: join(folder, 'cluster'), logFile: join(folder, 'server.log') };
}
