import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { apiKeyHash, isApiKey } from '../../../core/credentials/api-key.ts';
import { createTestDatabase, type TestDatabase } from '../../../subgraphs/shared/testing/test-database.ts';
import { readConfiguration } from '../../../main/configuration.ts';
import { apiKeyCommand } from './api-key.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function run(...args: string[]): Promise<string[]> {
  const out: string[] = [];
  const code = await apiKeyCommand(
    args,
    readConfiguration({ DATABASE_URL: database.url, FLEETFLAG_INTERNAL_SECRET: 'x'.repeat(32) }),
    { out: (line) => out.push(line), err: (line) => out.push(line) },
  );
  expect(code).toBe(0);
  return out;
}
const rows = () => database.database.prisma.apiKey.findMany({ orderBy: { createdAt: 'asc' } });

test('a key is created as requested, printed once, and recorded as created on the server', async () => {
  const [created = '', shown = ''] = await run(
    '--name',
    'Tier1 A',
    '--role',
    'write',
    '--rate-limit',
    '50',
    '--expires',
    '2099-12-31T23:59:59+01:00',
  );
  const key = shown.replace('Key, shown only this once: ', '');
  expect(isApiKey(key)).toBe(true);
  const [row] = await rows();
  expect(row).toMatchObject({
    keyHash: apiKeyHash(key),
    name: 'Tier1 A',
    role: 'WRITE',
    rateLimitPerMin: 50,
    expiresAt: new Date('2099-12-31T22:59:59Z'),
    createdById: null,
  });
  expect(created).toBe(
    `Created: ${row?.id}  ${key.slice(0, 15)}  WRITE  50/min  active  expires 2099-12-31T22:59:59.000Z  used never  Tier1 A`,
  );
  expect(await database.database.prisma.auditLog.findMany()).toMatchObject([
    { action: 'CREATE_API_KEY', userId: null, userAgent: 'fleetflag-admin' },
  ]);
  expect((await run('--list')).join()).not.toContain(key);
});

test('a key is revoked by its prefix, which distinguishes two of one name, or by its id', async () => {
  await run('--name', 'Twin', '--role', 'READ');
  await run('--name', '협력사', '--role', 'READ');
  const [, one, other] = await rows();
  expect(one?.keyPrefix).not.toBe(other?.keyPrefix);
  expect(await run('--revoke', one?.keyPrefix ?? '')).toEqual([expect.stringContaining(one?.id ?? '?')]);
  expect(await run('--revoke', other?.id ?? '')).toEqual([expect.stringMatching(/^Revoked: .* revoked /)]);
  expect((await rows()).map(({ isActive }) => isActive)).toEqual([true, false, false]);
  await expect(run('--revoke', one?.keyPrefix ?? '')).rejects.toThrow('No active API key');
});

test('two older keys with the same prefix are distinguished by their ids', async () => {
  const prisma = database.database.prisma;
  for (const keyHash of ['a', 'b'])
    await prisma.apiKey.create({ data: { name: 'Old', keyHash, keyPrefix: 'ff_api_key_Old______', role: 'READ' } });
  await expect(run('--revoke', 'ff_api_key_Old______')).rejects.toThrow('Several API keys');
});

test.each([
  [[], 'is required'],
  [['--name', 'x', '--list'], 'is required'],
  [['--list', '--role', 'READ'], 'require --name'],
  [['--name', 'x'], '--role'],
  [['--name', 'x', '--role', 'READ', '--rate-limit', '-1'], '--rate-limit'],
  [['--name', 'x', '--role', 'READ', '--expires', '2099-12-31'], '--expires'],
  [['--name', 'x', '--role', 'READ', '--expires', '2099-13-31T00:00:00Z'], '--expires'],
  [['--name', 'x', '--role', 'SAFETY'], 'SAFETY is for people'],
])('%j is refused and changes nothing', async (args, message) => {
  const before = await rows();
  await expect(run(...args)).rejects.toThrow(message);
  expect(await rows()).toEqual(before);
});
