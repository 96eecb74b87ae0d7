/**
 * A data folder that has lost its signing key or its secret, or keeps it badly, before a database that depends on it.
 */
import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { generateSigningKey, type Signer } from '../subgraphs/flags/signing/signing.ts';
import { appendAudit } from '../subgraphs/shared/audit/audit-log.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { rotateSigningKeyCommand } from '../commands/admin/signing/rotate-signing-key.ts';
import { vehicleTokenCommand } from '../commands/admin/access/vehicle-token.ts';
import { readConfiguration, type Configuration } from '../main/configuration.ts';
import { startingSecret } from '../main/secrets/secrets.ts';
import { startingSigner } from '../main/secrets/trusted-signer.ts';

let database: TestDatabase;
let folder: string;
beforeEach(async () => {
  [database, folder] = await Promise.all([createTestDatabase(), mkdtemp(join(tmpdir(), 'fleetflag-lost-'))]);
});
afterEach(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

const prisma = () => database.database.prisma;
const settings = (more: Record<string, string> = {}): Configuration =>
  readConfiguration({ DATABASE_URL: database.url, FLEETFLAG_DATA_DIR: folder, LOG_LEVEL: 'silent', ...more });
const starting = (more?: Record<string, string>) => startingSigner(prisma(), settings(more));
const keyFile = () => join(folder, 'signing-key.pem');

async function createFlag(signer: Signer, key: string): Promise<void> {
  const flags = new FlagService(prisma(), createFlagChanges(prisma(), signer, createInProcessBus(), silent));
  await flags.createFlag(identityOf(user('WRITE')), {
    key,
    name: key,
    type: 'boolean',
    defaultValue: false,
    safetyLevel: 'Non-Critical',
    environment: 'staging',
    enabled: true,
  });
}

async function rotate(
  args: string[],
  more?: Record<string, string>,
): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await rotateSigningKeyCommand(args, settings(more), {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

test('a start without the key that has signed stops, says what is lost and how to go on, and makes no other key', async () => {
  const first = await starting();
  await createFlag(first, 'one');
  await rm(keyFile());
  const message = await starting().then(
    () => '',
    (error: Error) => error.message,
  );
  for (const part of [
    keyFile(),
    first.kid,
    '1 flag definitions',
    'kill switch',
    'backup',
    'FLEETFLAG_SIGNING_KEY',
    'rotate-signing-key --replace-lost',
    '--keys',
  ])
    expect(message).toContain(part);
  expect(await readdir(folder)).toEqual([]);

  const alien = { FLEETFLAG_SIGNING_KEY: await generateSigningKey() };
  await expect(starting(alien)).rejects.toThrow(first.kid);
  await expect(starting(alien)).rejects.toThrow('FLEETFLAG_PREVIOUS_SIGNING_KEYS');
  await writeFile(keyFile(), alien.FLEETFLAG_SIGNING_KEY, { mode: 0o600 });
  await expect(starting()).rejects.toThrow(keyFile());
});

test('a key that is lost for good is replaced by one that signs everything again, and the control plane starts', async () => {
  const first = await starting();
  await createFlag(first, 'one');
  await prisma().user.create({ data: { email: 'a@example.com', name: 'A', passwordHash: '-', role: 'ADMIN' } });
  expect(await rotate(['--replace-lost'])).toMatchObject({ code: 1, err: expect.stringContaining('Nothing is lost') });
  await rm(keyFile());
  const { code, out } = await rotate(['--replace-lost']);
  expect(code).toBe(0);
  const second = await starting();
  expect(second.kid).not.toBe(first.kid);
  expect(out).toContain('staging: 1 signed with ' + second.kid);
  expect(out).toMatch(/kill switches included.*--keys/);
  expect(await readdir(folder)).toEqual(['signing-key.pem']);
  const audit = await prisma().auditLog.findMany({ where: { action: 'UPDATE_FLAG' } });
  expect(audit).toMatchObject([{ beforeValue: { signingKey: first.kid }, afterValue: { signingKey: second.kid } }]);
});

test('a replacement that was interrupted goes on with the same key, and no control plane starts in between', async () => {
  await createFlag(await starting(), 'one');
  await prisma().user.create({ data: { email: 'a@example.com', name: 'A', passwordHash: '-', role: 'ADMIN' } });
  await rm(keyFile());
  await prisma().user.updateMany({ data: { isActive: false } });
  // Stopped by what comes after the key was made: nobody is there in whose name it could be done.
  await expect(rotate(['--replace-lost'])).rejects.toThrow('--as');
  expect(await readdir(folder)).toEqual(['signing-key-next.pem']);
  await expect(starting()).rejects.toThrow('The signing key is lost');
  const next = await readFile(join(folder, 'signing-key-next.pem'), 'utf8');
  await prisma().user.updateMany({ data: { isActive: true } });
  expect((await rotate(['--replace-lost', '--as', 'a@example.com'])).code).toBe(0);
  expect(await readFile(keyFile(), 'utf8')).toBe(next);
});

test('where nothing is signed there is nothing to lose: a key is made, and one that is given is taken', async () => {
  expect(await rotate(['--replace-lost'])).toMatchObject({ code: 1, err: expect.stringContaining('Nothing is lost') });
  await starting({ FLEETFLAG_SIGNING_KEY: await generateSigningKey() });
  await starting();
  expect(await readdir(folder)).toEqual(['signing-key.pem']);
});

test('a start without the internal secret under which vehicle tokens were issued stops, and a command makes none', async () => {
  const vin = 'KMHK281HGNU000001';
  await prisma().vehicle.create({ data: { vin, model: 'A', swVersion: '1.0.0', region: 'EU', status: 'offline' } });
  const issue = () => vehicleTokenCommand(['--vin', vin], settings(), { out: () => undefined, err: () => undefined });
  await expect(issue()).rejects.toThrow('There is no internal secret');
  expect(await readdir(folder)).toEqual([]);
  const secret = await startingSecret(null, folder, prisma());
  expect(await startingSecret(null, folder, prisma())).toBe(secret);
  await issue();
  await rm(join(folder, 'internal-secret'));
  await expect(startingSecret(null, folder, prisma())).rejects.toThrow(
    /The internal secret is lost.*internal-secret.*issueVehicleToken/,
  );
  expect(await readdir(folder)).toEqual([]);
});

test('a start without the internal secret under which webhooks have theirs stops', async () => {
  await startingSecret(null, folder, prisma());
  await prisma().$transaction((tx) =>
    appendAudit(tx, identityOf(user('ADMIN')), { action: 'CREATE_WEBHOOK', after: { name: 'On call' } }),
  );
  await rm(join(folder, 'internal-secret'));
  await expect(startingSecret(null, folder, prisma())).rejects.toThrow(
    /The internal secret is lost.*rotateWebhookSecret/,
  );
  expect(await readdir(folder)).toEqual([]);
});

test.each(['signing-key.pem', 'signing-key-next.pem', 'internal-secret'])(
  '%s is refused by its name when it is empty or open to everybody',
  async (name) => {
    const path = join(folder, name);
    const opened = async () => [await starting(), await startingSecret(null, folder, prisma())];
    await opened();
    await writeFile(path, name === 'internal-secret' ? 'x'.repeat(40) : await generateSigningKey(), { mode: 0o600 });
    await chmod(path, 0o644);
    await expect(opened()).rejects.toThrow(`chmod 600 ${path}`);
    await chmod(path, 0o600);
    await opened();
    await writeFile(path, '\n');
    await expect(opened()).rejects.toThrow(`${path} is empty`);
    await writeFile(path, 'damaged');
    await expect(opened()).rejects.toThrow(path);
  },
);
