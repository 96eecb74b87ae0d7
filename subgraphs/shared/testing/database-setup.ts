import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { madeOrRemoved } from '../../../core/testing/made-or-removed.ts';
import { startEmbeddedPostgres } from '../postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../postgres/schema/migrations.ts';
import tearDownDatabase from './database-teardown.ts';
import { databaseUrl, type TestServer } from './test-server.ts';

/**
 * Jest's global setup of the project `database`: a PostgreSQL server for the whole run (an embedded one in a temporary
 * folder, or that of `TEST_DATABASE_URL`, whose user must be a superuser) with a migrated template that
 * `createTestDatabase` clones. Workers learn of it through environment variables.
 */
export default async function setUpDatabase(): Promise<void> {
  const template = `fleetflag_template_${randomUUID().slice(0, 8)}`;
  const server = { ...(await openServer()), template };
  globalThis.fleetFlagTestServer = server;
  // Jest has no teardown for a run that is interrupted, and the server is in a process group of its own.
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const, ['SIGHUP', 129] as const])
    process.once(signal, () => void tearDownDatabase().finally(() => process.exit(code)));
  await madeOrRemoved(async () => {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    try {
      await client.query(`CREATE DATABASE ${template}`);
    } finally {
      await client.end();
    }
    await deployMigrations({ url: databaseUrl(server.url, template) });
  }, tearDownDatabase);
  process.env['FLEETFLAG_TEST_SERVER'] = server.url;
  process.env['FLEETFLAG_TEST_TEMPLATE'] = template;
}

/**
 * Linux's file system in memory, on which a run of the suites waits a sixth less; and the bytes that a run needs at
 * most.
 */
const MEMORY = '/dev/shm';
const NEEDED_BYTES = 4 * 1024 ** 3;

/** Gives the folder for what no test needs after the run. */
function fastestFolder(): string {
  try {
    const { bavail: blocks, bsize: blockBytes } = statfsSync(MEMORY);
    return process.env['TMPDIR'] === undefined && blocks * blockBytes >= NEEDED_BYTES ? MEMORY : tmpdir();
  } catch {
    // Other systems have none.
    return tmpdir();
  }
}

async function openServer(): Promise<Omit<TestServer, 'template'>> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) return { url: given, folder: null, stop: async () => {} };
  const folder = mkdtempSync(join(fastestFolder(), 'fleetflag-test-'));
  // As root, the server runs under another account, which must be able to pass through.
  chmodSync(folder, 0o711);
  const server = await madeOrRemoved(
    () => startEmbeddedPostgres({ dataDir: folder, log: () => {}, isDurable: false }),
    async () => rmSync(folder, { recursive: true, force: true }),
  );
  return { ...server, folder };
}
