import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { madeOrRemoved } from '../../../core/testing/made-or-removed.ts';
import { openDatabase, type Database } from '../postgres/database.ts';
import { databaseUrl } from './test-server.ts';

/** A database of one test file. */
export interface TestDatabase {
  readonly url: string;
  readonly database: Database;
  /** Closes and deletes the database. */
  drop(): Promise<void>;
}

/** SQLSTATE object_in_use: another worker is copying the template. */
const IN_USE = '55006';

/**
 * Creates a migrated database for one test file, empty except for the migrations' rows. Needs the project `database`
 * (file name `*.db.test.ts`).
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const url = await createBareDatabase(process.env['FLEETFLAG_TEST_TEMPLATE']);
  const database = await madeOrRemoved(
    () => openDatabase({ url, maxConnections: 5 }),
    () => dropDatabase(url),
  );
  return {
    url,
    database,
    drop: async () => {
      await database.close();
      await dropDatabase(url);
    },
  };
}

/** Creates an empty database, or a copy of `template`, and gives its URL; `dropDatabase` deletes it. */
export async function createBareDatabase(template = 'template0'): Promise<string> {
  // A server that writes through to its disk copies faster by its log, and one in memory by files.
  const strategy = process.env['TEST_DATABASE_URL'] ? 'WAL_LOG' : 'FILE_COPY';
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  for (let attempt = 1; ; attempt++) {
    try {
      await onServer((client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY ${strategy}`));
      return databaseUrl(serverUrl(), name);
    } catch (error) {
      if ((error as { code?: string }).code !== IN_USE || attempt === 100) throw error;
      await delay(50);
    }
  }
}

/** Deletes a database of `createBareDatabase`, and ends its connections. */
export async function dropDatabase(url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1);
  await onServer((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
}

async function onServer(use: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: serverUrl() });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

function serverUrl(): string {
  const url = process.env['FLEETFLAG_TEST_SERVER'];
  if (!url)
    throw new Error('FLEETFLAG_TEST_SERVER is not set: a test needs the name *.db.test.ts to get a database server.');
  return url;
}
