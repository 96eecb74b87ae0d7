import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { readCatalogue } from '../../testing/catalogue.ts';
import { createBareDatabase, dropDatabase } from '../../testing/test-database.ts';
import { runMigrateCommand } from './migrate-command.ts';
import { deployMigrations, migrationStatus, rollBackMigrations } from './migrations.ts';
import { rounds } from '../../../../core/testing/rounds.ts';

const PRISMA = fileURLToPath(new URL('../../../../prisma', import.meta.url));
const NAMES = readdirSync(join(PRISMA, 'migrations'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();

let url: string;
let client: Client;
/** A copy of prisma/ that a test may change. */
let schemaFolder: string;

beforeAll(() => {
  schemaFolder = mkdtempSync(join(tmpdir(), 'fleetflag-migrations-'));
});
afterAll(() => rmSync(schemaFolder, { recursive: true, force: true }));

beforeEach(async () => {
  url = await createBareDatabase();
  client = new Client({ connectionString: url });
  await client.connect();
  rmSync(schemaFolder, { recursive: true, force: true });
  mkdirSync(schemaFolder);
  cpSync(join(PRISMA, 'schema.prisma'), join(schemaFolder, 'schema.prisma'));
  cpSync(join(PRISMA, 'migrations'), join(schemaFolder, 'migrations'), { recursive: true });
});

afterEach(async () => {
  await client.end();
  await dropDatabase(url);
});

/** Replaces the bare database by one with all migrations applied: this run's template. */
async function useDeployed(): Promise<void> {
  await client.end();
  await dropDatabase(url);
  url = await createBareDatabase(process.env['FLEETFLAG_TEST_TEMPLATE']);
  client = new Client({ connectionString: url });
  await client.connect();
}

function addMigration(name: string, sql: string): void {
  mkdirSync(join(schemaFolder, 'migrations', name), { recursive: true });
  writeFileSync(join(schemaFolder, 'migrations', name, 'migration.sql'), sql);
}

/**
 * The steps in which the test below applies the migrations: the older ones together, because the gate has tested them
 * one by one before, and the newest alone; with all rounds, each alone.
 */
const STEPS: readonly (readonly string[])[] = (() => {
  const alone = rounds(3, NAMES.length);
  const together = NAMES.slice(0, NAMES.length - alone);
  return [...(together.length > 0 ? [together] : []), ...NAMES.slice(NAMES.length - alone).map((name) => [name])];
})();

test('each migration leaves nothing behind when it is reverted, and all can be applied again', async () => {
  await deployMigrations({ url });
  const states = [await readCatalogue(client)];
  for (const step of [...STEPS].reverse()) {
    expect(await rollBackMigrations({ url }, step.length)).toEqual([...step].reverse());
    states.push(await readCatalogue(client));
  }
  expect(states.at(-1)).toEqual({ tables: {}, functions: {}, partitions: [], others: [] });

  // Forwards in the same steps: each starts from the state that the way back left.
  rmSync(join(schemaFolder, 'migrations'), { recursive: true });
  mkdirSync(join(schemaFolder, 'migrations'));
  cpSync(join(PRISMA, 'migrations/migration_lock.toml'), join(schemaFolder, 'migrations/migration_lock.toml'));
  for (const [i, step] of STEPS.entries()) {
    for (const name of step)
      cpSync(join(PRISMA, 'migrations', name), join(schemaFolder, 'migrations', name), { recursive: true });
    expect(await deployMigrations({ url, schemaFolder })).toEqual(step);
    expect(await readCatalogue(client)).toEqual(states[STEPS.length - 1 - i]);
  }
}, 120_000);

test("Prisma's own table contains each migration as applied in one step, with the checksum of its file", async () => {
  await useDeployed();
  const { rows } = await client.query<{ migration_name: string; checksum: string }>(
    'SELECT * FROM _prisma_migrations ORDER BY migration_name',
  );
  expect(rows).toEqual(
    NAMES.map((name) => ({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      migration_name: name,
      checksum: createHash('sha256')
        .update(readFileSync(join(PRISMA, 'migrations', name, 'migration.sql')))
        .digest('hex'),
      started_at: expect.any(Date),
      finished_at: expect.any(Date),
      rolled_back_at: null,
      applied_steps_count: 1,
      logs: null,
    })),
  );
});

test('concurrent deploys apply every migration once', async () => {
  const applied = await Promise.all([1, 2, 3].map(() => deployMigrations({ url })));
  expect(applied.flat().sort()).toEqual(NAMES);
  const { rows } = await client.query('SELECT count(*)::int AS count FROM _prisma_migrations');
  expect(rows).toEqual([{ count: NAMES.length }]);
});

test('a second deploy finds nothing to do, and the status says that all migrations are applied', async () => {
  await useDeployed();
  expect(await deployMigrations({ url })).toEqual([]);
  expect(await migrationStatus({ url })).toEqual({ applied: NAMES, pending: [], edited: [], failed: [], unknown: [] });
});

test('an applied migration that was changed afterwards is reported and stops the next deploy', async () => {
  await useDeployed();
  const [first] = NAMES;
  addMigration(first!, 'CREATE TABLE users ();');
  expect((await migrationStatus({ url, schemaFolder })).edited).toEqual([first]);
  await expect(deployMigrations({ url, schemaFolder })).rejects.toThrow(new RegExp(`changed afterwards: ${first}`));
});

test('a migration that fails leaves nothing behind, and the next deploy applies its corrected form', async () => {
  await useDeployed();
  addMigration('20990101000000_broken', 'CREATE TABLE half (id INTEGER); SELECT 1/0;');
  await expect(deployMigrations({ url, schemaFolder })).rejects.toThrow(/division by zero/);
  expect(Object.keys((await readCatalogue(client)).tables)).not.toContain('half');
  expect((await migrationStatus({ url, schemaFolder })).failed).toEqual(['20990101000000_broken']);

  addMigration('20990101000000_broken', 'CREATE TABLE half (id INTEGER);');
  expect(await deployMigrations({ url, schemaFolder })).toEqual(['20990101000000_broken']);
  expect((await migrationStatus({ url, schemaFolder })).pending).toEqual([]);
});

test('a process killed between a migration and its bookkeeping does not make it run twice', async () => {
  await useDeployed();
  const last = NAMES.at(-1);
  await client.query(
    `UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = 0, logs = 'fleetflag: script committed' WHERE migration_name = $1`,
    [last],
  );
  expect(await deployMigrations({ url, schemaFolder })).toEqual([]);
  const { rows } = await client.query('SELECT finished_at, logs FROM _prisma_migrations WHERE migration_name = $1', [
    last,
  ]);
  expect(rows).toEqual([{ finished_at: expect.any(Date), logs: null }]);
});

test('a process killed within a migration does not stop the next deploy', async () => {
  await useDeployed();
  addMigration('20990101000000_killed', 'CREATE TABLE later (id INTEGER);');
  await client.query(
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) VALUES (gen_random_uuid(), 'x', '20990101000000_killed', now())`,
  );
  expect(await deployMigrations({ url, schemaFolder })).toEqual(['20990101000000_killed']);
  expect((await migrationStatus({ url, schemaFolder })).failed).toEqual([]);
});

test('a migration without down.sql cannot be reverted', async () => {
  await useDeployed();
  addMigration('20990101000000_one_way', 'SELECT 1;');
  await deployMigrations({ url, schemaFolder });
  await expect(rollBackMigrations({ url, schemaFolder }, 1)).rejects.toThrow('20990101000000_one_way has no down.sql');
});

test('a down.sql that fails changes nothing', async () => {
  await useDeployed();
  const before = await readCatalogue(client);
  writeFileSync(join(schemaFolder, 'migrations', NAMES.at(-1)!, 'down.sql'), 'DROP TABLE audit_chain; SELECT 1/0;');
  await expect(rollBackMigrations({ url, schemaFolder }, 1)).rejects.toThrow(/division by zero/);
  expect(await readCatalogue(client)).toEqual(before);
  expect((await migrationStatus({ url, schemaFolder })).pending).toEqual([]);
});

test("reverting and reapplying the audit chain's migration continues from the last audit row", async () => {
  await useDeployed();
  await client.query(
    `INSERT INTO audit_logs (action, chain_position, previous_hash, hash) VALUES ('SIGN_IN', 1, repeat('0', 64), repeat('a', 64))`,
  );
  await rollBackMigrations({ url }, NAMES.length - NAMES.findIndex((name) => name.endsWith('_audit_chain')));
  await deployMigrations({ url });
  const { rows } = await client.query('SELECT position, hash FROM audit_chain');
  expect(rows).toEqual([{ position: '1', hash: 'a'.repeat(64) }]);
});

test('an unreachable server is SERVICE_UNAVAILABLE', async () => {
  await expect(deployMigrations({ url: 'postgresql://nobody@127.0.0.1:1/none' })).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
  });
});

test('the command reports what it did, with exit code 0, 1 when something is pending or failed, 2 for wrong usage', async () => {
  const lines: string[] = [];
  const output = { out: (line: string) => lines.push(line), err: (line: string) => lines.push(line) };
  const run = async (databaseUrl: string, ...args: string[]) => {
    lines.length = 0;
    return {
      exit: await runMigrateCommand(args, { databaseUrl, dataDir: schemaFolder }, output),
      last: lines.at(-1),
      first: lines[0],
    };
  };
  expect(await run(url, 'status')).toMatchObject({ exit: 1, last: `0 applied, ${NAMES.length} pending.` });
  expect(await run(url, 'deploy')).toMatchObject({ exit: 0, last: `Migrations applied: ${NAMES.length}.` });
  expect(await run(url, 'deploy')).toMatchObject({ exit: 0, last: 'Nothing to do: all migrations are applied.' });
  expect(await run(url, 'status')).toMatchObject({ exit: 0, last: `${NAMES.length} applied, 0 pending: up to date.` });
  expect(await run(url, 'down', '2')).toMatchObject({
    exit: 0,
    first: `rolled back ${NAMES.at(-1)}`,
    last: 'Migrations rolled back: 2.',
  });
  expect(await run('postgresql://nobody@127.0.0.1:1/none', 'deploy')).toMatchObject({
    exit: 1,
    last: expect.stringContaining('not available'),
  });
  for (const wrong of [[], ['up'], ['deploy', 'now'], ['down', '0'], ['down', 'all'], ['down', '1', '2']]) {
    expect(await run(url, ...wrong)).toMatchObject({ exit: 2, first: expect.stringContaining('Usage:') });
  }
});

describe('the monthly job of the audit log', () => {
  const YEAR_AHEAD = '20261128004100_year_ahead_partitions';

  test('is scheduled where pg_cron is present, and removed when the migration is reverted', async () => {
    // Imitates the used part of pg_cron, which npm does not have.
    await client.query(`
      CREATE SCHEMA cron;
      CREATE TABLE cron.job (jobid BIGSERIAL PRIMARY KEY, jobname TEXT, schedule TEXT, command TEXT);
      CREATE FUNCTION cron.schedule(TEXT, TEXT, TEXT) RETURNS BIGINT LANGUAGE sql AS 'INSERT INTO cron.job (jobname, schedule, command) VALUES ($1, $2, $3) RETURNING jobid';
      CREATE FUNCTION cron.unschedule(BIGINT) RETURNS BOOLEAN LANGUAGE sql AS 'DELETE FROM cron.job WHERE jobid = $1 RETURNING true';`);
    await deployMigrations({ url });
    const jobs = async () =>
      (
        await client.query<{ jobname: string; schedule: string; command: string }>(
          'SELECT jobname, schedule, command FROM cron.job',
        )
      ).rows;
    expect(await jobs()).toEqual([
      { jobname: 'create-audit-partition', schedule: '0 0 1 * *', command: 'SELECT create_audit_log_partition()' },
    ]);
    await client.query((await jobs())[0]?.command ?? '');
    await rollBackMigrations({ url }, NAMES.length - NAMES.indexOf(YEAR_AHEAD));
    expect(await jobs()).toEqual([]);
  });

  test('that cannot be scheduled does not stop the migration', async () => {
    await client.query(
      `CREATE SCHEMA cron; CREATE FUNCTION cron.schedule(TEXT, TEXT, TEXT) RETURNS BIGINT LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'permission denied'; END; $$`,
    );
    expect(await deployMigrations({ url })).toContain(YEAR_AHEAD);
  });
});
