import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../postgres/embedded/embedded-postgres.ts';
import { deployMigrations } from '../postgres/schema/migrations.ts';
import { databaseUrl, type TestServer } from './test-server.ts';

/**
 * Jest's global setup of the project `database`: a PostgreSQL server for the whole run (an embedded one in a temporary
 * folder, or that of `TEST_DATABASE_URL`, whose user must be a superuser) with a migrated template
 * that `createTestDatabase` clones. Workers learn of it through environment variables.
 */
export default async function setUpDatabase(): Promise<void> {
  const server = await openServer();
  const template = `fleetflag_template_${randomUUID().slice(0, 8)}`;
  try {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query(`CREATE DATABASE ${template}`);
    await client.end();
    await deployMigrations({ url: databaseUrl(server.url, template) });
  } catch (error) {
    await server.stop();
    throw error;
  }
  process.env['FLEETFLAG_TEST_SERVER'] = server.url;
  process.env['FLEETFLAG_TEST_TEMPLATE'] = template;
  globalThis.fleetFlagTestServer = { ...server, template };
}

async function openServer(): Promise<Omit<TestServer, 'template'>> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) return { url: given, folder: null, stop: async () => {} };
  const folder = mkdtempSync(join(tmpdir(), 'fleetflag-test-'));
  // As root, the server runs under another account, which must be able to pass through.
  chmodSync(folder, 0o711);
  const server = await startEmbeddedPostgres({ dataDir: folder, log: () => {}, isDurable: false });
  return { ...server, folder };
}
