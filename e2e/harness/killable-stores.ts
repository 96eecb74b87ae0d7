/** Servers of one test that can be stopped and started again; their addresses stay the same. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  deleteEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../subgraphs/shared/postgres/embedded/embedded-postgres.ts';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
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
    readonly dataDir: string,
    /** The folder of the server's socket; it is another one after each start. */
    private readonly target: { path: string },
    readonly proxy: SeverableProxy,
    /** The URL of the database through the proxy. */
    readonly url: string,
    private server: EmbeddedPostgres,
    private readonly isMounted: boolean,
  ) {}

  /**
   * Starts a server with an empty database.
   *
   * @param diskMb the megabytes of a disk of its own, where one can be mounted; by default it has none
   */
  static async start(diskMb?: number): Promise<KillablePostgres> {
    const dataDir = await mkdtemp(join(tmpdir(), 'fleetflag-e2e-pg-'));
    const isMounted = diskMb !== undefined && mountDisk(dataDir, diskMb);
    return madeOrRemoved(
      async () => {
        const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
        const target = { path: socketOf(server) };
        const proxy = await openProxy(target);
        const url = new URL(server.url);
        url.searchParams.delete('host');
        url.host = `127.0.0.1:${proxy.port}`;
        return new KillablePostgres(dataDir, target, proxy, url.href, server, isMounted);
      },
      () => removeDataFolder(dataDir, isMounted),
    );
  }

  /** The URL of the database past the proxy. */
  get directUrl(): string {
    return this.server.url;
  }

  /** Fills the server's disk up, and gives the function that frees it; null where it has no disk of its own. */
  get fillDisk(): (() => Promise<() => Promise<void>>) | null {
    if (!this.isMounted) return null;
    const file = join(this.dataDir, 'filler');
    return async () => {
      // In portions, because the last one does not fit.
      for (let size = 16 * 1024 * 1024; size >= 4_096; size /= 2) while (await grows(file, size));
      return () => rm(file, { force: true });
    };
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
    await removeDataFolder(this.dataDir, this.isMounted);
  }
}

async function removeDataFolder(dataDir: string, isMounted: boolean): Promise<void> {
  await deleteEmbeddedPostgres(dataDir);
  if (isMounted) execFileSync('umount', [dataDir], { stdio: 'ignore' });
  await rm(dataDir, { recursive: true, force: true });
}

/** Mounts a disk in memory on a folder; says whether it could. */
function mountDisk(folder: string, megabytes: number): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=711`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    // A container may forbid it.
    return false;
  }
}

/** Appends `bytes` bytes to a file; says whether they fitted. */
async function grows(file: string, bytes: number): Promise<boolean> {
  return writeFile(file, Buffer.alloc(bytes), { flag: 'a' }).then(
    () => true,
    () => false,
  );
}

const socketOf = ({ url }: EmbeddedPostgres) => `${new URL(url).searchParams.get('host')}/.s.PGSQL.5432`;

/** ClickHouse's engine behind its HTTP interface. */
export class KillableClickHouse {
  #port = 0;
  #process: ProjectProcess | undefined;

  private constructor(private readonly folder: string) {}

  static async start(): Promise<KillableClickHouse> {
    const store = new KillableClickHouse(await mkdtemp(join(tmpdir(), 'fleetflag-e2e-clickhouse-')));
    return madeOrRemoved(
      async () => {
        await store.startAgain();
        return store;
      },
      () => store.remove(),
    );
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#process?.child.pid ?? 0;
  }

  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
  }

  async startAgain(): Promise<void> {
    this.#process = new ProjectProcess(
      ['e2e/harness/clickhouse-server.ts', join(this.folder, 'store'), String(this.#port)],
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
