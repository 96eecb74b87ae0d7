/**
 * A control plane of its own for one test file, in either form: one process on embedded stores, or every role its own
 * process on the servers that DATABASE_URL and REDIS_URL name (`npm run test:servers`).
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { SUBGRAPH_NAMES, type SubgraphName } from '../../core/wire/subgraph.ts';
import { deleteEmbeddedPostgres } from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { ProjectProcess } from './process.ts';

export const ADMIN = { email: 'admin@fleetflag.local', password: 'correct horse battery staple' } as const;

export const DISTRIBUTED = Boolean(process.env['DATABASE_URL']) && Boolean(process.env['REDIS_URL']);

const READY = /FleetFlag(?: \w+)? ready at http:\/\/localhost:(\d+)/;

export class Deployment {
  /** Of the gateway, such as `http://127.0.0.1:40123`. */
  url = '';
  processes: ProjectProcess[] = [];
  readonly ports = new Map<string, number>();

  private constructor(
    readonly dataDir: string,
    readonly environment: Readonly<Record<string, string>>,
    private readonly database: string | null,
    /** The Redis server itself, whatever the processes reach it through. */
    private readonly redis: string | null,
    /** Arguments of the process that is, or holds, the gateway. */
    private readonly gatewayArgs: readonly string[],
  ) {}

  /**
   * @param through gives the settings of a distributed deployment again, with the servers' addresses led through
   * something
   * @param gatewayArgs further arguments of the process that is, or holds, the gateway
   */
  static async start(
    environment: Readonly<Record<string, string>> = {},
    through?: (settings: Readonly<Record<string, string>>) => Promise<Readonly<Record<string, string>>>,
    gatewayArgs: readonly string[] = [],
  ): Promise<Deployment> {
    const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-e2e-'));
    const shared = { FLEETFLAG_DATA_DIR: dataDir, FLEETFLAG_ADMIN_PASSWORD: ADMIN.password, ...environment };
    let deployment: Deployment;
    if (DISTRIBUTED) {
      const database = `fleetflag_e2e_${randomBytes(6).toString('hex')}`;
      await onServer(`CREATE DATABASE ${database}`);
      const url = new URL(process.env['DATABASE_URL'] ?? '');
      url.pathname = `/${database}`;
      const redis = ownRedis();
      await clearRedis(redis);
      const settings = {
        DATABASE_URL: url.href,
        REDIS_URL: redis,
        FLEETFLAG_INTERNAL_SECRET: randomBytes(32).toString('base64url'),
      };
      deployment = new Deployment(
        dataDir,
        { ...((await through?.(settings)) ?? settings), ...shared },
        database,
        redis,
        gatewayArgs,
      );
    } else {
      await copyPrepared(dataDir);
      deployment = new Deployment(dataDir, shared, null, null, gatewayArgs);
    }
    try {
      await deployment.up();
    } catch (error) {
      await deployment.remove();
      throw error;
    }
    return deployment;
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

  /** Starts a role's process that has ended again, on its port. */
  async restart(name: SubgraphName | 'gateway'): Promise<void> {
    this.processes = this.processes.filter(({ running }) => running);
    await this.#launch(name, ['service', name], name === 'gateway' ? this.#subgraphUrls() : {});
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

  get wsUrl(): string {
    return webSocketOf(this.url);
  }

  /** Everything that all processes have printed. */
  get output(): string {
    return this.processes.map((process_) => process_.stdout + process_.stderr).join('');
  }

  /** Ends all processes; the data stay. */
  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<(number | null)[]> {
    // Gateways first, as an operator would: nobody is served half of an answer.
    const ends = [...this.processes].reverse().map((process_) => process_.stop(signal));
    await Promise.allSettled(ends);
    this.processes = [];
    return Promise.all(ends);
  }

  /** Ends everything and removes what it has stored. */
  async remove(): Promise<void> {
    try {
      await this.down();
    } finally {
      if (this.database === null) await deleteEmbeddedPostgres(this.dataDir);
      else {
        await onServer(`DROP DATABASE IF EXISTS ${this.database} WITH (FORCE)`);
        await clearRedis(this.redis ?? '');
      }
      await rm(this.dataDir, { recursive: true, force: true });
    }
  }
}

/** Puts the migrated database of the global setup into a new data folder, if there is one. */
async function copyPrepared(dataDir: string): Promise<void> {
  const prepared = process.env['FLEETFLAG_E2E_PREPARED'];
  if (prepared === undefined) return;
  await chmod(dataDir, 0o711);
  // Not fs.cp: the files stay those of the account that the server runs under.
  await promisify(execFile)('cp', ['-a', join(prepared, 'postgresql'), dataDir]);
}

/**
 * A Redis database for the files that this worker runs, one after the other: what the others count and remember (failed
 * sign-ins of 127.0.0.1, snapshots by their revision) is theirs. Channels are shared and harmless. From the last of the
 * sixteen downwards, since somebody's own data are in the first.
 */
function ownRedis(): string {
  const url = new URL(process.env['REDIS_URL'] ?? '');
  url.pathname = `/${15 - ((Number(process.env['JEST_WORKER_ID'] ?? 1) - 1) % 15)}`;
  return url.href;
}

/** Removes what FleetFlag has written into a Redis database. */
async function clearRedis(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    for await (const keys of redis.scanStream({ match: 'fleetflag:*', count: 1_000 }) as AsyncIterable<string[]>)
      if (keys.length > 0) await redis.del(...keys);
  } finally {
    redis.disconnect();
  }
}

/** The address for websockets of a gateway whose URL is `url`. */
export function webSocketOf(url: string): string {
  return `${url.replace(/^http/, 'ws')}/graphql`;
}

async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: process.env['DATABASE_URL'] });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
