import { mkdtemp, readFile, rm, writeFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { appendAudit } from '../../../subgraphs/shared/audit/audit-log.ts';
import { ANONYMOUS, identityOf } from '../../../subgraphs/shared/testing/asking.ts';
import {
  createBareDatabase,
  createTestDatabase,
  dropDatabase,
  type TestDatabase,
} from '../../../subgraphs/shared/testing/test-database.ts';
import { deployMigrations, migrationStatus } from '../../../subgraphs/shared/postgres/schema/migrations.ts';
import { generateSigningKey } from '../../../subgraphs/flags/signing/signing.ts';
import { readConfiguration } from '../../../main/configuration.ts';
import type { AdminCommand } from '../command.ts';
import { backupCommand } from './backup.ts';
import { tablesInOrder } from './postgres-tables.ts';
import { restoreCommand } from './restore.ts';
import { verifyBackupCommand } from './verify-backup.ts';

let source: TestDatabase;
let folder: string;
let key: string;
const targets: string[] = [];

beforeAll(async () => {
  source = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-backup-'));
  key = await generateSigningKey();
  await fill();
}, 60_000);
afterEach(async () => {
  for (const url of targets.splice(0)) await dropDatabase(url);
});
afterAll(async () => {
  await source?.drop();
  await rm(folder, { recursive: true, force: true });
});

const prisma = () => source.database.prisma;

/** Rows with all that a copy could spoil: text of every kind, JSON, nulls, times, references, detached months. */
async function fill(): Promise<void> {
  const user = await prisma().user.create({
    data: { email: 'a@example.com', name: 'Tab\there\nand \\N 김민수 😀', passwordHash: '-', role: 'ADMIN' },
  });
  const flag = await prisma().flag.create({
    data: {
      ...{ key: 'eco', name: 'Eco', type: 'json', safetyLevel: 'ASIL-D', environment: 'production' },
      ...{ defaultValue: { value: { 'a\u0001': [0.1, 1e21, null, '\\.'] } }, createdById: user.id, enabled: true },
    },
  });
  await prisma().rule.create({
    data: { flagId: flag.id, type: 'percentage_rollout', conditions: { rollout_percentage: 12.345 } },
  });
  await prisma().vehicle.create({
    data: { vin: 'KMHK281HGNU000001', model: 'Ioniq 5', swVersion: '2.5', region: 'EU', status: 'online' },
  });
  await prisma().$transaction((tx) =>
    appendAudit(tx, identityOf(ANONYMOUS), { action: 'UPDATE_FLAG', before: { a: 0.1 }, after: ['ü', null] }),
  );
  await prisma().$executeRaw`UPDATE environments SET revision = 42 WHERE name = 'production'`;
  await prisma().$executeRaw`SELECT create_audit_log_partition_of('2019-03-01')`;
  await prisma().$executeRaw`ALTER TABLE audit_logs DETACH PARTITION audit_logs_2019_03`;
}

async function run(command: AdminCommand, args: readonly string[], url: string) {
  const configuration = readConfiguration({
    ...{ DATABASE_URL: url, FLEETFLAG_DATA_DIR: join(folder, 'data'), FLEETFLAG_SIGNING_KEY: key, LOG_LEVEL: 'silent' },
  });
  const [out, err]: [string[], string[]] = [[], []];
  const output = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  return { code: await command(args, configuration, output), out: out.join('\n'), err: err.join('\n') };
}

async function target(): Promise<string> {
  const url = await createBareDatabase();
  targets.push(url);
  return url;
}

/** Reads a whole database: the rows of each table as text, in any order. */
async function contents(url: string): Promise<Record<string, string[]>> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const all: Record<string, string[]> = {};
    for (const { name } of await tablesInOrder(client)) {
      const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM "${name}" AS t ORDER BY 1`);
      all[name] = rows.map(({ row }) => row);
    }
    return all;
  } finally {
    await client.end();
  }
}

async function backUp(name: string): Promise<string> {
  const to = join(folder, name);
  const { code, err } = await run(backupCommand, ['--to', to], source.url);
  expect([code, err]).toEqual([0, expect.stringContaining('Not in the backup: FLEETFLAG_SIGNING_KEY')]);
  return to;
}

test('an empty database has every row of every table after a restore, and the whole schema', async () => {
  const from = await backUp('whole');
  const url = await target();
  const restored = await run(restoreCommand, ['--from', from], url);
  expect(restored).toMatchObject({ code: 0, out: expect.stringContaining('1 audit entries, all checked') as unknown });
  const [before, after] = [await contents(source.url), await contents(url)];
  expect(after).toEqual(before);
  expect(before['audit_logs_2019_03']).toEqual([]);
  expect(before['users']).toHaveLength(1);
  expect(await migrationStatus({ url })).toMatchObject({ pending: [], unknown: [], failed: [] });
});

test('a backup of an older schema is restored and brought up to date', async () => {
  const older = await target();
  const { applied } = await migrationStatus({ url: source.url });
  // The last ones of a release add tables; the backup of before has none of their rows.
  await deployMigrations({ url: older, only: applied.slice(0, -3) });
  const to = join(folder, 'older');
  // The database itself must not be brought up to date by the backup.
  expect(await run(backupCommand, ['--to', to], older)).toMatchObject({ code: 0 });
  expect((await migrationStatus({ url: older })).pending).toHaveLength(3);
  const url = await target();
  expect(await run(restoreCommand, ['--from', to], url)).toMatchObject({ code: 0 });
  expect((await migrationStatus({ url })).pending).toEqual([]);
});

test('a database with rows, or of another schema, is left as it is', async () => {
  const from = await backUp('refused');
  const before = await contents(source.url);
  await expect(run(restoreCommand, ['--from', from], source.url)).rejects.toThrow(
    'users has rows. Nothing was changed',
  );
  expect(await contents(source.url)).toEqual(before);
  const manifest = JSON.parse(await readFile(join(from, 'manifest.json'), 'utf8')) as {
    postgres: { migrations: string[] };
  };
  manifest.postgres.migrations.push('20990101000000_of_the_future');
  await writeFile(join(from, 'manifest.json'), JSON.stringify(manifest));
  await expect(run(restoreCommand, ['--from', from], await target())).rejects.toThrow('of a newer FleetFlag');
});

test.each([
  ['a changed byte', 'users.copy.gz', (bytes: Buffer) => Buffer.from(bytes.map((b, at) => (at === 30 ? b ^ 1 : b)))],
  ['a file cut short', 'flags.copy.gz', (bytes: Buffer) => bytes.subarray(0, -1)],
  ['a missing file', 'rules.copy.gz', () => null],
])('%s is found by verifying, and keeps a restore from changing anything', async (what, file, damage) => {
  const from = await backUp(`damaged ${what}`);
  expect(await run(verifyBackupCommand, ['--from', from], source.url)).toMatchObject({ code: 0 });
  const path = join(from, 'postgres', file);
  const damaged = damage(await readFile(path));
  if (damaged === null) await rm(path);
  else await writeFile(path, damaged);
  const verified = await run(verifyBackupCommand, ['--from', from], source.url);
  expect(verified).toMatchObject({ code: 1, err: expect.stringContaining(file) as unknown });
  const url = await target();
  await expect(run(restoreCommand, ['--from', from], url)).rejects.toThrow('Nothing was changed');
  expect(await contents(url)).toEqual({});
});

test('a folder without a manifest is no backup, and one that is not empty gets none', async () => {
  const from = await backUp('interrupted');
  await rm(join(from, 'manifest.json'));
  for (const command of [verifyBackupCommand, restoreCommand])
    await expect(run(command, ['--from', from], await target())).rejects.toThrow('no whole backup');
  await expect(run(backupCommand, ['--to', from], source.url)).rejects.toThrow('is not empty');
  await expect(run(verifyBackupCommand, ['--from', join(folder, 'nowhere')], source.url)).rejects.toThrow('no folder');
});

test('old backups beside the new one go when their days are over, and nothing else does', async () => {
  const parent = join(folder, 'weekly');
  for (const [name, days] of [
    ['old', 366],
    ['kept', 364],
  ] as const) {
    const path = join(await backUp(join('weekly', name)), 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8')) as { takenAt: string };
    await writeFile(
      path,
      JSON.stringify({ ...manifest, takenAt: new Date(Date.now() - days * 86_400_000).toISOString() }),
    );
  }
  await writeFile(join(parent, 'notes.txt'), '');
  const made = await run(backupCommand, ['--to', join(parent, 'new'), '--keep-days', '365'], source.url);
  expect(made.err).toContain(`Removed ${join(parent, 'old')}`);
  expect((await readdir(parent)).sort()).toEqual(['kept', 'new', 'notes.txt']);
});
