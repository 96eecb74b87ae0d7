import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { eventually } from '../../../../core/testing/eventually.ts';
import { deleteEmbeddedPostgres, findEmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import { processIdentity } from './process-identity.ts';
import { testUnless } from '../../../../core/testing/unless.ts';

const OWNER = fileURLToPath(new URL('../../testing/embedded-owner.ts', import.meta.url));

let dataDir: string;
let lines: string[];
let children: ChildProcess[];
const log = (line: string) => lines.push(line);

/** A data folder with a cluster that was started once: creating one takes longer than most of these tests. */
let prepared: string;
beforeAll(async () => {
  prepared = mkdtempSync(join(tmpdir(), 'fleetflag-embedded-prepared-'));
  chmodSync(prepared, 0o711);
  await (await startEmbeddedPostgres({ dataDir: prepared, log: () => undefined })).stop();
});
afterAll(() => rmSync(prepared, { recursive: true, force: true }));

/** Copies the prepared cluster into the test's data folder. */
function withCluster(): void {
  // When the server's account cannot reach the folder, the cluster is elsewhere, and the test creates its own.
  const place = join(prepared, 'postgresql');
  if (existsSync(join(place, 'cluster'))) execFileSync('cp', ['-a', place, dataDir]);
}

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'fleetflag-embedded-'));
  chmodSync(dataDir, 0o711);
  lines = [];
  children = [];
});

afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await deleteEmbeddedPostgres(dataDir);
  rmSync(dataDir, { recursive: true, force: true });
});

/** A line that embedded-owner.ts prints. */
interface Report {
  url?: string;
  error?: string;
  log?: string;
  acknowledged?: number;
}

/** Runs embedded-owner.ts. `until` resolves with the first matching line, or rejects when the process ends before. */
function spawnOwner() {
  const child = spawn(process.execPath, ['--import', 'tsx', OWNER, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  children.push(child);
  const reports: Report[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => reports.push(JSON.parse(line) as Report));
  const until = (fits: (report: Report) => boolean): Promise<Report> =>
    new Promise((resolve, reject) => {
      const check = () => {
        const found = reports.find(fits);
        if (found) resolve(found);
      };
      reader.on('line', check);
      reader.on('close', () => reject(new Error(`The process ended. It has printed: ${JSON.stringify(reports)}`)));
      check();
    });
  return { child, reports, until };
}

async function query<T extends object>(url: string, sql: string): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

function postmasterPid(): number {
  return Number(readFileSync(join(dataDir, 'postgresql/cluster/postmaster.pid'), 'utf8').split('\n')[0]);
}

test('the server is PostgreSQL 15 in UTF-8 with durable settings, on a unix socket that only its owner can open, and keeps data over a restart', async () => {
  const first = await startEmbeddedPostgres({ dataDir, log });
  const settings = [
    'server_version_num',
    'server_encoding',
    'fsync',
    'synchronous_commit',
    'full_page_writes',
    'listen_addresses',
    'unix_socket_permissions',
    'shared_preload_libraries',
  ];
  const [row] = await query<Record<string, string>>(
    first.url,
    `SELECT ${settings.map((name) => `current_setting('${name}') AS ${name}`).join(', ')}, lower('Ä') AS lower`,
  );
  expect(row).toEqual({
    server_version_num: expect.stringMatching(/^15\d{4}$/),
    server_encoding: 'UTF8',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    listen_addresses: '',
    unix_socket_permissions: '0700',
    shared_preload_libraries: 'pg_stat_statements',
    lower: 'ä',
  });
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS n');
  expect(
    await query(first.url, `SELECT calls::int FROM pg_stat_statements WHERE query LIKE 'CREATE TABLE kept%'`),
  ).toEqual([{ calls: 1 }]);
  expect(await findEmbeddedPostgres(dataDir)).toBe(first.url);
  const pid = postmasterPid();
  await first.stop();
  expect(processIdentity(pid)).toBeNull();
  expect(await findEmbeddedPostgres(dataDir)).toBeNull();

  const second = await startEmbeddedPostgres({ dataDir, log });
  expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  await second.stop();
  expect(lines).toEqual([]);
});

test('a server whose process was killed is adopted, and no acknowledged row is lost', async () => {
  withCluster();
  const owner = spawnOwner();
  await owner.until((report) => (report.acknowledged ?? 0) >= 50);
  const pid = postmasterPid();
  owner.child.kill('SIGKILL');
  await once(owner.child, 'close');
  expect(processIdentity(pid)).not.toBeNull();

  const server = await startEmbeddedPostgres({ dataDir, log });
  expect(postmasterPid()).toBe(pid);
  expect(lines).toEqual([`PostgreSQL was still running (process ${pid}): adopted`]);
  const last = Math.max(...owner.reports.map((report) => report.acknowledged ?? 0));
  const [row] = await query<{ n: number; m: number }>(
    server.url,
    `SELECT count(DISTINCT n)::int AS n, max(n) AS m FROM numbers WHERE n <= ${last}`,
  );
  expect(row).toEqual({ n: last, m: last });
  await server.stop();
  expect(processIdentity(pid)).toBeNull();
});

test('when the server is killed as well, the next start recovers every acknowledged row', async () => {
  withCluster();
  const owner = spawnOwner();
  await owner.until((report) => (report.acknowledged ?? 0) >= 50);
  const pid = postmasterPid();
  owner.child.kill('SIGKILL');
  process.kill(pid, 'SIGKILL');
  await once(owner.child, 'close');

  const server = await startEmbeddedPostgres({ dataDir, log });
  expect(postmasterPid()).not.toBe(pid);
  const last = Math.max(...owner.reports.map((report) => report.acknowledged ?? 0));
  expect(await query(server.url, `SELECT count(DISTINCT n)::int AS n FROM numbers WHERE n <= ${last}`)).toEqual([
    { n: last },
  ]);
  await server.stop();
});

test('a server that is killed while its owner lives is started again at the same address, with every acknowledged row', async () => {
  withCluster();
  const server = await startEmbeddedPostgres({ dataDir, log });
  await query(server.url, 'CREATE TABLE numbers (n INTEGER); INSERT INTO numbers VALUES (7)');
  const killed = postmasterPid();
  process.kill(killed, 'SIGKILL');
  await eventually(() => lines.includes('PostgreSQL answers again'));
  expect(await query(server.url, 'SELECT n FROM numbers')).toEqual([{ n: 7 }]);
  expect(postmasterPid()).not.toBe(killed);
  const restarted = postmasterPid();
  await server.stop();
  expect(processIdentity(restarted)).toBeNull();
});

test('a second process on the same data folder is refused while the first lives, and the first continues', async () => {
  withCluster();
  const first = await startEmbeddedPostgres({ dataDir, log });
  const second = spawnOwner();
  const { error } = await second.until((report) => report.error !== undefined);
  expect(error).toBe(
    `The data folder ${dataDir} is in use by another FleetFlag process (id ${process.pid}). Stop it first, or choose another data folder.`,
  );
  await expect(startEmbeddedPostgres({ dataDir, log })).rejects.toThrow('in use');
  expect(await query(first.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  await first.stop();
});

test('of processes that start together exactly one gets the server', async () => {
  const owners = [spawnOwner(), spawnOwner(), spawnOwner()];
  const outcomes = await Promise.all(
    owners.map(({ until }) => until((report) => (report.url ?? report.error) !== undefined)),
  );
  expect(outcomes.filter((report) => report.url !== undefined)).toHaveLength(1);
  expect(outcomes.filter((report) => report.error?.includes('in use'))).toHaveLength(2);
});

test('a process that is asked to stop stops the server', async () => {
  withCluster();
  const owner = spawnOwner();
  await owner.until((report) => report.acknowledged !== undefined);
  const pid = postmasterPid();
  owner.child.kill('SIGTERM');
  await once(owner.child, 'close');
  expect(owner.child.exitCode).toBe(0);
  expect(processIdentity(pid)).toBeNull();
  expect(existsSync(join(dataDir, 'postgresql.lock'))).toBe(false);
});

test('a first start that was killed while it created the cluster does not prevent the next one', async () => {
  const owner = spawnOwner();
  const place = join(dataDir, 'postgresql');
  // The process is killed as soon as initdb has begun to write.
  while (!existsSync(place) || !readdirSync(place).some((name) => name.startsWith('cluster.')))
    await new Promise(setImmediate);
  owner.child.kill('SIGKILL');
  await once(owner.child, 'close');

  const server = await startEmbeddedPostgres({ dataDir, log });
  expect(await query(server.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  expect(readdirSync(place).filter((name) => name.startsWith('cluster'))).toEqual(['cluster']);
  await server.stop();
});

test('a lock file and a postmaster.pid with process ids of other programs do not prevent a start', async () => {
  withCluster();
  await (await startEmbeddedPostgres({ dataDir, log })).stop();
  writeFileSync(
    join(dataDir, 'postgresql.lock'),
    JSON.stringify({ pid: process.pid, identity: 'an earlier one', token: 'x' }),
  );
  const cluster = join(dataDir, 'postgresql/cluster');
  writeFileSync(
    join(cluster, 'postmaster.pid'),
    `${process.pid}\n${cluster}\n1\n5432\n${join(dataDir, 'postgresql')}\n\n1 1\nready   \n`,
  );
  const server = await startEmbeddedPostgres({ dataDir, log });
  expect(postmasterPid()).not.toBe(process.pid);
  await server.stop();
});

test("damaged data are reported with their folder, PostgreSQL's message and the remedy, and nothing is deleted or left running", async () => {
  withCluster();
  const server = await startEmbeddedPostgres({ dataDir, log });
  const [map] = await query<{ file: string }>(
    server.url,
    `SELECT 'base/' || oid || '/pg_filenode.map' AS file FROM pg_database WHERE datname = 'fleetflag'`,
  );
  const [first] = await query<{ file: string }>(
    server.url,
    `SELECT 'base/' || oid || '/pg_filenode.map' AS file FROM pg_database WHERE datname = 'postgres'`,
  );
  await server.stop();
  const place = join(dataDir, 'postgresql');
  // The last two let the server start, but it refuses all connections.
  for (const file of ['PG_VERSION', 'global/pg_control', first!.file, map!.file]) {
    const path = join(place, 'cluster', file);
    const whole = readFileSync(path);
    writeFileSync(path, Buffer.alloc(whole.length, 'x'));
    const refused = await startEmbeddedPostgres({ dataDir, log }).then(
      () => 'it started',
      (error: Error) => error.message,
    );
    expect(refused).toMatch(
      new RegExp(
        `^The embedded PostgreSQL cannot run on ${place}\\. It said \\(${place}/server\\.log\\):\\n[^]*(${file.split('/').at(-1)}|control file|relation mapping)[^]*backup[^]*DATABASE_URL`,
        'i',
      ),
    );
    expect([
      file,
      existsSync(join(place, 'cluster/postmaster.pid')),
      existsSync(join(dataDir, 'postgresql.lock')),
    ]).toEqual([file, false, false]);
    writeFileSync(path, whole);
  }
  await (await startEmbeddedPostgres({ dataDir, log })).stop();
});

test('when the path is too long for a socket, the socket has a folder of its own that is removed with the server', async () => {
  const outer = dataDir;
  dataDir = join(outer, 'd'.repeat(100));
  mkdirSync(dataDir, { mode: 0o711 });
  try {
    const server = await startEmbeddedPostgres({ dataDir, log });
    const folder = new URL(server.url).searchParams.get('host')!;
    expect(folder.startsWith(join(tmpdir(), 'fleetflag-'))).toBe(true);
    expect(await query(server.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
    await server.stop();
    expect(existsSync(folder)).toBe(false);
  } finally {
    await deleteEmbeddedPostgres(dataDir);
    dataDir = outer;
  }
});

/** Declares a test that runs as root only, whose server runs under another account. */
const testAsRoot = testUnless(process.getuid?.() === 0 ? null : "the run is not root's");

testAsRoot(
  'a data folder that the server account cannot reach gets its cluster elsewhere, says where, and finds it again',
  async () => {
    chmodSync(dataDir, 0o700);
    const first = await startEmbeddedPostgres({ dataDir, log });
    expect(lines).toEqual([expect.stringMatching(/which cannot reach .*; its data are in \/var\//)]);
    await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS n');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir, log });
    expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
    await second.stop();
    const folder = readFileSync(join(dataDir, 'postgresql.place'), 'utf8').trim();
    await deleteEmbeddedPostgres(dataDir);
    expect(existsSync(folder)).toBe(false);
  },
);
