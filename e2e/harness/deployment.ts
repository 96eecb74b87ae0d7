/**
 * A control plane of its own for one test file, in either form: one process on embedded stores, or every role its own
 * process on the servers that DATABASE_URL and REDIS_URL name (`npm run test:servers`), and CLICKHOUSE_URL if it is
 * set.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import { SUBGRAPH_NAMES, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import { deleteEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { createMetricsDatabase, type MetricsDatabase } from '../../subgraphs/shared/testing/test-metrics-store.ts';
import { databaseUrl } from '../../subgraphs/shared/testing/test-server.ts';
import { ProjectProcess } from './process.ts';

/** The administrator that each deployment has from its first start. */
export const ADMIN = { email: 'admin@fleetflag.local', password: 'correct horse battery staple' } as const;

/** Whether deployments have the distributed form; see the top of this file. */
export const DISTRIBUTED = Boolean(process.env['DATABASE_URL']) && Boolean(process.env['REDIS_URL']);

/** Matches the line with which a process says that it is ready, with its port. */
const READY = /FleetFlag(?: \w+)? ready at http:\/\/localhost:(\d+)/;

type ChangeSettings = (settings: Readonly<Record<string, string>>) => Promise<Readonly<Record<string, string>>>;

export class Deployment {
  /** The URL of the gateway, such as `http://127.0.0.1:40123`. */
  url = '';
  /** The processes that run, the gateways last. */
  processes: ProjectProcess[] = [];
  /** The port of each role, which stays the same over restarts. */
  readonly ports = new Map<string, number>();

  /** The settings of every process. */
  environment: Readonly<Record<string, string>> = {};

  /** The database of measurements, where ClickHouse is a server. */
  #metrics: MetricsDatabase | undefined;

  private constructor(
    readonly dataDir: string,
    private readonly database: string | null,
    /** The URL of the Redis server itself, without the proxy through which the processes reach it. */
    private readonly redis: string | null,
    /** The arguments of the process that runs the gateway. */
    private readonly gatewayArgs: readonly string[],
  ) {}

  /**
   * Starts a deployment with data of its own.
   *
   * @param environment settings of every process, beside those of its stores
   * @param through changes the settings of a distributed deployment, such as the servers' addresses to those of a proxy
   * @param gatewayArgs further arguments of the process that runs the gateway
   */
  static async start(
    environment: Readonly<Record<string, string>> = {},
    through?: ChangeSettings,
    gatewayArgs: readonly string[] = [],
  ): Promise<Deployment> {
    const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-e2e-'));
    const [database, redis] = DISTRIBUTED
      ? [`fleetflag_e2e_${randomBytes(6).toString('hex')}`, ownRedis()]
      : [null, null];
    const deployment = new Deployment(dataDir, database, redis, gatewayArgs);
    return madeOrRemoved(
      async () => {
        const stores = await deployment.#prepareStores(through);
        const shared = { FLEETFLAG_DATA_DIR: dataDir, FLEETFLAG_ADMIN_PASSWORD: ADMIN.password };
        deployment.environment = { ...stores, ...shared, ...environment };
        await deployment.up();
        return deployment;
      },
      () => deployment.remove(),
    );
  }

  /** Makes the stores ready for a first start; gives the settings by which processes find them. */
  async #prepareStores(through: ChangeSettings = async (settings) => settings): ReturnType<ChangeSettings> {
    if (this.database === null || this.redis === null) {
      await copyPrepared(this.dataDir);
      return {};
    }
    await onServer(`CREATE DATABASE ${this.database}`);
    await clearRedis(this.redis);
    return through({
      DATABASE_URL: databaseUrl(process.env['DATABASE_URL'] ?? '', this.database),
      REDIS_URL: this.redis,
      ...(await this.#prepareMetrics(this.database)),
      FLEETFLAG_INTERNAL_SECRET: randomBytes(32).toString('base64url'),
    });
  }

  /** Makes a database of measurements; without a server, the process of the experiments has the embedded engine. */
  async #prepareMetrics(name: string): Promise<Record<string, string>> {
    const server = process.env['CLICKHOUSE_URL'];
    if (server === undefined || server === '') return {};
    this.#metrics = await createMetricsDatabase(server, name);
    return { CLICKHOUSE_URL: this.#metrics.url };
  }

  /** Starts all processes; after `down()` on the same ports as before, so that agents find it again. */
  async up(): Promise<void> {
    if (this.database === null) await this.#launch('control-plane', ['start', ...this.gatewayArgs]);
    else {
      await Promise.all(SUBGRAPH_NAMES.map((name) => this.#launch(name, ['service', name])));
      await this.#launch('gateway', ['service', 'gateway', ...this.gatewayArgs], this.#subgraphUrls());
    }
    this.url = `http://127.0.0.1:${this.ports.get(this.database === null ? 'control-plane' : 'gateway')}`;
  }

  #subgraphUrls(): Record<string, string> {
    return Object.fromEntries(
      SUBGRAPH_NAMES.map((name) => [`FLEETFLAG_${name.toUpperCase()}_URL`, `http://127.0.0.1:${this.ports.get(name)}`]),
    );
  }

  /** Starts one more gateway of a distributed deployment, for the rest of its life; gives its URL. */
  async anotherGateway(): Promise<string> {
    await this.#launch('second gateway', ['service', 'gateway'], this.#subgraphUrls());
    return `http://127.0.0.1:${this.ports.get('second gateway')}`;
  }

  /** Starts the process of a role again on its port, after it has ended. */
  async restart(name: SubgraphName | 'gateway'): Promise<void> {
    this.processes = this.processes.filter(({ running }) => running);
    if (name === 'gateway') await this.#launch(name, ['service', name, ...this.gatewayArgs], this.#subgraphUrls());
    else await this.#launch(name, ['service', name]);
    // The gateway stays the last one.
    this.processes.sort((a, b) => Number(a.args[1] === 'gateway') - Number(b.args[1] === 'gateway'));
  }

  async #launch(
    name: 'control-plane' | 'gateway' | 'second gateway' | SubgraphName,
    args: string[],
    more: Record<string, string> = {},
  ): Promise<void> {
    const process_ = new ProjectProcess(args, {
      ...this.environment,
      PORT: String(this.ports.get(name) ?? 0),
      ...more,
    });
    this.processes.push(process_);
    const [, port] = await process_.printed(READY);
    this.ports.set(name, Number(port));
  }

  /** The websocket address of the gateway. */
  get wsUrl(): string {
    return webSocketOf(this.url);
  }

  /** Gives the output of all processes. */
  get output(): string {
    return this.processes.map((process_) => process_.stdout + process_.stderr).join('');
  }

  /** Stops all processes and keeps their data. */
  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<(number | null)[]> {
    // Gateways stop first, as an operator would do it, so that no client gets half of an answer.
    const ends = [...this.processes].reverse().map((process_) => process_.stop(signal));
    await Promise.allSettled(ends);
    this.processes = [];
    return Promise.all(ends);
  }

  /** Stops all processes and removes their data. */
  async remove(): Promise<void> {
    try {
      await this.down();
    } finally {
      await this.#removeData();
    }
  }

  async #removeData(): Promise<void> {
    try {
      if (this.database === null) await deleteEmbeddedPostgres(this.dataDir);
      else {
        await onServer(`DROP DATABASE IF EXISTS ${this.database} WITH (FORCE)`);
        await clearRedis(this.redis ?? '');
        await this.#metrics?.drop();
      }
    } finally {
      await rm(this.dataDir, { recursive: true, force: true });
    }
  }
}

/** Puts the migrated database of the global setup into a new data folder, if there is one. */
async function copyPrepared(dataDir: string): Promise<void> {
  const prepared = process.env['FLEETFLAG_E2E_PREPARED'];
  if (prepared === undefined) return;
  await chmod(dataDir, 0o711);
  // fs.cp would not keep the owner of the files, which is the account that the server runs under.
  await promisify(execFile)('cp', ['-a', join(prepared, 'postgresql'), dataDir]);
}

/**
 * The Redis database of this Jest worker. Workers do not share one, because counters and snapshots (failed sign-ins of
 * 127.0.0.1, snapshots by revision) would collide; shared channels are harmless. Databases are counted down from the
 * last of the sixteen, because a developer's own data are in the first.
 */
function ownRedis(): string {
  const url = new URL(process.env['REDIS_URL'] ?? '');
  url.pathname = `/${15 - ((Number(process.env['JEST_WORKER_ID'] ?? 1) - 1) % 15)}`;
  return url.href;
}

/** Removes the keys of FleetFlag from a Redis database. */
async function clearRedis(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    for await (const keys of redis.scanStream({ match: 'fleetflag:*', count: 1_000 }) as AsyncIterable<string[]>)
      if (keys.length > 0) await redis.del(...keys);
  } finally {
    redis.disconnect();
  }
}

/** Gives the websocket address of the gateway at `url`. */
export function webSocketOf(url: string): string {
  return `${url.replace(/^http/, 'ws')}/graphql`;
}

/** Runs a statement on the PostgreSQL server of DATABASE_URL. */
async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: process.env['DATABASE_URL'] });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
