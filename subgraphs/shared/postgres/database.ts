import { PrismaClient } from '../../../prisma/generated/client.ts';
import { statementName } from './prepared-statements.ts';
import { SerialPrismaPg } from './serial-transactions.ts';
import { asServiceError } from './service-error.ts';

/** The settings of the connection to PostgreSQL. */
export interface DatabaseOptions {
  /** `postgresql://…`; for a unix socket `postgresql://user@localhost/name?host=/folder`. */
  readonly url: string;
  /** URLs of the read replicas, in the same form. */
  readonly replicaUrls?: readonly string[] | undefined;
  /** The most connections to each server; 10 by default. */
  readonly maxConnections?: number | undefined;
  /** Called when an idle connection breaks; the pool replaces it by itself. */
  readonly onConnectionError?: ((error: Error) => void) | undefined;
}

/** PostgreSQL's clients for one process. Pass their errors through `asServiceError` (service-error.ts). */
export interface Database {
  /** The client of the primary server: for all writes, and for reads that must see them. */
  readonly prisma: PrismaClient;
  /**
   * The client for reads that may be a moment old (lists, reports): the replicas in turn, or the primary when there are
   * none.
   */
  readonly replica: PrismaClient;
  /**
   * Gives a client of the primary with reserved connections; one of them stays open after the first use. `kill-switch`
   * is for stopping a feature in every vehicle, `delivery` for reading the changes that vehicles receive.
   */
  lane(name: LaneName): PrismaClient;
  /** Checks the primary. Rejects with SERVICE_UNAVAILABLE when it does not answer. */
  ping(): Promise<void>;
  /** Closes all connections after the running queries have ended. */
  close(): Promise<void>;
}

/** A group of reserved connections; see `Database.lane`. */
export type LaneName = 'kill-switch' | 'delivery';

/** The number of connections of each lane. */
const LANE_CONNECTIONS = 3;

/** Milliseconds after which a connection attempt, or the wait for a free connection, fails. */
const CONNECTION_TIMEOUT = 5_000;
/** The most milliseconds that a statement may take, including its wait for locks. */
const STATEMENT_TIMEOUT = 30_000;
/**
 * The most milliseconds that a transaction may be idle. Prisma's own limit of a transaction (15 s) ends those of a
 * living process; this one ends those of a hanging process.
 */
const IDLE_TIMEOUT = 20_000;

/**
 * Connects to PostgreSQL. Resolves when the primary has answered; replicas are connected on first use.
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

/** The application name of sessions in pg_stat_activity; sessions of a lane have the lane's name appended. */
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
    { onPoolError: onConnectionError, onConnectionError, statementNameGenerator: statementName },
  );
  return new PrismaClient({
    adapter,
    errorFormat: 'minimal',
    transactionOptions: { maxWait: CONNECTION_TIMEOUT, timeout: 15_000 },
  });
}
