import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../../../prisma/generated/client.ts';
import { asServiceError } from './service-error.ts';

export interface DatabaseOptions {
  /** `postgresql://…`; a unix socket as `postgresql://user@localhost/name?host=/folder`. */
  readonly url: string;
  /** Read replicas, in the same form. */
  readonly replicaUrls?: readonly string[] | undefined;
  /** Connections to each server at most; 10 where not given. */
  readonly maxConnections?: number | undefined;
  /** Told of connections that broke while idle; the pool replaces them by itself. */
  readonly onConnectionError?: ((error: Error) => void) | undefined;
}

/** PostgreSQL, for one process. Errors of its clients go through `asServiceError` (service-error.ts). */
export interface Database {
  /** The primary server: all writes, and reads that must see them. */
  readonly prisma: PrismaClient;
  /**
   * A server for reads that may be a moment old (lists, reports): the replicas in turn, or the primary where there
   * are none.
   */
  readonly replica: PrismaClient;
  /** Asks the primary. Rejects with SERVICE_UNAVAILABLE when it does not answer. */
  ping(): Promise<void>;
  /** Closes all connections, after the running queries. */
  close(): Promise<void>;
}

/** Milliseconds until a connection attempt or the wait for a free connection is given up. */
const CONNECTION_TIMEOUT = 5_000;

/**
 * Opens PostgreSQL. Resolves when the primary has answered; replicas are connected to when they are first asked.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when the primary cannot be reached
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const prisma = createClient(options.url, options);
  const replicas = (options.replicaUrls ?? []).map((url) => createClient(url, options));
  let turn = 0;

  const database: Database = {
    prisma,
    get replica() {
      return replicas[turn++ % replicas.length] ?? prisma;
    },
    async ping() {
      try {
        await prisma.$queryRaw`SELECT 1`;
      } catch (error) {
        throw asServiceError(error);
      }
    },
    async close() {
      await Promise.all([prisma, ...replicas].map((client) => client.$disconnect()));
    },
  };

  try {
    await database.ping();
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

function createClient(url: string, options: DatabaseOptions): PrismaClient {
  const onConnectionError = options.onConnectionError ?? (() => {});
  const adapter = new PrismaPg(
    {
      connectionString: url,
      max: options.maxConnections ?? 10,
      connectionTimeoutMillis: CONNECTION_TIMEOUT,
      keepAlive: true,
      application_name: 'fleetflag',
      // A process that hangs in a transaction must not hold an environment's row lock for ever.
      idle_in_transaction_session_timeout: 30_000,
    },
    { onPoolError: onConnectionError, onConnectionError },
  );
  return new PrismaClient({
    adapter,
    errorFormat: 'minimal',
    transactionOptions: { maxWait: CONNECTION_TIMEOUT, timeout: 15_000 },
  });
}
