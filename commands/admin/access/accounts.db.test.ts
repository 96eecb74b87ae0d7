import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { Sessions } from '../../../subgraphs/audit/sessions/sessions.ts';
import { startAudit } from '../../../subgraphs/audit/subgraph.ts';
import { createInProcessBus } from '../../../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../../../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../../subgraphs/shared/stores/rate-limiter.ts';
import { openRedis } from '../../../subgraphs/shared/stores/redis.ts';
import { ANONYMOUS, asking, refusal, silent, type Ask } from '../../../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../../subgraphs/shared/testing/test-database.ts';
import { readConfiguration } from '../../../main/configuration.ts';
import { createUserCommand, resetPasswordCommand } from './accounts.ts';
import { UsageError, type AdminCommand } from '../command.ts';
import { vehicleTokenCommand } from './vehicle-token.ts';
import { endNoPlans } from '../../../subgraphs/shared/testing/no-plans.ts';
import { testUnless } from '../../../core/testing/unless.ts';
import { testWebhookSettings } from '../../../subgraphs/shared/testing/webhook-settings.ts';

const SECRET = 'x'.repeat(40);
let database: TestDatabase;
let folder: string;
let ask: Ask;
let stop: () => Promise<void>;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-accounts-'));
  const started = await startAudit({
    webhooks: testWebhookSettings,
    endPlans: endNoPlans,
    prisma: database.database.prisma,
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  });
  [ask, stop] = [asking(started.subgraph), () => started.close()];
}, 60_000);

afterAll(async () => {
  await stop?.();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

async function run(command: AdminCommand, ...args: string[]): Promise<string[]> {
  return runWith({}, command, ...args);
}

async function runWith(settings: Record<string, string>, command: AdminCommand, ...args: string[]): Promise<string[]> {
  const out: string[] = [];
  const configuration = readConfiguration({
    DATABASE_URL: database.url,
    FLEETFLAG_DATA_DIR: folder,
    FLEETFLAG_INTERNAL_SECRET: SECRET,
    LOG_LEVEL: 'silent',
    ...settings,
  });
  expect(await command(args, configuration, { out: (line) => out.push(line), err: () => undefined })).toBe(0);
  return out;
}

const signIn = (email: string, password: string) =>
  ask(
    ANONYMOUS,
    'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { user { role } } }',
    { email, password },
  );
const passwordIn = (lines: string[]) => /once: (\S+)$/.exec(lines.at(-1) ?? '')?.[1] ?? '';

test('a new account signs in with the printed password, and the audit log does not contain it', async () => {
  const password = passwordIn(
    await run(
      createUserCommand,
      '--email',
      'Safety@Example.com',
      '--name',
      'Sam',
      '--role',
      'safety',
      '--department',
      'ADAS',
    ),
  );
  expect((await signIn('safety@example.com', password)).data).toEqual({ login: { user: { role: 'SAFETY' } } });
  const rows = await database.database.prisma.auditLog.findMany({ where: { action: 'CREATE_USER' } });
  expect(rows.map(({ afterValue, userAgent }) => [afterValue, userAgent])).toEqual([
    [expect.objectContaining({ email: 'safety@example.com', role: 'SAFETY', department: 'ADAS' }), 'fleetflag-admin'],
  ]);
  expect(
    JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
  ).not.toContain(password);
});

test('a new password replaces the old one', async () => {
  const old = passwordIn(await run(createUserCommand, '--email', 'w@example.com', '--name', 'W', '--role', 'WRITE'));
  const password = passwordIn(await run(resetPasswordCommand, '--email', 'W@example.com'));
  expect(refusal(await signIn('w@example.com', old))?.code).toBe('UNAUTHENTICATED');
  expect((await signIn('w@example.com', password)).errors).toEqual([]);
  const { afterValue } = await database.database.prisma.auditLog.findFirstOrThrow({ where: { action: 'UPDATE_USER' } });
  expect(afterValue).toEqual({
    id: expect.any(String),
    email: 'w@example.com',
    password: 'changed',
    endsSessions: true,
  });
});

test('while Redis is down a password cannot be changed, because sessions could not be ended, but an account can be created', async () => {
  const redisDown = { REDIS_URL: 'redis://127.0.0.1:1' };
  const password = passwordIn(
    await runWith(redisDown, createUserCommand, '--email', 'r@example.com', '--name', 'R', '--role', 'READ'),
  );
  await expect(runWith(redisDown, resetPasswordCommand, '--email', 'r@example.com')).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
  });
  expect((await signIn('r@example.com', password)).errors).toEqual([]);
});

const redis = process.env['TEST_REDIS_URL'] ?? '';
/** A test that needs a real Redis server, which npm cannot install. */
const withServer = testUnless(redis === '' ? 'TEST_REDIS_URL names no Redis server' : null);

withServer('a new password ends the sessions that are in Redis', async () => {
  await run(createUserCommand, '--email', 's@example.com', '--name', 'S', '--role', 'READ');
  const { id } = await database.database.prisma.user.findUniqueOrThrow({ where: { email: 's@example.com' } });
  const cache = await openRedis(redis, silent);
  try {
    const sessions = new Sessions(cache.store);
    const { key } = await sessions.begin({ id, role: 'READ' }, new Date());
    await runWith({ REDIS_URL: redis }, resetPasswordCommand, '--email', 's@example.com');
    expect(await sessions.exists(key)).toBe(false);
  } finally {
    await Promise.all([cache.bus.close(), cache.store.close()]);
  }
});

test('the gateway accepts an issued token, and only registered vehicles can have one', async () => {
  const vin = 'KMHK281HGNU000001';
  await expect(run(vehicleTokenCommand, '--vin', vin)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await database.database.prisma.vehicle.create({
    data: { vin, model: 'A', swVersion: '1.0.0', region: 'EU', status: 'offline' },
  });
  const [token = ''] = await run(vehicleTokenCommand, '--vin', vin, '--environment', 'staging', '--days', '2');
  expect((await createVehicleTokens(SECRET).verify(token)).caller).toEqual({
    kind: 'vehicle',
    vin,
    environment: 'staging',
  });
});

test("tokens are revoked without a user's name, and the next one is of the next generation", async () => {
  const vin = 'KMHK281HGNU000002';
  await expect(run(vehicleTokenCommand, '--revoke', vin)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await database.database.prisma.vehicle.create({
    data: { vin, model: 'A', swVersion: '1.0.0', region: 'EU', status: 'offline' },
  });
  expect(await run(vehicleTokenCommand, '--revoke', vin)).toEqual([`${vin}: all tokens are revoked.`]);
  const [token = ''] = await run(vehicleTokenCommand, '--vin', vin);
  expect((await createVehicleTokens(SECRET).verify(token)).generation).toBe(1);
  expect(
    await database.database.prisma.auditLog.findFirst({ where: { action: 'REVOKE_VEHICLE_TOKENS' } }),
  ).toMatchObject({ userId: null, userAgent: 'fleetflag-admin', afterValue: { vin, generation: 1 } });
});

test.each<[string, AdminCommand, string[]]>([
  ['an unknown role', createUserCommand, ['--email', 'a@b', '--name', 'A', '--role', 'BOSS']],
  ['no name', createUserCommand, ['--email', 'a@b', '--role', 'READ']],
  ['no e-mail', resetPasswordCommand, []],
  ['an unknown option', resetPasswordCommand, ['--email', 'a@b', '--password', 'x']],
  ['no VIN', vehicleTokenCommand, []],
  [
    'a VIN to issue for and one to revoke',
    vehicleTokenCommand,
    ['--vin', 'KMHK281HGNU000001', '--revoke', 'KMHK281HGNU000001'],
  ],
  ['days that are not a number', vehicleTokenCommand, ['--vin', 'KMHK281HGNU000001', '--days', 'many']],
])('%s is answered with the usage', async (_what, command, args) => {
  await expect(run(command, ...args)).rejects.toBeInstanceOf(UsageError);
});

test('an invalid e-mail, a taken one and an unknown one are refused', async () => {
  await expect(run(createUserCommand, '--email', 'none', '--name', 'A', '--role', 'READ')).rejects.toMatchObject({
    code: 'BAD_USER_INPUT',
  });
  await run(createUserCommand, '--email', 'taken@example.com', '--name', 'A', '--role', 'READ');
  await expect(
    run(createUserCommand, '--email', 'TAKEN@example.com', '--name', 'A', '--role', 'READ'),
  ).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(run(resetPasswordCommand, '--email', 'nobody@example.com')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
