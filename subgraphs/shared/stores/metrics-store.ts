/**
 * The metrics store: a ClickHouse server (23.8 or newer), or the same engine in this process.
 */
import { constants, readFileSync } from 'node:fs';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
  type ClickHouseClientConfigOptions,
} from '@clickhouse/client';
import { FleetFlagError } from '../../../core/errors.ts';

export interface MetricsStore {
  /** Runs queries and inserts; its own errors are ClickHouse's. */
  readonly client: ClickHouseClient;
  /** Rejects with SERVICE_UNAVAILABLE when the store does not answer. */
  ping(): Promise<void>;
  /** Ends all connections; of the embedded engine, frees the folder for the next who opens it. */
  close(): Promise<void>;
}

export interface MetricsStoreOptions {
  /** `http://user:password@host:8123/database` or `https://…`; null for the embedded engine. */
  readonly url: string | null;
  /** The folder of the embedded engine; made when it is missing. One process at a time, one folder a process. */
  readonly path: string;
  /** Told that the embedded engine cannot read its folder, which is kept under another name beside a new, empty one. */
  readonly onSetAside?: (keptAs: string, cause: unknown) => void;
}

/** Milliseconds until a ping counts as unanswered: readiness is asked every few seconds. */
const PING_TIMEOUT = 3_000;
const REQUEST_TIMEOUT = 30_000;

// The client would write warnings to the console, beside the log; what matters of them is in the errors.
const SETTINGS = {
  application: 'fleetflag',
  log: { level: ClickHouseLogLevel.OFF },
} satisfies ClickHouseClientConfigOptions;

/**
 * Opens the metrics store. A server is not waited for: it may come later, and `ping` tells.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE, with what to do, when the embedded engine is not installed or cannot
 * open its folder
 */
export async function openMetricsStore({ url, path, onSetAside }: MetricsStoreOptions): Promise<MetricsStore> {
  if (url !== null) {
    const client = createClient({ ...SETTINGS, url, request_timeout: REQUEST_TIMEOUT });
    return { client, ping: () => ping(client), close: () => client.close() };
  }
  const { connect, drained } = await loadEngine();
  const connection = await openOrSetAside(connect, path, onSetAside);
  const client = createClient({ ...SETTINGS, connection });
  return {
    client,
    ping: () => ping(client),
    async close() {
      await client.close();
      // A query that is still running holds the folder.
      await drained();
    },
  };
}

/**
 * Opens the engine's folder. One that it cannot read is set aside, because flags are not to wait for measurements; one
 * that it may only not be allowed to read, or that somebody else has, is not touched.
 */
async function openOrSetAside(
  connect: (path: string) => Connection,
  path: string,
  onSetAside: MetricsStoreOptions['onSetAside'],
): Promise<Connection> {
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
    const connection = await openFolder();
    onSetAside?.(keptAs, cause);
    return connection;
  } catch {
    // Then it was not the folder: it gets its name back.
    await rm(path, { recursive: true, force: true });
    await rename(keptAs, path);
    throw refused;
  }
}

/** Whether this account may read and write it, and the folder that it is in. */
async function isOurs(path: string): Promise<boolean> {
  try {
    await Promise.all([path, dirname(path)].map((each) => access(each, constants.R_OK | constants.W_OK)));
    return true;
  } catch {
    return false;
  }
}

async function ping(client: ClickHouseClient): Promise<void> {
  // With a SELECT, because ClickHouse's /ping answers to wrong credentials, too.
  const result = await client.ping({ select: true, abort_signal: AbortSignal.timeout(PING_TIMEOUT) });
  if (!result.success)
    throw new FleetFlagError(
      'SERVICE_UNAVAILABLE',
      'The metrics store does not answer; a retry is safe.',
      {},
      { cause: result.error },
    );
}

type Connection = NonNullable<ClickHouseClientConfigOptions['connection']>;

/** The embedded engine is half a gigabyte, so it is optional, and loaded only by who uses it. */
async function loadEngine(): Promise<{ connect: (path: string) => Connection; drained: () => Promise<void> }> {
  try {
    const [{ createChdbConnection }, { drainPending }] = await Promise.all([import('chdb/connection'), import('chdb')]);
    // The same interface from another copy of its declarations.
    return { connect: (path) => createChdbConnection({ path }) as unknown as Connection, drained: drainPending };
  } catch (cause) {
    const message = `The embedded metrics store (the optional package chdb) is not available on ${process.platform}-${process.arch}. Install it, or set CLICKHOUSE_URL to a ClickHouse server.`;
    throw new FleetFlagError('SERVICE_UNAVAILABLE', message, {}, { cause });
  }
}

/** The engine says only that it failed; its `status` file names the process that has the folder. */
function whyNot(path: string): string {
  const holder = holderOf(path);
  if (holder !== null)
    return `Process ${holder} has ${path} open, and only one can: stop it, choose another FLEETFLAG_DATA_DIR, or set CLICKHOUSE_URL to a ClickHouse server.`;
  return `Look at ${path}: it may not be writable, or this process has another one open.`;
}

function holderOf(path: string): number | null {
  let pid;
  try {
    pid = Number(/^PID: (\d+)$/m.exec(readFileSync(join(path, 'status'), 'utf8'))?.[1]);
  } catch {
    return null;
  }
  // What a killed process left behind names one that has gone.
  if (!Number.isInteger(pid) || pid === process.pid) return null;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // A process of another user may not be signalled, and is there.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
  }
  return pid;
}
