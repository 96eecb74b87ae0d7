import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Pool } from 'pg';
import { NO_FILTER, openSchemaEngine, type MigrationList, type SchemaEngine } from './schema-engine.ts';
import { asServiceError } from '../service-error.ts';
import { is, readRows, type Shaped } from '../../../../core/json/shape.ts';
import { errorMessage } from '../../../../core/caught-error.ts';

/** The state of a database compared with this checkout's migrations. Names are those of the folders, oldest first. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied migrations whose migration.sql has changed since. */
  readonly edited: readonly string[];
  /** Migrations that began and did not finish. */
  readonly failed: readonly string[];
  /** Applied migrations that this checkout lacks: the database is newer. */
  readonly unknown: readonly string[];
}

/** The database to migrate, and where its migrations are. */
export interface MigrationOptions {
  readonly url: string;
  /** The folder with schema.prisma and migrations/; this checkout's by default. */
  readonly schemaFolder?: string | undefined;
  /** The names of the migrations to know of, for a database of an earlier version; all by default. */
  readonly only?: readonly string[] | undefined;
}

const SCHEMA_FOLDER = fileURLToPath(new URL('../../../../prisma', import.meta.url));

/** The key of the advisory lock; any number that nothing else in the database uses. */
const LOCK_KEY = 4_617_253_018;

/**
 * Applies the pending migrations in order; any number of processes may call it at once. Gives the names of those that
 * this call applied. A migration that fails, or whose process is killed, leaves nothing behind; the next call tries it
 * again.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when PostgreSQL cannot be reached; Error when an applied migration was
 * changed, or one fails
 */
export async function deployMigrations(options: MigrationOptions): Promise<readonly string[]> {
  return underLock(options, async (client, folder) => {
    const names = await migrationNames(folder, options.only);
    // The engine takes a good part of a second to load, and most starts find nothing to do.
    if (await isUpToDate(client, folder, names)) return [];
    await settleUnfinished(client);
    return withEngine(options, folder, async (engine, migrationsList) => {
      const { editedMigrationNames: edited } = await engine.diagnoseMigrationHistory({
        migrationsList,
        optInToShadowDatabase: false,
        filters: NO_FILTER,
      });
      if (edited.length > 0) {
        throw new Error(
          `Applied migrations were changed afterwards: ${edited.join(', ')}. Restore their migration.sql and put the change into a new migration.`,
        );
      }
      const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList, filters: NO_FILTER });
      await settleUnfinished(client);
      return appliedMigrationNames;
    });
  });
}

/**
 * Compares the database with the migrations, without changing it.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when PostgreSQL cannot be reached
 */
export async function migrationStatus(options: MigrationOptions): Promise<MigrationStatus> {
  return underLock(options, async (client, folder) => {
    const names = await migrationNames(folder, options.only);
    const rows = await appliedRows(client);
    const diagnosis = await withEngine(options, folder, (engine, migrationsList) =>
      engine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters: NO_FILTER }),
    );
    const applied = rows.map((row) => row.migration_name);
    return {
      applied,
      pending: names.filter((name) => !applied.includes(name)),
      edited: diagnosis.editedMigrationNames,
      failed: diagnosis.failedMigrationNames,
      unknown: applied.filter((name) => !names.includes(name)),
    };
  });
}

/**
 * Reverts the newest `count` applied migrations, newest first, each with its down.sql and its row in one transaction.
 * Gives their names.
 *
 * @throws FleetFlagError SERVICE_UNAVAILABLE when PostgreSQL cannot be reached; Error when a migration has no down.sql
 * or its script fails; migrations reverted before it stay reverted
 */
export async function rollBackMigrations(options: MigrationOptions, count: number): Promise<readonly string[]> {
  return underLock(options, async (client, folder) => {
    const newest = (await appliedRows(client)).reverse().slice(0, count);
    const done: string[] = [];
    for (const { id, migration_name: name } of newest) {
      const script = await readFile(join(folder, 'migrations', name, 'down.sql'), 'utf8').catch(() => {
        throw new Error(`${name} has no down.sql: it cannot be rolled back.`);
      });
      await client.query('BEGIN');
      try {
        await client.query(script);
        await client.query('DELETE FROM _prisma_migrations WHERE id = $1', [id]);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        throw new Error(`${name} could not be rolled back: ${errorMessage(error)}`, { cause: error });
      }
      done.push(name);
    }
    return done;
  });
}

/** Marks a migration's row between the commit of its script and the engine's own update of the row. */
const COMMITTED = 'fleetflag: script committed';

/**
 * Settles rows that a killed process left open. A migration's script and its mark are written in one transaction: with
 * the mark it is applied, without the mark nothing of it is.
 */
async function settleUnfinished(client: Client): Promise<void> {
  if (!(await hasMigrationsTable(client))) return;
  await client.query(
    'UPDATE _prisma_migrations SET finished_at = COALESCE(finished_at, NOW()), applied_steps_count = 1, logs = NULL WHERE logs = $1',
    [COMMITTED],
  );
  await client.query(
    'UPDATE _prisma_migrations SET rolled_back_at = NOW() WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  );
}

async function hasMigrationsTable(client: Client): Promise<boolean> {
  const { rows } = await client.query(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found`);
  return readRows({ found: is.boolean }, rows, 'The answer about _prisma_migrations')[0]?.found ?? false;
}

const APPLIED = { id: is.string, migration_name: is.string, checksum: is.string };
type AppliedRow = Shaped<typeof APPLIED>;

/** Reads the applied migrations, oldest first. */
async function appliedRows(client: Client): Promise<AppliedRow[]> {
  if (!(await hasMigrationsTable(client))) return [];
  const { rows } = await client.query(
    'SELECT id, migration_name, checksum FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY migration_name',
  );
  return readRows(APPLIED, rows, 'A row of _prisma_migrations');
}

/** Checks whether exactly these migrations are applied, unchanged. */
async function isUpToDate(client: Client, folder: string, names: readonly string[]): Promise<boolean> {
  const rows = await appliedRows(client);
  if (rows.length !== names.length) return false;
  const { rows: unfinished } = await client.query(
    'SELECT 1 FROM _prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  );
  if (unfinished.length > 0) return false;
  const checksums = await Promise.all(
    names.map((name) => checksumOf(join(folder, 'migrations', name, 'migration.sql'))),
  );
  return rows.every((row, i) => row.migration_name === names[i] && row.checksum === checksums[i]);
}

/** Computes Prisma's checksum of a migration: SHA-256 of the file, in hexadecimal. */
async function checksumOf(path: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await readFile(path));
  return Buffer.from(digest).toString('hex');
}

async function migrationNames(folder: string, only: readonly string[] | undefined): Promise<string[]> {
  const entries = await readdir(join(folder, 'migrations'), { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .filter((name) => only === undefined || only.includes(name))
    .sort();
}

async function withEngine<T>(
  { url, only }: MigrationOptions,
  folder: string,
  use: (engine: SchemaEngine, list: MigrationList) => Promise<T>,
): Promise<T> {
  const pool = new Pool({ connectionString: url, max: 1 });
  pool.on('error', () => {});
  try {
    const list = await migrationList(folder, only);
    const engine = await openSchemaEngine(pool, await readFile(join(folder, 'schema.prisma'), 'utf8'), (script) =>
      list.migrationDirectories.some(({ migrationFile }) => migrationFile.content.value === script)
        ? `;UPDATE _prisma_migrations SET logs = '${COMMITTED}' WHERE finished_at IS NULL AND rolled_back_at IS NULL;`
        : '',
    );
    try {
      return await use(engine, list);
    } finally {
      engine.free();
    }
  } finally {
    await pool.end();
  }
}

/** Reads the migrations in the engine's form. */
async function migrationList(folder: string, only: readonly string[] | undefined): Promise<MigrationList> {
  const baseDir = join(folder, 'migrations');
  const names = await migrationNames(folder, only);
  return {
    baseDir,
    lockfile: { path: 'migration_lock.toml', content: await readFile(join(baseDir, 'migration_lock.toml'), 'utf8') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names.map(async (name) => ({
        path: name,
        migrationFile: {
          path: 'migration.sql',
          content: { tag: 'ok' as const, value: await readFile(join(baseDir, name, 'migration.sql'), 'utf8') },
        },
      })),
    ),
  };
}

/**
 * Runs `use` under the advisory lock. A separate session holds the lock, so it is released however this process ends.
 */
async function underLock<T>(
  options: MigrationOptions,
  use: (client: Client, folder: string) => Promise<T>,
): Promise<T> {
  const client = new Client({
    connectionString: options.url,
    connectionTimeoutMillis: 5_000,
    application_name: 'fleetflag migrations',
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY]);
    return await use(client, options.schemaFolder ?? SCHEMA_FOLDER);
  } catch (error) {
    throw asServiceError(error);
  } finally {
    await client.end().catch(() => {});
  }
}
