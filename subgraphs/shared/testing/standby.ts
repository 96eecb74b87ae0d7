/** A streaming replica of a test's PostgreSQL server, made and run by the programs of Debian's package. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { eventually } from '../../../core/testing/eventually.ts';
import { serverAccount } from '../postgres/embedded/embedded-place.ts';

const VERSIONS = '/usr/lib/postgresql';

/** Gives the folder of the programs of PostgreSQL 15; null where they are not installed. */
export function debianPrograms(): string | null {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS) : [];
  return versions.includes('15') ? join(VERSIONS, '15/bin') : null;
}

export class Standby {
  #server: ChildProcess | null = null;

  private constructor(
    /** The folder of its socket; the cluster is below it. */
    private readonly folder: string,
    private readonly programs: string,
    /** The URL of the same database at the replica. */
    readonly url: string,
  ) {}

  /**
   * Starts a replica of the primary.
   *
   * @param url of a database of the primary, whose role may replicate
   */
  static async start(url: string): Promise<Standby> {
    const programs = debianPrograms();
    if (programs === null) throw new Error('PostgreSQL 15 of Debian is not installed');
    const folder = await mkdtemp(join(tmpdir(), 'fleetflag-standby-'));
    const account = serverAccount();
    const cluster = join(folder, 'cluster');
    await mkdir(cluster, { mode: 0o700 });
    await chown(cluster, account.uid, account.gid);
    await chown(folder, account.uid, account.gid);
    await chmod(folder, 0o755);
    const here = new URL(url);
    here.host = 'localhost';
    here.password = '';
    here.searchParams.set('host', folder);
    const standby = new Standby(folder, programs, here.href);
    try {
      await promisify(execFile)(
        join(programs, 'pg_basebackup'),
        ['-d', url, '-D', cluster, '-R', '-X', 'stream', '-c', 'fast'],
        standby.#options,
      );
      // The primary's own settings may lie outside its cluster, or name places that only it has.
      await writeFile(join(cluster, 'postgresql.conf'), '');
      await writeFile(join(cluster, 'pg_hba.conf'), 'local all all trust\n');
      await standby.startAgain();
    } catch (error) {
      await standby.remove();
      throw error;
    }
    return standby;
  }

  get #options() {
    const { uid, gid, other } = serverAccount();
    return { cwd: this.folder, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }, ...(other && { uid, gid }) };
  }

  /** Starts the server; resolves when it answers. */
  async startAgain(): Promise<void> {
    const settings = {
      listen_addresses: '',
      unix_socket_directories: this.folder,
      port: '5432',
      fsync: 'off',
      shared_buffers: '32MB',
    };
    await eventually(
      async () => {
        if (this.#server === null) {
          const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
          const server = spawn(join(this.programs, 'postgres'), ['-D', join(this.folder, 'cluster'), ...args], {
            ...this.#options,
            stdio: 'ignore',
          });
          // Sessions of a killed server may still be ending; then the next one cannot start yet.
          server.on('exit', () => (this.#server = null));
          this.#server = server;
        }
        return this.run('SELECT 1').then(
          () => true,
          () => false,
        );
      },
      'the replica answers',
      60_000,
    );
  }

  /** Runs a statement at the replica; gives the first value of its first row. */
  async run(statement: string): Promise<unknown> {
    const client = new Client({ connectionString: this.url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const { rows } = await client.query<unknown[]>({ text: statement, rowMode: 'array' });
      return rows[0]?.[0];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Stops replaying: from now on, the replica is behind. */
  async pause(): Promise<void> {
    await this.run('SELECT pg_wal_replay_pause()');
    await eventually(async () => (await this.run('SELECT pg_get_wal_replay_pause_state()')) === 'paused');
  }

  async resume(): Promise<void> {
    await this.run('SELECT pg_wal_replay_resume()');
  }

  /** Kills the server; its sessions end at once. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    // Its sessions notice the death of the server, and write no more files once the folder can be deleted.
    await eventually(async () => {
      await rm(this.folder, { recursive: true, force: true }).catch(() => undefined);
      return (await readdir(this.folder).catch(() => null)) === null;
    });
  }
}
