import { PrismaClient } from '../../../prisma/generated/client.ts';
import { observeStatement } from '../monitoring/observed-calls.ts';
import type { StoreMetrics } from '../monitoring/store-metrics.ts';
import { closeWhenSilent } from '../stores/silent-socket.ts';
import { servePrepared, statementName } from './prepared-statements.ts';
import { readPosition, readReplicaState } from './log-positions.ts';
import type { Replica } from './replica-reads.ts';
import { SerialPrismaPg, type ObserveStatement } from './serial-transactions.ts';
import { asServiceError } from './service-error.ts';
import { rowCount } from './rows.ts';

/** The settings of the connection to PostgreSQL. */
export interface DatabaseOptions {
  /** `postgresql://…`; for a unix socket `postgresql://user@localhost/name?host=/folder`. */
  readonly url: string;
  /** URLs of the read replicas, in the same form. */
  readonly replicaUrls?: readonly string[] | undefined;
  /** The most connections to each server; 10 by default. */
  readonly maxConnections?: number | undefined;
  /**
   * The milliseconds of silence during a statement after which its connection is closed; by default those of its pool.
   */
  readonly silenceMs?: number | undefined;
  /** Called when an idle connection breaks; the pool replaces it by itself. */
  readonly onConnectionError?: ((error: Error) => void) | undefined;
  /** Counts statements and connections. */
  readonly metrics?: StoreMetrics | undefined;
}

/** PostgreSQL's clients for one process. Pass their errors through `asServiceError` (service-error.ts). */
export interface Database {
  /** The client of the primary server: for all writes, and for reads that must see them. */
  readonly prisma: PrismaClient;
  /** The read replicas; replica-reads.ts decides what is read there. */
  readonly replicas: readonly Replica[];
  /** Gives the position up to which the primary's log is durable. Everything that can be read there lies before it. */
  position(): Promise<bigint>;
  /**
   * Gives a client of the primary with reserved connections; one of them stays open after the first use. `kill-switch`
   * is for stopping a feature in every vehicle, `delivery` for reading the changes that vehicles receive, `position`
   * for following the log, without which nothing is read at a replica.
   */
  lane(name: LaneName): PrismaClient;
  /** Checks the primary. Rejects with SERVICE_UNAVAILABLE when it does not answer. */
  ping(): Promise<void>;
  /** Closes all connections after the running queries have ended. */
  close(): Promise<void>;
}

/** A group of reserved connections; see `Database.lane`. */
export type LaneName = 'kill-switch' | 'delivery' | 'position';

/** The number of connections of each lane. */
const LANE_CONNECTIONS = 3;

/** Milliseconds after which a connection attempt, or the wait for a free connection, fails. */
const CONNECTION_TIMEOUT_MS = 5_000;
/** The same for replicas: what they do not answer at once, the primary answers. */
const REPLICA_CONNECTION_TIMEOUT_MS = 1_000;
/** The most milliseconds that a statement may take, including its wait for locks. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** The most milliseconds of silence during a statement: the server would have ended the statement by then. */
const SILENCE_MS = STATEMENT_TIMEOUT_MS + 10_000;
/** The same for the lanes whose small reads wait for no lock. Until then, no vehicle receives a change. */
const LANE_SILENCE_MS = 8_000;
/**
 * The most milliseconds that a transaction may be idle. Prisma's own limit of a transaction (15 s) ends those of a
 * living process; this one ends those of a hanging process.
 */
const IDLE_TIMEOUT_MS = 20_000;
/** The limits of a transaction that names none, in milliseconds: until it has a connection, and until it ends. */
export const TRANSACTION_OPTIONS = { maxWait: CONNECTION_TIMEOUT_MS, timeout: 15_000 } as const;

/**
 * Connects to PostgreSQL. Resolves when the primary has answered; replicas are connected on first use.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when the primary cannot be reached
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const prisma = createClient(options.url, options);
  const replicas = (options.replicaUrls ?? []).map((url) => openReplica(url, options));
  const lanes = new Map<LaneName, PrismaClient>();

  const database: Database = {
    prisma,
    replicas,
    position: () => readPosition(database.lane('position')),
    lane(name) {
      let lane = lanes.get(name);
      if (lane === undefined)
        lanes.set(name, (lane = createClient(options.url, { ...options, maxConnections: LANE_CONNECTIONS }, name)));
      return lane;
    },
    async ping() {
      try {
        await rowCount(prisma)`SELECT 1`;
      } catch (error) {
        throw asServiceError(error);
      }
    },
    async close() {
      const clients = [prisma, ...replicas.map((replica) => replica.prisma), ...lanes.values()];
      await Promise.all(clients.map((client) => client.$disconnect()));
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

/** The pool of all statements that have no other. */
const MAIN_POOL = 'main';

/** Gives the address of a server without credentials. */
function addressOf(url: string): string {
  const { host, searchParams } = new URL(url);
  return searchParams.get('host') ?? host;
}

function openReplica(url: string, options: DatabaseOptions): Replica {
  const prisma = createClient(url, options, 'replica');
  return {
    name: addressOf(url),
    prisma,
    readState: () => readReplicaState(prisma),
  };
}

/** Gives the milliseconds after which a server that is silent during a statement counts as gone. */
function silenceOf(pool: LaneName | 'replica' | undefined): number {
  return pool === 'delivery' || pool === 'position' ? LANE_SILENCE_MS : SILENCE_MS;
}

function createClient(url: string, options: DatabaseOptions, pool?: LaneName | 'replica'): PrismaClient {
  const onConnectionError = options.onConnectionError ?? (() => {});
  const lane = pool === 'replica' ? undefined : pool;
  const max = options.maxConnections ?? 10;
  const observe: ObserveStatement = (sql, send) => observeStatement(pool ?? MAIN_POOL, sql, options.metrics, send);
  const adapter = new SerialPrismaPg(
    {
      connectionString: url,
      max,
      connectionTimeoutMillis: pool === 'replica' ? REPLICA_CONNECTION_TIMEOUT_MS : CONNECTION_TIMEOUT_MS,
      keepAlive: true,
      application_name: lane === undefined ? APPLICATION : `${APPLICATION} ${lane}`,
      ...(lane !== undefined && { min: 1 }),
      statement_timeout: STATEMENT_TIMEOUT_MS,
      // A process that hangs in a transaction must not hold an environment's row lock for ever.
      idle_in_transaction_session_timeout: IDLE_TIMEOUT_MS,
    },
    { onPoolError: onConnectionError, onConnectionError, statementNameGenerator: statementName },
    observe,
    (opened) =>
      opened.on('connect', (connected) =>
        closeWhenSilent(
          connected.connection.stream,
          options.silenceMs ?? silenceOf(pool),
          () => Reflect.get(connected, 'readyForQuery') === false,
        ),
      ),
  );
  options.metrics?.watchPool(pool ?? MAIN_POOL, max, () => adapter.pool);
  const client = new PrismaClient({
    adapter,
    errorFormat: 'minimal',
    transactionOptions: TRANSACTION_OPTIONS,
  });
  servePrepared(client, () => adapter.pool, observe);
  return client;
}
