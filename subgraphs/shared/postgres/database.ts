import { PrismaClient } from '../../../prisma/generated/client.ts';
import { SerialPrismaPg } from './serial-transactions.ts';
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
  /**
   * The primary over connections of their own, which nothing else can take; one of them stays open from the first use
   * on. `kill-switch`: for stopping a feature in every car. `delivery`: for what vehicles are to hear of.
   */
  lane(name: LaneName): PrismaClient;
  /** Asks the primary. Rejects with SERVICE_UNAVAILABLE when it does not answer. */
  ping(): Promise<void>;
  /** Closes all connections, after the running queries. */
  close(): Promise<void>;
}

export type LaneName = 'kill-switch' | 'delivery';

/** Connections of each lane. */
const LANE_CONNECTIONS = 3;

/** Milliseconds until a connection attempt or the wait for a free connection is given up. */
const CONNECTION_TIMEOUT = 5_000;
/** Milliseconds that a statement may take, its waiting for locks included. */
const STATEMENT_TIMEOUT = 30_000;
/**
 * Milliseconds that a transaction may do nothing; Prisma's own limit of a transaction (15 s) ends those of a process
 * that lives.
 */
const IDLE_TIMEOUT = 20_000;

/**
 * Opens PostgreSQL. Resolves when the primary has answered; replicas are connected to when they are first asked.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when the primary cannot be reached
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const prisma = createClient(options.url, options);
  const replicas = (options.replicaUrls ?? []).map((url) => createClient(url, options));
  const lanes = new Map<LaneName, PrismaClient>();
  let turn = 0;

  const database: Database = {
    prisma,
    get replica() {
      return replicas[turn++ % replicas.length] ?? prisma;
    },
    lane(name) {
      let lane = lanes.get(name);
      if (lane === undefined)
        lanes.set(name, (lane = createClient(options.url, { ...options, maxConnections: LANE_CONNECTIONS }, name)));
      return lane;
    },
    async ping() {
      try {
        await prisma.$queryRaw`SELECT 1`;
      } catch (error) {
        throw asServiceError(error);
      }
    },
    async close() {
      await Promise.all([prisma, ...replicas, ...lanes.values()].map((client) => client.$disconnect()));
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

/** How sessions are named at the server (pg_stat_activity): those of lanes with the lane's name behind. */
export const APPLICATION = 'fleetflag';

function createClient(url: string, options: DatabaseOptions, lane?: LaneName): PrismaClient {
  const onConnectionError = options.onConnectionError ?? (() => {});
  const adapter = new SerialPrismaPg(
    {
      connectionString: url,
      max: options.maxConnections ?? 10,
      connectionTimeoutMillis: CONNECTION_TIMEOUT,
      keepAlive: true,
      application_name: lane === undefined ? APPLICATION : `${APPLICATION} ${lane}`,
      ...(lane !== undefined && { min: 1 }),
      statement_timeout: STATEMENT_TIMEOUT,
      // A process that hangs in a transaction must not hold an environment's row lock for ever.
      idle_in_transaction_session_timeout: IDLE_TIMEOUT,
    },
    { onPoolError: onConnectionError, onConnectionError },
  );
  return new PrismaClient({
    adapter,
    errorFormat: 'minimal',
    transactionOptions: { maxWait: CONNECTION_TIMEOUT, timeout: 15_000 },
  });
}
