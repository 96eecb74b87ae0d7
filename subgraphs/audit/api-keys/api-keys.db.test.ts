import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { apiKeyHash, isApiKey } from '../../../core/credentials/api-key.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import { asking, identityOf, refusal, silent, user, type Ask } from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { startAudit } from '../subgraph.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

interface Key {
  id: string;
  name: string;
  keyPrefix: string;
  role: string;
  rateLimitPerMin: number;
  isActive: boolean;
  lastUsedAt: string | null;
  expiresAt: string | null;
  createdBy: { id: string } | null;
}
const FIELDS = '{ id name keyPrefix role rateLimitPerMin isActive lastUsedAt expiresAt createdBy { id } }';
const CREATE = `mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key apiKey ${FIELDS} } }`;
const REVOKE = `mutation ($id: ID!) { revokeApiKey(id: $id) ${FIELDS} }`;
const LIST = `{ apiKeys ${FIELDS} }`;
const CREDENTIAL =
  'query ($keyHash: String!) { apiKeyCredential(keyHash: $keyHash) { id role rateLimitPerMin expiresAt } }';

const GATEWAY: Caller = { kind: 'gateway' };
const keyCaller = (apiKeyId: string, role: 'READ' | 'WRITE' | 'ADMIN'): Caller => ({
  kind: 'apiKey',
  apiKeyId,
  role,
  rateLimitPerMin: 60,
});
const soon = () => new Date(Date.now() + 3_600_000).toISOString();

let database: TestDatabase;
let ask: Ask;
let close: () => Promise<void>;
let admin: Caller;
let adminId: string;
const prisma = () => database.database.prisma;

beforeAll(async () => {
  database = await createTestDatabase();
  const started = await startAudit({
    webhooks: testWebhookSettings,
    endPlans: endNoPlans,
    prisma: prisma(),
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  });
  ask = asking(started.subgraph);
  close = () => started.close();
  ({ id: adminId } = await prisma().user.create({
    data: { email: 'ann@example.com', name: 'Ann', passwordHash: 'x', role: 'ADMIN' },
  }));
  admin = user('ADMIN', adminId);
});
beforeEach(() => prisma().apiKey.deleteMany());
afterAll(async () => {
  await close();
  await database.drop();
});

async function create(input: Record<string, unknown> = {}): Promise<{ key: string; apiKey: Key }> {
  const { data, errors } = await ask<{ createApiKey: { key: string; apiKey: Key } }>(admin, CREATE, {
    input: { name: 'tier1_companyA', role: 'READ', ...input },
  });
  expect(errors).toEqual([]);
  return data.createApiKey;
}
const credential = async (key: string) =>
  (await ask<{ apiKeyCredential: unknown }>(GATEWAY, CREDENTIAL, { keyHash: apiKeyHash(key) })).data.apiKeyCredential;
const entries = (action: string, id: string) =>
  prisma().auditLog.findMany({ where: { action, afterValue: { path: ['id'], equals: id } } });
const row = (id: string) => prisma().apiKey.findUniqueOrThrow({ where: { id } });

describe('a new key', () => {
  test('is shown once, stored as its SHA-256, listed by its prefix and recorded without either', async () => {
    const expiresAt = soon();
    const { key, apiKey } = await create({ role: 'WRITE', rateLimitPerMin: 7, expiresAt });
    expect(isApiKey(key)).toBe(true);
    const shown = {
      name: 'tier1_companyA',
      keyPrefix: key.slice(0, 15),
      role: 'WRITE',
      rateLimitPerMin: 7,
      isActive: true,
      lastUsedAt: null,
      expiresAt,
      createdBy: { id: adminId },
    };
    expect(apiKey).toEqual({ id: apiKey.id, ...shown });
    expect((await ask<{ apiKeys: Key[] }>(admin, LIST)).data.apiKeys).toEqual([apiKey]);
    expect((await row(apiKey.id)).keyHash).toBe(apiKeyHash(key));
    const [entry, ...others] = await entries('CREATE_API_KEY', apiKey.id);
    expect(others).toEqual([]);
    expect(entry).toMatchObject({
      userId: adminId,
      beforeValue: null,
      afterValue: { name: 'tier1_companyA', role: 'WRITE', rateLimitPerMin: 7, expiresAt },
    });
    const everything = JSON.stringify(
      await prisma().auditLog.findMany({ where: { action: 'CREATE_API_KEY' } }),
      (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value),
    );
    for (const secret of [key, key.slice(-43), apiKeyHash(key)]) expect(everything).not.toContain(secret);
  });

  test('has 10,000 operations a minute and no expiry by default', async () => {
    for (const input of [{}, { rateLimitPerMin: null, expiresAt: null }]) {
      expect((await create(input)).apiKey).toMatchObject({ rateLimitPerMin: 10_000, expiresAt: null });
    }
    expect((await create({ name: ` ${'ü'.repeat(100)} ` })).apiKey.name).toBe('ü'.repeat(100));
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no name', { name: ' ' }, 'input.name'],
    ['a name of 101 characters', { name: 'x'.repeat(101) }, 'input.name'],
    ['a name of two lines', { name: 'a\nb' }, 'input.name'],
    ['a name that cannot be stored', { name: 'a\0b' }, 'input.name'],
    ['a right-to-left override in its name', { name: 'a\u202eb' }, 'input.name'],
    ['a zero-width space in its name', { name: 'a\u200bb' }, 'input.name'],
    ['half of a surrogate pair in its name', { name: 'a\ud800b' }, 'input.name'],
    ['the role SAFETY', { role: 'SAFETY' }, 'input.role'],
    ['no operation a minute', { rateLimitPerMin: 0 }, 'input.rateLimitPerMin'],
    ['too many operations a minute', { rateLimitPerMin: 1_000_001 }, 'input.rateLimitPerMin'],
    ['an expiry in the past', { expiresAt: '2024-01-01T00:00:00Z' }, 'input.expiresAt'],
  ])('is refused with %s', async (_what, input, field) => {
    const before = await prisma().auditLog.count();
    expect(refusal(await ask(admin, CREATE, { input: { name: 'k', role: 'READ', ...input } }))).toEqual({
      code: 'BAD_USER_INPUT',
      field,
    });
    expect([await prisma().apiKey.count(), await prisma().auditLog.count()]).toEqual([0, before]);
  });

  // The gateway names the field (gateway/composition/scalars.test.ts).
  test.each(['9999-12-31T23:59:59.999-23:59', '0001-01-01T00:00:00+23:59'])(
    'is refused with an expiry whose offset leads out of the valid years: %s',
    async (expiresAt) => {
      expect(refusal(await ask(admin, CREATE, { input: { name: 'k', role: 'READ', expiresAt } }))).toMatchObject({
        code: 'BAD_USER_INPUT',
      });
      expect(await prisma().apiKey.count()).toBe(0);
    },
  );

  test('can be created by administrators, and by no key', async () => {
    const { apiKey } = await create({ role: 'ADMIN' });
    for (const caller of [user('WRITE'), user('SAFETY'), keyCaller(apiKey.id, 'ADMIN'), GATEWAY]) {
      expect(refusal(await ask(caller, CREATE, { input: { name: 'k', role: 'READ' } }))).toEqual({ code: 'FORBIDDEN' });
      expect(refusal(await ask(caller, REVOKE, { id: apiKey.id }))).toEqual({ code: 'FORBIDDEN' });
    }
    expect(await prisma().apiKey.count()).toBe(1);
  });
});

describe('a key', () => {
  test('is accepted by its hash until it is revoked or has expired, and looked up by gateways only', async () => {
    const expiresAt = soon();
    const { key, apiKey } = await create({ rateLimitPerMin: 5, expiresAt });
    expect(await credential(key)).toEqual({ id: apiKey.id, role: 'READ', rateLimitPerMin: 5, expiresAt });
    expect(await credential(`${key}x`)).toBeNull();
    expect(refusal(await ask(admin, CREDENTIAL, { keyHash: apiKeyHash(key) }))).toEqual({ code: 'FORBIDDEN' });
    await prisma().apiKey.update({ where: { id: apiKey.id }, data: { expiresAt: new Date(Date.now() - 1_000) } });
    expect(await credential(key)).toBeNull();
    await prisma().apiKey.update({ where: { id: apiKey.id }, data: { expiresAt: null } });
    expect(await credential(key)).not.toBeNull();
    await ask(admin, REVOKE, { id: apiKey.id });
    expect(await credential(key)).toBeNull();
  });

  test('stays valid when its creator is deactivated', async () => {
    const { id } = await prisma().user.create({
      data: { email: 'leaver@example.com', name: 'Leaver', passwordHash: 'x', role: 'ADMIN' },
    });
    const { data } = await ask<{ createApiKey: { key: string } }>(user('ADMIN', id), CREATE, {
      input: { name: 'k', role: 'READ' },
    });
    await prisma().user.update({ where: { id }, data: { isActive: false } });
    expect(await credential(data.createApiKey.key)).not.toBeNull();
  });

  test('has its use recorded at most once a minute, which does not count as a change', async () => {
    const { key, apiKey } = await create();
    await credential(key);
    const first = await row(apiKey.id);
    expect(first.lastUsedAt).not.toBeNull();
    await Promise.all([credential(key), credential(key)]);
    expect((await row(apiKey.id)).lastUsedAt).toEqual(first.lastUsedAt);
    const longAgo = new Date(Date.now() - 61_000);
    await prisma().$executeRaw`UPDATE api_keys SET last_used_at = ${longAgo} WHERE id = ${apiKey.id}::uuid`;
    await credential(key);
    const again = await row(apiKey.id);
    expect(again.lastUsedAt?.getTime()).toBeGreaterThan(longAgo.getTime() + 50_000);
    expect(again.updatedAt).toEqual(first.updatedAt);
  });

  test('is accepted while another transaction has locked its row', async () => {
    const { key, apiKey } = await create();
    await prisma().$transaction(async (tx) => {
      await tx.$queryRaw`SELECT id FROM api_keys WHERE id = ${apiKey.id}::uuid FOR UPDATE`;
      expect(await credential(key)).toMatchObject({ id: apiKey.id });
    });
    expect((await row(apiKey.id)).lastUsedAt).toBeNull();
  });

  test('can be looked up together with many others', async () => {
    const keys = await Promise.all(['a', 'b'].map((name) => create({ name })));
    const query =
      'query ($a: String!, $b: String!, $c: String!) { a: apiKeyCredential(keyHash: $a) { id } b: apiKeyCredential(keyHash: $b) { id } c: apiKeyCredential(keyHash: $c) { id } }';
    const [a, b] = keys.map(({ key }) => apiKeyHash(key));
    const { data } = await ask(GATEWAY, query, { a, b, c: 'f'.repeat(64) });
    expect(data).toEqual({ a: { id: keys[0]?.apiKey.id }, b: { id: keys[1]?.apiKey.id }, c: null });
  });

  test('sees itself in the query me, and no other key', async () => {
    const { apiKey } = await create({ role: 'READ' });
    const self = keyCaller(apiKey.id, 'READ');
    expect((await ask(self, '{ me { kind role apiKey { id name rateLimitPerMin } user { id } } }')).data).toEqual({
      me: {
        kind: 'API_KEY',
        role: 'READ',
        apiKey: { id: apiKey.id, name: 'tier1_companyA', rateLimitPerMin: 10_000 },
        user: null,
      },
    });
    expect(refusal(await ask(self, LIST))).toEqual({ code: 'FORBIDDEN' });
    expect(refusal(await ask(keyCaller(apiKey.id, 'ADMIN'), LIST))).toBeNull();
  });
});

describe('revoking', () => {
  test('deactivates the key and is recorded once, however often and by however many callers', async () => {
    const { apiKey } = await create();
    const answers = await Promise.all(
      [1, 2, 3].map(() => ask<{ revokeApiKey: Key }>(admin, REVOKE, { id: apiKey.id })),
    );
    for (const { data, errors } of answers)
      expect([errors, data.revokeApiKey]).toEqual([[], { ...apiKey, isActive: false }]);
    expect(await entries('REVOKE_API_KEY', apiKey.id)).toMatchObject([
      {
        userId: adminId,
        beforeValue: { isActive: true },
        afterValue: { id: apiKey.id, name: 'tier1_companyA', role: 'READ', isActive: false },
      },
    ]);
    expect((await ask<{ apiKeys: Key[] }>(admin, LIST)).data.apiKeys).toEqual([{ ...apiKey, isActive: false }]);
  });

  test.each(['7', '0198f0aa-0000-7000-8000-000000000001'])('an unknown key (%s) is NOT_FOUND', async (id) => {
    expect(refusal(await ask(admin, REVOKE, { id }))).toEqual({ code: 'NOT_FOUND', field: 'id' });
  });
});

test("the audit entry of a key's action names the key", async () => {
  const { apiKey } = await create();
  await prisma().$transaction((tx) =>
    appendAudit(tx, identityOf(keyCaller(apiKey.id, 'WRITE')), { action: 'UPDATE_FLAG', after: {} }),
  );
  const { data } = await ask(
    admin,
    '{ auditLogs(filter: { action: "UPDATE_FLAG" }) { nodes { user { id } apiKey { name } } } }',
  );
  expect(data).toEqual({ auditLogs: { nodes: [{ user: null, apiKey: { name: 'tier1_companyA' } }] } });
});
