/**
 * A control plane for a benchmark: the built commands as real processes, in either form, with an administrator who is
 * signed in. Its data are in a temporary folder of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../../commands/demo/api-client.ts';
import { SUBGRAPH_NAMES } from '../../core/wire/subgraph/subgraph.ts';
import { ProjectProcess } from '../../e2e/harness/process.ts';
import {
  deleteEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { freePort } from '../../core/testing/free-port.ts';

/** One process on embedded stores, or every role its own process on a PostgreSQL and a Redis server. */
export type Form = 'one process' | 'distributed';

const READY = /FleetFlag(?: \w+)? ready at http:\/\/localhost:(\d+)/;
const ADMIN = 'admin@fleetflag.local';
/** The most that a key may have: 1,000,000 operations a minute. A benchmark that asks faster takes several keys. */
const RATE_LIMIT_PER_MIN = 1_000_000;

/** A redis-server of the benchmark's own, without a file. */
export class BenchmarkRedis {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts it; gives null where the program is not installed. */
  static async start(): Promise<BenchmarkRedis | null> {
    const port = await freePort();
    const child = spawn(
      'redis-server',
      ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--daemonize', 'no'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      child.emit('printed');
    });
    child.on('error', () => child.emit('printed'));
    while (child.pid !== undefined && !/Ready to accept connections/i.test(output)) await once(child, 'printed');
    return child.pid === undefined ? null : new BenchmarkRedis(child, `redis://127.0.0.1:${port}`);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}

/** Gives the process id of a server, which PostgreSQL writes beside its socket. */
async function processOf({ url }: EmbeddedPostgres): Promise<number> {
  const lock = await readFile(`${new URL(url).searchParams.get('host')}/.s.PGSQL.5432.lock`, 'utf8');
  return Number(lock.split('\n', 1)[0]);
}

/** The options of a benchmark's control plane. */
export interface ControlPlaneOptions {
  readonly form?: Form;
  /** Gateway processes. */
  readonly workers?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts and stops the processes of a control plane, and is its administrator. */
export class BenchmarkControlPlane {
  /** The gateway's URL, such as `http://127.0.0.1:40123`. */
  url = '';
  /** The administrator. */
  api = new ApiClient('');
  /** The seconds that the last process took until it was ready. */
  startSeconds = NaN;
  readonly secret = randomBytes(32).toString('base64url');
  readonly #password = randomBytes(16).toString('base64url');
  #processes: ProjectProcess[] = [];
  #gateway: ProjectProcess | undefined;
  #postgres: EmbeddedPostgres | undefined;
  #postgresPid: number | undefined;
  #redis: BenchmarkRedis | undefined;

  private constructor(
    readonly form: Form,
    private readonly folder: string,
    private readonly options: ControlPlaneOptions,
  ) {}

  /** Starts one; gives null where this machine cannot: the distributed form needs a redis-server. */
  static async start(options: ControlPlaneOptions = {}): Promise<BenchmarkControlPlane | null> {
    const { form = 'one process' } = options;
    const folder = await mkdtemp(join(tmpdir(), 'fleetflag-bench-'));
    const plane = new BenchmarkControlPlane(form, folder, options);
    try {
      if (!(await plane.#up())) {
        await plane.stop();
        return null;
      }
    } catch (error) {
      await plane.stop();
      throw error;
    }
    return plane;
  }

  async #up(): Promise<boolean> {
    const { form, folder } = this;
    const { workers = 1, environment } = this.options;
    const settings = {
      PORT: '0',
      FLEETFLAG_DATA_DIR: join(folder, 'data'),
      FLEETFLAG_INTERNAL_SECRET: this.secret,
      FLEETFLAG_ADMIN_PASSWORD: this.#password,
      LOG_LEVEL: 'error',
      ...environment,
    };
    const several = workers > 1 ? ['--workers', `${workers}`] : [];
    let port: number;
    if (form === 'one process') port = await this.#launch(['start', ...several], settings);
    else {
      const redis = await BenchmarkRedis.start();
      if (redis === null) return false;
      this.#redis = redis;
      this.#postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'servers'), log: () => undefined });
      this.#postgresPid = await processOf(this.#postgres);
      const servers = { ...settings, DATABASE_URL: this.#postgres.url, REDIS_URL: redis.url };
      const urls: Record<string, string> = {};
      for (const name of SUBGRAPH_NAMES)
        urls[`FLEETFLAG_${name.toUpperCase()}_URL`] =
          `http://127.0.0.1:${await this.#launch(['service', name], servers)}`;
      port = await this.#launch(['service', 'gateway', ...several], { ...servers, ...urls });
    }
    this.#gateway = this.#processes.at(-1);
    this.url = `http://127.0.0.1:${port}`;
    this.api = new ApiClient(this.url);
    await this.api.signIn(ADMIN, this.#password);
    return true;
  }

  async #launch(args: readonly string[], settings: Readonly<Record<string, string>>): Promise<number> {
    const from = performance.now();
    const launched = new ProjectProcess(args, settings);
    this.#processes.push(launched);
    const [, port] = await launched.printed(READY);
    this.startSeconds = (performance.now() - from) / 1_000;
    return Number(port);
  }

  /** Ends the processes, and starts them again on the same data. Only of the form of one process. */
  async restart(): Promise<void> {
    if (this.form !== 'one process') throw new Error('Only the form of one process starts again.');
    await this.#stopProcesses();
    await this.#up();
  }

  async #stopProcesses(): Promise<void> {
    for (const running of [...this.#processes].reverse())
      await running.stop().catch((error: unknown) => console.error(error));
    this.#processes = [];
  }

  /** The processes that count as the control plane: its own, and those of the servers that it has started. */
  get pids(): readonly number[] {
    return [
      ...this.#processes.map(({ child }) => child.pid ?? 0),
      ...(this.#redis === undefined ? [] : [this.#redis.pid]),
      // In one process it is a child of that.
      ...(this.#postgresPid === undefined ? [] : [this.#postgresPid]),
    ];
  }

  /** The process that is, or holds, the gateway. */
  get gatewayPid(): number {
    return this.#gateway?.child.pid ?? 0;
  }

  /** Gives the text of a new API key that reads, with the highest rate. */
  async newKey(): Promise<string> {
    const { createApiKey } = await this.api.ask<{ createApiKey: { key: string } }>(
      'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key } }',
      { input: { name: 'benchmark', role: 'READ', rateLimitPerMin: RATE_LIMIT_PER_MIN } },
    );
    return createApiKey.key;
  }

  /** Registers operations by their ids, for all keys. */
  async register(operations: Readonly<Record<string, string>>): Promise<void> {
    await this.api.ask('mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id } }', {
      manifest: operations,
    });
  }

  /** Ends all of it and deletes its data. */
  async stop(): Promise<void> {
    try {
      await this.#stopProcesses();
      await this.#postgres?.stop();
      await this.#redis?.stop();
    } finally {
      for (const name of ['data', 'servers']) await deleteEmbeddedPostgres(join(this.folder, name));
      await rm(this.folder, { recursive: true, force: true });
    }
  }
}
