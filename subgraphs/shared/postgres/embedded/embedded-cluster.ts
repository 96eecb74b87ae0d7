import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ServerBinaries } from './embedded-binaries.ts';
import type { ServerAccount, ServerPlace } from './embedded-place.ts';
import { commandLine, processIdentity } from './process-identity.ts';
import { membersOf } from '../../../../core/json/json-value.ts';

/**
 * The superuser of the embedded cluster. It has no password: every process that can open the socket's folder is
 * trusted.
 */
export const CLUSTER_USER = 'fleetflag';

/** A postmaster process that is starting, running or stopping, as its `postmaster.pid` describes it. */
export interface Postmaster {
  readonly pid: number;
  readonly identity: string;
  readonly socketFolder: string;
  /** Whether `postmaster.pid` says that it accepts connections. */
  readonly ready: boolean;
}

const MAX_LOG_BYTES = 10_000_000;

/**
 * Creates the cluster if there is none. It is created under another name and renamed when it is complete, so that a
 * process killed on the way leaves nothing that disturbs later starts.
 */
export async function ensureCluster(
  place: ServerPlace,
  account: ServerAccount,
  binaries: ServerBinaries,
): Promise<void> {
  for (const name of readdirSync(place.folder)) {
    // An initdb whose parent was killed may still be writing there; its files are removed at the next start.
    if (name.startsWith('cluster.'))
      await rm(join(place.folder, name), { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }).catch(
        () => {},
      );
  }
  if (existsSync(place.cluster)) return;
  const draft = `${place.cluster}.${randomUUID()}`;
  const common = [
    '-D',
    draft,
    '-U',
    CLUSTER_USER,
    '-E',
    'UTF8',
    '--locale=C',
    '--auth-local=trust',
    '--auth-host=reject',
    '--no-instructions',
  ];
  try {
    // Text sorts by bytes, but case works for all of Unicode, because full-text search folds case.
    await initdb(binaries, [...common, '--lc-ctype=C.UTF-8'], place, account);
  } catch (error) {
    if (!/invalid locale name/.test(String(membersOf(error)['stderr']))) throw error;
    await initdb(binaries, common, place, account);
  }
  renameSync(draft, place.cluster);
}

async function initdb(
  binaries: ServerBinaries,
  args: string[],
  place: ServerPlace,
  account: ServerAccount,
): Promise<void> {
  await promisify(execFile)(binaries.initdb, args, spawnOptions(place, account));
}

/**
 * Starts the postmaster in a session of its own: Ctrl-C in a terminal signals the whole foreground group, and the
 * server must outlive FleetFlag's own shutdown. Gives its process id; it does not accept connections yet.
 *
 * @param isDurable whether what is committed must outlive the machine's power, and not only the server's processes
 * @param further settings of postgresql.conf beside the usual ones
 */
export function spawnPostmaster(
  place: ServerPlace,
  account: ServerAccount,
  binaries: ServerBinaries,
  socketFolder: string,
  isDurable: boolean,
  further: Readonly<Record<string, string>> = {},
): number {
  const safely = isDurable ? 'on' : 'off';
  const settings = {
    listen_addresses: '',
    unix_socket_directories: socketFolder,
    unix_socket_permissions: '0700',
    port: '5432',
    max_connections: '100',
    shared_buffers: '64MB',
    max_wal_size: '256MB',
    fsync: safely,
    synchronous_commit: 'on',
    full_page_writes: safely,
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_destination: 'stderr',
    ...(binaries.hasStatStatements ? { shared_preload_libraries: 'pg_stat_statements' } : {}),
    ...further,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  if (existsSync(place.logFile) && statSync(place.logFile).size > MAX_LOG_BYTES)
    renameSync(place.logFile, `${place.logFile}.1`);
  const logFile = openSync(place.logFile, 'a', 0o600);
  try {
    const child = spawn(binaries.postgres, ['-D', place.cluster, ...args], {
      ...spawnOptions(place, account),
      detached: true,
      stdio: ['ignore', logFile, logFile],
    });
    // The caller notices a failed spawn, because the process does not exist.
    child.on('error', () => {});
    child.unref();
    return child.pid ?? 0;
  } finally {
    closeSync(logFile);
  }
}

/**
 * Finds the cluster's living postmaster. Removes a `postmaster.pid` whose process id now belongs to another program.
 */
export function findPostmaster(place: ServerPlace): Postmaster | null {
  const file = join(place.cluster, 'postmaster.pid');
  if (!existsSync(file)) return null;
  // Source: PostgreSQL 15, src/include/utils/pidfile.h. The lines are pid, data directory, start time, port, socket
  // directory, listen address, shared memory key, status.
  const [pidText, , , , socketFolder, , , status] = readFileSync(file, 'utf8').split('\n');
  const pid = Number(pidText);
  const identity = processIdentity(pid);
  if (identity === null) return null;
  if (!commandLine(pid)?.includes(place.cluster)) {
    rmSync(file, { force: true });
    return null;
  }
  return { pid, identity, socketFolder: socketFolder?.trim() || place.folder, ready: status?.trim() === 'ready' };
}

/** Gives the last lines of the server's log, for error messages. */
export function lastLogLines(place: ServerPlace, from = 0): string {
  if (!existsSync(place.logFile)) return '';
  return readFileSync(place.logFile).subarray(from).toString('utf8').trimEnd().split('\n').slice(-8).join('\n');
}

/** Gives the size of the server's log in bytes, so that a caller can later read only the newer lines. */
export function logSize(place: ServerPlace): number {
  return existsSync(place.logFile) ? statSync(place.logFile).size : 0;
}

/**
 * Gives the options for running the server's programs. They receive nothing of this process's environment; HOME and the
 * locale may be unset here.
 */
function spawnOptions(place: ServerPlace, account: ServerAccount) {
  return {
    cwd: place.folder,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(account.other ? { uid: account.uid, gid: account.gid } : {}),
  };
}
