/** Servers of one test that can be stopped and started again; their addresses stay the same. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  deleteEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { openProxy, type SeverableProxy } from '../../subgraphs/shared/testing/severable-proxy.ts';
import { ProjectProcess } from './process.ts';

/** The process of the embedded PostgreSQL server of a data folder. */
export async function postmasterOf(dataDir: string): Promise<number> {
  const folder = join(dataDir, 'postgresql');
  const place = await readFile(join(dataDir, 'postgresql.place'), 'utf8').catch(() => folder);
  return Number((await readFile(join(place.trim(), 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

/** A PostgreSQL server with a cluster of its own, behind a proxy that can cut its connections. */
export class KillablePostgres {
  private constructor(
    private readonly dataDir: string,
    /** The folder of the server's socket; it is another one after each start. */
    private readonly target: { path: string },
    readonly proxy: SeverableProxy,
    /** The URL of the database through the proxy. */
    readonly url: string,
    private server: EmbeddedPostgres,
  ) {}

  static async start(): Promise<KillablePostgres> {
    const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-e2e-pg-'));
    const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
    const target = { path: socketOf(server) };
    const proxy = await openProxy(target);
    const url = new URL(server.url);
    url.searchParams.delete('host');
    url.host = `127.0.0.1:${proxy.port}`;
    return new KillablePostgres(dataDir, target, proxy, url.href, server);
  }

  /** Stops the server at once: sessions are cut, nothing is written, and the next start has to recover. */
  async stop(): Promise<void> {
    process.kill(await postmasterOf(this.dataDir), 'SIGQUIT');
    await this.server.stop();
  }

  async startAgain(): Promise<void> {
    this.server = await startEmbeddedPostgres({ dataDir: this.dataDir, log: () => undefined });
    this.target.path = socketOf(this.server);
  }

  async remove(): Promise<void> {
    await this.proxy.close();
    await this.server.stop();
    await deleteEmbeddedPostgres(this.dataDir);
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

const socketOf = ({ url }: EmbeddedPostgres) => `${new URL(url).searchParams.get('host')}/.s.PGSQL.5432`;

/** ClickHouse's engine behind its HTTP interface. */
export class KillableClickHouse {
  #port = 0;
  #process!: ProjectProcess;

  private constructor(private readonly folder: string) {}

  static async start(): Promise<KillableClickHouse> {
    const store = new KillableClickHouse(await mkdtemp(join(tmpdir(), 'fleetflag-e2e-clickhouse-')));
    await store.startAgain();
    return store;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async kill(): Promise<void> {
    await this.#process.stop('SIGKILL');
  }

  async startAgain(): Promise<void> {
    this.#process = new ProjectProcess(
      ['e2e/harness/metrics-server.ts', join(this.folder, 'store'), String(this.#port)],
      {},
    );
    const [, port] = await this.#process.printed(/listens on (\d+)/);
    this.#port = Number(port);
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}
