/**
 * The metrics store: a ClickHouse server (23.8 or newer), or the same engine in this process.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClickHouseLogLevel, createClient, type ClickHouseClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { FleetFlagError } from '../../core/errors.ts';

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
}

/** Milliseconds until a ping counts as unanswered: readiness is asked every few seconds. */
const PING_TIMEOUT = 3_000;
const REQUEST_TIMEOUT = 30_000;

// The client would write warnings to the console, beside the log; what matters of them is in the errors.
const SETTINGS = { application: 'fleetflag', log: { level: ClickHouseLogLevel.OFF } } satisfies ClickHouseClientConfigOptions;

/**
 * Opens the metrics store. A server is not waited for: it may come later, and `ping` tells.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE, with what to do, when the embedded engine is not installed or cannot
 * open its folder
 */
export async function openMetricsStore({ url, path }: MetricsStoreOptions): Promise<MetricsStore> {
  if (url !== null) {
    const client = createClient({ ...SETTINGS, url, request_timeout: REQUEST_TIMEOUT });
    return { client, ping: () => ping(client), close: () => client.close() };
  }
  const { connect, drained } = await loadEngine();
  await mkdir(path, { recursive: true });
  let connection;
  try {
    connection = connect(path);
  } catch (cause) {
    throw new FleetFlagError('SERVICE_UNAVAILABLE', `The embedded metrics store cannot be opened. ${whyNot(path)}`, {}, { cause });
  }
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

async function ping(client: ClickHouseClient): Promise<void> {
  // With a SELECT, because ClickHouse's /ping answers to wrong credentials, too.
  const result = await client.ping({ select: true, abort_signal: AbortSignal.timeout(PING_TIMEOUT) });
  if (!result.success) throw new FleetFlagError('SERVICE_UNAVAILABLE', 'The metrics store does not answer; a retry is safe.', {}, { cause: result.error });
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
  if (holder !== null) return `Process ${holder} has ${path} open, and only one can: stop it, choose another FLEETFLAG_DATA_DIR, or set CLICKHOUSE_URL to a ClickHouse server.`;
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
