/** The metrics store: a ClickHouse server (23.8 or newer), or the same engine in this process. */
import { constants, readFileSync } from 'node:fs';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
  type ClickHouseClientConfigOptions,
} from '@clickhouse/client';
import { FleetFlagError } from '../../../core/errors.ts';
import { errorCode } from '../../../core/caught-error.ts';
import { observeRequest } from '../monitoring/observed-calls.ts';
import type { StoreMetrics } from '../monitoring/store-metrics.ts';

/** An open metrics store. */
export interface MetricsStore {
  /** Runs queries and inserts; it throws ClickHouse's errors. */
  readonly client: ClickHouseClient;
  /** Rejects with SERVICE_UNAVAILABLE when the store does not answer. */
  ping(): Promise<void>;
  /** Closes all connections. For the embedded engine, also releases its folder. */
  close(): Promise<void>;
}

/** Gives the folder of the embedded engine in a data folder. */
export const embeddedMetricsPath = (dataDir: string) => join(dataDir, 'clickhouse');

/** Gives the folder below which the embedded engine of `path` may write and read backups. */
export const metricsBackupsFolder = (path: string) => `${path}-backups`;

/** The settings of the metrics store. */
export interface MetricsStoreOptions {
  /** `http://user:password@host:8123/database` or `https://…`; null for the embedded engine. */
  readonly url: string | null;
  /**
   * The embedded engine's folder; created if it is missing. Only one process can use it at a time, and a process can
   * use only one.
   */
  readonly path: string;
  /**
   * Called when the embedded engine cannot read its folder. The folder is kept under another name, beside a new, empty
   * one.
   */
  readonly onSetAside?: (keptAs: string, cause: unknown) => void;
  /** Counts the requests. */
  readonly metrics?: StoreMetrics | undefined;
}

/** Milliseconds after which a ping fails; readiness is checked every few seconds. */
const PING_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 30_000;

// The client would print warnings to the console, outside the log; the errors contain what matters.
const SETTINGS = {
  application: 'fleetflag',
  log: { level: ClickHouseLogLevel.OFF },
} satisfies ClickHouseClientConfigOptions;

/**
 * Opens the metrics store. Does not wait for a server, which may come up later; `ping` checks it.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE, with the remedy, when the embedded engine is not installed or cannot open
 * its folder
 */
export async function openMetricsStore({ url, path, onSetAside, metrics }: MetricsStoreOptions): Promise<MetricsStore> {
  if (url !== null) {
    const client = observed(createClient({ ...SETTINGS, url, request_timeout: REQUEST_TIMEOUT_MS }), metrics);
    return { client, ping: () => ping(client), close: () => client.close() };
  }
  const { connect, drained } = await loadEngine();
  const { connection, session } = await openOrSetAside(connect, path, onSetAside);
  const client = observed(createClient({ ...SETTINGS, connection }), metrics);
  return {
    client,
    ping: () => ping(client),
    async close() {
      await client.close();
      session.close();
      // A running query keeps the folder in use.
      await drained();
    },
  };
}

/** Makes each request of a client observed. */
function observed(client: ClickHouseClient, metrics: StoreMetrics | undefined): ClickHouseClient {
  const query = client.query.bind(client);
  const insert = client.insert.bind(client);
  const command = client.command.bind(client);
  const exec = client.exec.bind(client);
  Object.assign(client, {
    query: (params: Parameters<typeof query>[0]) => observeRequest('query', metrics, () => query(params)),
    insert: (params: Parameters<typeof insert>[0]) => observeRequest('insert', metrics, () => insert(params)),
    command: (params: Parameters<typeof command>[0]) => observeRequest('command', metrics, () => command(params)),
    exec: (params: Parameters<typeof exec>[0]) => observeRequest('exec', metrics, () => exec(params)),
  });
  return client;
}

/**
 * Opens the engine's folder. A folder that the engine cannot read is set aside, because flags must not wait for
 * metrics. A folder that this account may not read, or that another process uses, is left alone.
 */
async function openOrSetAside(
  connect: (path: string) => EmbeddedEngine,
  path: string,
  onSetAside: MetricsStoreOptions['onSetAside'],
): Promise<EmbeddedEngine> {
  const openFolder = async () => {
    await mkdir(path, { recursive: true });
    return connect(path);
  };
  let cause: unknown;
  try {
    return await openFolder();
  } catch (error) {
    cause = error;
  }
  const refused = new FleetFlagError(
    'SERVICE_UNAVAILABLE',
    `The embedded metrics store cannot be opened. ${whyNot(path)}`,
    {},
    { cause },
  );
  if (holderOf(path) !== null || !(await isOurs(path))) throw refused;
  const keptAs = `${path}-unreadable-${new Date().toISOString().replace(/[:.]/g, '-')}`;
  await rename(path, keptAs);
  try {
    const engine = await openFolder();
    onSetAside?.(keptAs, cause);
    return engine;
  } catch {
    // The folder was not the cause, so it gets its name back.
    await rm(path, { recursive: true, force: true });
    await rename(keptAs, path);
    throw refused;
  }
}

/** Checks whether this account may read and write the folder and its parent. */
async function isOurs(path: string): Promise<boolean> {
  try {
    await Promise.all([path, dirname(path)].map((each) => access(each, constants.R_OK | constants.W_OK)));
    return true;
  } catch {
    return false;
  }
}

async function ping(client: ClickHouseClient): Promise<void> {
  // Runs a SELECT, because ClickHouse's /ping also answers requests with wrong credentials.
  const result = await client.ping({ select: true, abort_signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
  if (!result.success)
    throw new FleetFlagError(
      'SERVICE_UNAVAILABLE',
      'The metrics store does not answer; a retry is safe.',
      {},
      { cause: result.error },
    );
}

type Connection = NonNullable<ClickHouseClientConfigOptions['connection']>;

/** The engine with its folder open. It closes when both are closed. */
interface EmbeddedEngine {
  readonly connection: Connection;
  readonly session: { close(): void };
}

/** Loads the embedded engine. It is half a gigabyte, so it is optional and loaded only when it is used. */
async function loadEngine(): Promise<{ connect: (path: string) => EmbeddedEngine; drained: () => Promise<void> }> {
  try {
    const [{ createChdbConnection }, { drainPending, Session }] = await Promise.all([
      import('chdb/connection'),
      import('chdb'),
    ]);
    return {
      connect: (path) => {
        // Connections of one path share an engine, and the first one sets it up.
        const session = new Session(path, {
          connectionArgs: [`--backups.allowed_path=${resolve(metricsBackupsFolder(path))}/`],
        });
        try {
          // oxlint-disable-next-line typescript/consistent-type-assertions -- the same interface, from another copy of its declarations
          return { session, connection: createChdbConnection({ path }) as unknown as Connection };
        } catch (error) {
          session.close();
          throw error;
        }
      },
      drained: drainPending,
    };
  } catch (cause) {
    const message = `The embedded metrics store (the optional package chdb) is not available on ${process.platform}-${process.arch}. Install it, or set CLICKHOUSE_URL to a ClickHouse server.`;
    throw new FleetFlagError('SERVICE_UNAVAILABLE', message, {}, { cause });
  }
}

/**
 * Explains why the folder cannot be opened. The engine says only that it failed; its `status` file names the process
 * that uses the folder.
 */
function whyNot(path: string): string {
  const holder = holderOf(path);
  if (holder !== null)
    return `Process ${holder} has ${path} open, and only one process can: stop it, choose another FLEETFLAG_DATA_DIR, or set CLICKHOUSE_URL to a ClickHouse server.`;
  return `Check ${path}: it may not be writable, or this process may have another one open.`;
}

function holderOf(path: string): number | null {
  let pid;
  try {
    pid = Number(/^PID: (\d+)$/m.exec(readFileSync(join(path, 'status'), 'utf8'))?.[1]);
  } catch {
    return null;
  }
  // The file may be left from a killed process that no longer exists.
  if (!Number.isInteger(pid) || pid === process.pid) return null;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM means that the process exists and belongs to another user.
    if (errorCode(error) !== 'EPERM') return null;
  }
  return pid;
}
