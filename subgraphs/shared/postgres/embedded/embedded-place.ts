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

/** The account that the server runs under: PostgreSQL refuses to run as root. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
  /** Whether it is another one than this process's. */
  readonly other: boolean;
}

/** Where the embedded server keeps its things. */
export interface ServerPlace {
  /** Owned by the server's account, mode 0700. */
  readonly folder: string;
  /** The cluster (PGDATA), in `folder`. */
  readonly cluster: string;
  /** The server's log, in `folder`. */
  readonly logFile: string;
}

/** Where root keeps what another account must reach, the first that works. */
const SHARED_FOLDERS = ['/var/lib/fleetflag', '/var/tmp/fleetflag'];

/** In the data folder: the name of the place, where it is outside. */
const RECORD = 'postgresql.place';

/** The account for the server: this process's own, or `nobody` for root. */
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
 * The place that belongs to the data folder, or null where it has none yet.
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
      `The database in ${folder} belongs to user id ${owner}, and this process would run it as ${account.uid}. ` +
        'Start FleetFlag as the user who started it first, choose another data folder, or set DATABASE_URL.',
    );
  }
  return placeIn(folder);
}

/** Makes the place: in the data folder where the server's account can reach it, else under a folder of the system. */
export function createPlace(dataDir: string, account: ServerAccount, log: (line: string) => void): ServerPlace {
  makeDataFolder(dataDir);
  if (reachable(dataDir, account)) {
    const folder = join(realpathSync(dataDir), 'postgresql');
    ownFolder(folder, account);
    return placeIn(folder);
  }
  const folder = join(sharedFolder(account), randomUUID());
  ownFolder(folder, account);
  // The record is written whole or not at all: half a path would be followed for ever.
  const draft = join(dataDir, `${RECORD}.${process.pid}`);
  writeFileSync(draft, `${folder}\n`);
  renameSync(draft, join(dataDir, RECORD));
  log(`PostgreSQL runs as user id ${account.uid}, who cannot reach ${resolve(dataDir)}: its data is in ${folder}`);
  return placeIn(folder);
}

/** Forgets and deletes the place of a data folder, with all data. The server must not be running. */
export function deletePlace(dataDir: string): void {
  const place = findPlace(dataDir, serverAccount());
  if (place) rmSync(place.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  rmSync(join(dataDir, RECORD), { force: true });
}

/**
 * The folder for the server's socket: the place itself, or a short one under the temporary folder where the path
 * would be longer than a socket's may be (108 bytes with the final zero on Linux, 104 on macOS).
 */
export function socketFolder(place: ServerPlace, account: ServerAccount): string {
  if (Buffer.byteLength(join(place.folder, '.s.PGSQL.5432')) < 104) return place.folder;
  const folder = mkdtempSync(join(tmpdir(), 'fleetflag-'));
  ownFolder(folder, account);
  return folder;
}

/** Removes a socket's folder if it is one of those under the temporary folder. */
export function removeSocketFolder(folder: string, place: ServerPlace): void {
  if (folder !== place.folder && dirname(folder) === tmpdir()) rmSync(folder, { recursive: true, force: true });
}

/** A folder of the system that another account can reach, made if need be. */
export function sharedFolder(account: ServerAccount): string {
  for (const folder of SHARED_FOLDERS) {
    try {
      mkdirSync(folder, { mode: 0o711 });
      chmodSync(folder, 0o711);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') continue;
    }
    // In a folder that somebody else made, he could exchange what root puts there.
    if (statSync(folder).uid === process.getuid?.() && reachable(folder, account)) return folder;
  }
  throw new Error(
    `None of ${SHARED_FOLDERS.join(', ')} can be used for the embedded PostgreSQL. Set DATABASE_URL to a server, or start FleetFlag as an ordinary user.`,
  );
}

/** Whether the account may pass through the folder and all above it. */
export function reachable(path: string, account: ServerAccount): boolean {
  if (!account.other) return true;
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    const { mode, uid } = statSync(folder);
    if (!(mode & 0o001) && !(uid === account.uid && mode & 0o100)) return false;
    if (folder === dirname(folder)) return true;
  }
}

function ownFolder(folder: string, account: ServerAccount): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  if (account.other) chownSync(folder, account.uid, account.gid);
}

function placeIn(folder: string): ServerPlace {
  return { folder, cluster: join(folder, 'cluster'), logFile: join(folder, 'server.log') };
}
