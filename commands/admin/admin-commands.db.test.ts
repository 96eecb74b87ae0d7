import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { generateSigningKey } from '../../subgraphs/flags/signing/signing.ts';
import { createTestDatabase, type TestDatabase } from '../../subgraphs/shared/testing/test-database.ts';
import { readConfiguration } from '../../main/configuration.ts';
import { advanceRevisionCommand } from './signing/advance-revision.ts';
import { actingPerson } from './acting-person.ts';
import type { AdminCommand } from './command.ts';
import { exportCommand } from './flags/export.ts';
import { importCommand } from './flags/import.ts';
import { resignDefinitionsCommand } from './signing/resign-definitions.ts';
import { rotateSigningKeyCommand } from './signing/rotate-signing-key.ts';

let database: TestDatabase;
let folder: string;
let key: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-admin-'));
  key = await generateSigningKey();
}, 60_000);

afterAll(async () => {
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  await prisma().user.updateMany({ data: { isActive: false } });
});

const prisma = () => database.database.prisma;
const person = async (role: string, isActive = true) =>
  prisma().user.create({
    data: { email: `${randomUUID()}@example.com`, name: 'P', passwordHash: '-', role, isActive },
  });

async function run(
  command: AdminCommand,
  args: string[],
  settings: Record<string, string> = {},
): Promise<{ code: number; out: string[]; err: string[] }> {
  const configuration = readConfiguration({
    DATABASE_URL: database.url,
    FLEETFLAG_DATA_DIR: folder,
    FLEETFLAG_SIGNING_KEY: key,
    LOG_LEVEL: 'silent',
    ...settings,
  });
  const [out, err]: [string[], string[]] = [[], []];
  return {
    code: await command(args, configuration, { out: (line) => out.push(line), err: (line) => err.push(line) }),
    out,
    err,
  };
}

async function flagFile(name: string): Promise<string> {
  const path = join(folder, `${name}.yaml`);
  await writeFile(
    path,
    `fleetflag: 1\nflags: {${name}: {name: A, type: boolean, safetyLevel: ASIL-B, enabled: true, defaultValue: false}}\n`,
  );
  return path;
}

const apply = (file: string, ...more: string[]) =>
  ['import', '--environment', 'staging', '--file', file, '--apply', ...more].slice(1);

test('the acting person is named by --as, or is the only administrator', async () => {
  await expect(actingPerson(prisma(), undefined)).rejects.toThrow('no active administrator');
  const [ann, writer] = [await person('ADMIN'), await person('WRITE')];
  await person('ADMIN', false);
  expect((await actingPerson(prisma(), undefined)).caller).toEqual({
    kind: 'user',
    userId: ann.id,
    role: 'ADMIN',
    sessionKey: null,
  });
  await person('ADMIN');
  await expect(actingPerson(prisma(), undefined)).rejects.toThrow('several administrators');
  expect((await actingPerson(prisma(), ` ${writer.email.toUpperCase()} `)).caller).toEqual({
    kind: 'user',
    userId: writer.id,
    role: 'WRITE',
    sessionKey: null,
  });
  for (const other of [await person('READ'), await person('SAFETY')])
    await expect(actingPerson(prisma(), other.email)).rejects.toThrow(`${other.role} may not`);
  await expect(actingPerson(prisma(), (await person('WRITE', false)).email)).rejects.toThrow('no active user');
});

test("an imported flag is recorded in the person's name", async () => {
  const writer = await person('WRITE');
  expect(await run(importCommand, apply(await flagFile('recorded'), '--as', writer.email))).toMatchObject({
    code: 0,
    out: ['+ recorded: new (boolean, ASIL-B, enabled, 0 rules)', 'recorded: created'],
  });
  const rows = await prisma().auditLog.findMany({ where: { flag: { key: 'recorded' } } });
  expect(rows).toMatchObject([
    { action: 'CREATE_FLAG', userId: writer.id, userAgent: 'fleetflag-admin', ipAddress: null },
  ]);
});

test('an import shows what it would make of the release policy, and only an administrator may import one that differs', async () => {
  const file = join(folder, 'policy.yaml');
  const policy = 'releasePolicy: {stages: [{percentage: 5, soak: PT1H}, {percentage: 100, soak: PT1H}]}';
  const flag = '{name: A, type: boolean, safetyLevel: ASIL-B, enabled: true, defaultValue: false}';
  const write = (text: string) => writeFile(file, `fleetflag: 1\n${text}\nflags: {with_policy: ${flag}}\n`);
  await write(policy);
  const [editor, admin] = [await person('WRITE'), await person('ADMIN')];
  const dryRun = await run(importCommand, ['--environment', 'development', '--file', file]);
  expect(dryRun.code).toBe(3);
  expect(dryRun.out[0]).toBe('~ releasePolicy');
  expect(dryRun.out[1]).toMatch(/^ {4}stages: \[\] → .*"percentage":5/);
  expect(dryRun.out.at(-1)).toMatch(/^The release policy differs\. 1 flags differ\. Nothing was changed/);
  const as = (email: string) => ['--environment', 'development', '--file', file, '--apply', '--as', email];
  const refused = await run(importCommand, as(editor.email));
  expect([refused.code, refused.err[0]]).toEqual([1, expect.stringMatching(/^releasePolicy: .*\(FORBIDDEN\)$/)]);
  expect(await prisma().flag.count({ where: { key: 'with_policy' } })).toBe(0);
  expect(await run(importCommand, as(admin.email))).toEqual({
    ...{ code: 0, err: [], out: [...dryRun.out.slice(0, -1), 'with_policy: created', 'releasePolicy: changed'] },
  });
  // What does not differ needs no right, and the flags of the file were written before its policy held.
  expect(await run(importCommand, as(editor.email))).toMatchObject({ code: 0, out: ['No differences.'] });
  expect(await prisma().release.count()).toBe(0);
  await write(policy.replace('PT1H', 'PT1M'));
  expect(await run(importCommand, as(admin.email))).toMatchObject({
    ...{ code: 0, err: [] },
    out: [
      '~ releasePolicy: looser (shorter-watch), a second person has to approve it',
      expect.stringMatching(/^ {4}stages: /),
      'releasePolicy: waits for approval',
    ],
  });
  await write(policy.replace('soak', 'soaks'));
  expect(await run(importCommand, as(admin.email))).toMatchObject({
    ...{ code: 1, out: [] },
    err: [expect.stringMatching(/^releasePolicy\.stages\.0\.soaks: .*\(BAD_USER_INPUT\)$/), expect.anything()],
  });
});

test("a command with another key than the control plane's signs nothing", async () => {
  const admin = await person('ADMIN');
  const alien = { FLEETFLAG_SIGNING_KEY: await generateSigningKey() };
  await run(importCommand, apply(await flagFile('signed'), '--as', admin.email));
  await expect(run(importCommand, apply(await flagFile('unsigned')), alien)).rejects.toThrow(
    'has signed nothing in this database',
  );
  await expect(run(resignDefinitionsCommand, [], alien)).rejects.toThrow('has signed nothing in this database');
  await expect(run(importCommand, apply(await flagFile('unsigned')), { FLEETFLAG_SIGNING_KEY: '' })).rejects.toThrow(
    'There is no signing key',
  );
  expect(await prisma().flag.count({ where: { key: 'unsigned' } })).toBe(0);

  const next = { ...alien, FLEETFLAG_PREVIOUS_SIGNING_KEYS: key };
  const { code, out } = await run(resignDefinitionsCommand, ['--environment', 'staging'], next);
  expect([code, out]).toEqual([0, [expect.stringMatching(/^staging: \d+ signed with /)]]);
  expect((await run(resignDefinitionsCommand, ['--environment', 'staging'], next)).out).toEqual([
    expect.stringMatching(/^staging: 0 signed with /),
  ]);
  // Restores the key of the other tests.
  await run(resignDefinitionsCommand, [], { FLEETFLAG_PREVIOUS_SIGNING_KEYS: alien.FLEETFLAG_SIGNING_KEY });
});

test("an environment's revision is raised above those that its vehicles have reported, in a person's name, and the command reports it", async () => {
  const admin = await person('ADMIN');
  await run(importCommand, apply(await flagFile('lifted'), '--as', admin.email));
  const { revision } = await prisma().environment.findUniqueOrThrow({ where: { name: 'staging' } });
  const vehicle = { model: 'EV9', swVersion: '1', region: 'EU', status: 'offline', environment: 'staging' };
  await prisma().vehicle.createMany({
    data: [
      { ...vehicle, vin: 'KMH00000000000001', appliedRevision: 500 },
      { ...vehicle, vin: 'KMH00000000000002', appliedRevision: 2_147_483_647 },
    ],
  });
  const living = await prisma().flag.count({ where: { environment: 'staging', archivedAt: null } });
  const lift = (...args: string[]) => run(advanceRevisionCommand, ['--environment', 'staging', ...args]);
  expect(await lift('--beyond', '400', '--reason', 'restored', '--as', admin.email)).toEqual({
    code: 0,
    out: [`staging: from revision ${revision} to ${500 + living}; ${living} flags signed again.`],
    err: [
      'Vehicles of staging have reported revision 500: its revision was raised above that, not only above 400.',
      expect.stringMatching(/^1 vehicles report a revision that no environment can have/),
      expect.stringMatching(
        new RegExp(
          `^\\d+ of the ${living} flags are enabled and not killed, and vehicles serve them now: .*\\blifted\\b.*pull its kill switch now`,
        ),
      ),
    ],
  });
  expect((await lift('--beyond', '0', '--reason', 'again')).err[0]).toBe(
    `staging was at revision ${500 + living} already: its revision was raised above that, not only above 0.`,
  );
  expect(await prisma().auditLog.findFirst({ where: { action: 'ADVANCE_REVISION' } })).toMatchObject({
    userId: admin.id,
    afterValue: { reason: 'restored' },
  });
  for (const args of [
    ['--beyond', '1'],
    ['--reason', 'r'],
    ['--beyond', '-1', '--reason', 'r'],
    ['--beyond', '1e3', '--reason', 'r'],
    ['--beyond', '1', '--reason', ' '],
  ]) {
    await expect(lift(...args)).rejects.toThrow('npm run admin -- advance-revision');
  }
  await expect(lift('--beyond', '9999999999', '--reason', 'r')).rejects.toThrow('0 to 2000000000');
  await expect(run(advanceRevisionCommand, ['--beyond', '1', '--reason', 'r'])).rejects.toThrow(
    '--environment must be one of',
  );
});

test('Redis that does not answer delays the announcement and nothing else', async () => {
  await person('ADMIN');
  const { code } = await run(
    importCommand,
    ['--environment', 'development', '--file', await flagFile('unannounced'), '--apply'],
    { REDIS_URL: 'redis://127.0.0.1:1' },
  );
  expect(code).toBe(0);
});

test('a file that is missing, is no text, or has a folder in its place is reported as such', async () => {
  const missing = ['--environment', 'staging', '--file', join(folder, 'none.yaml')];
  await expect(run(importCommand, missing)).rejects.toThrow('none.yaml');
  const binary = join(folder, 'binary.yaml');
  await writeFile(binary, Buffer.from([0xff, 0xfe, 0]));
  expect(await run(importCommand, ['--environment', 'staging', '--file', binary])).toMatchObject({
    code: 1,
    err: ['The file must be UTF-8 text.', 'Nothing was changed: 1 faults.'],
  });
  await expect(run(exportCommand, ['--environment', 'staging', '--file', folder])).rejects.toThrow();
});

test('a key given in the settings is not rotated in the data folder', async () => {
  for (const option of [[], ['--prepare'], ['--finish']])
    expect(await run(rotateSigningKeyCommand, option)).toMatchObject({
      code: 1,
      err: [expect.stringContaining('FLEETFLAG_SIGNING_KEY')],
    });
  await expect(run(rotateSigningKeyCommand, ['--prepare', '--finish'])).rejects.toThrow('Use only one of');
});
