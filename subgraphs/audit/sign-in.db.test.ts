import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import type { Role } from '../../core/protocol/caller.ts';
import { SESSION_SECONDS, isSessionToken, sessionKey } from '../../core/protocol/session.ts';
import { createInProcessBus } from '../shared/bus.ts';
import { createInProcessStore, type KeyValueStore } from '../shared/key-value-store.ts';
import { NOBODY, asking, identityOf, refusal, silent, user, type Ask } from '../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../shared/testing/test-database.ts';
import { ensureAdministrator } from './administrator.ts';
import { hashPassword } from './passwords.ts';
import { startAudit } from './subgraph.ts';

const LOGIN = 'mutation($email: String!, $password: String!) { login(email: $email, password: $password) { token expiresAt user { id email role lastLoginAt } } }';
const PASSWORD = 'correct horse battery staple';
type LoggedIn = { login: { token: string; expiresAt: string; user: { id: string; email: string; role: Role; lastLoginAt: string } } };

const memory = createInProcessStore();
/** The key and time to live of each session that was set, and whether the store answers. */
let kept: { key: string; ttl: number }[] = [];
let answering = true;
const sessions: KeyValueStore = {
  ...memory,
  async set(key, value, ttl) {
    if (!answering) throw new FleetFlagError('SERVICE_UNAVAILABLE', 'The cache does not answer; try again.');
    kept.push({ key, ttl });
    await memory.set(key, value, ttl);
  },
};

let database: TestDatabase;
let ask: Ask;
let close: () => Promise<void>;
let passwordHash: string;

const prisma = () => database.database.prisma;
const account = (email: string, more: { isActive?: boolean; role?: Role } = {}) => prisma().user.create({ data: { email, name: 'Ann', passwordHash, role: 'READ', ...more } });
const trail = async () => (await prisma().auditLog.findMany({ orderBy: { chainPosition: 'asc' } })).map(({ action, userId, beforeValue, afterValue }) => ({ action, userId, beforeValue, afterValue }));
const login = (email: string, password = PASSWORD) => ask<LoggedIn>(NOBODY, LOGIN, { email, password });

beforeAll(async () => {
  database = await createTestDatabase();
  passwordHash = await hashPassword(PASSWORD);
  const started = await startAudit({ prisma: prisma(), sessions, checkOperation: () => [], bus: createInProcessBus(), logger: silent });
  ask = asking(started.subgraph);
  close = () => started.close();
});

afterEach(async () => {
  answering = true;
  kept = [];
  expect(JSON.stringify(await trail())).not.toMatch(/correct horse|ffs_|argon2/);
});

afterAll(async () => {
  await close();
  await database.drop();
});

describe('signing in', () => {
  test('gives a session that is kept for twelve hours under the hash of its token, and records it', async () => {
    const { id, updatedAt } = await account('ann@example.com', { role: 'SAFETY' });
    const { data, errors } = await login('ann@example.com');
    expect(errors).toEqual([]);
    const { token, expiresAt } = data.login;
    expect(isSessionToken(token)).toBe(true);
    expect(kept).toEqual([{ key: sessionKey(token), ttl: SESSION_SECONDS }]);
    expect(JSON.parse((await memory.get(sessionKey(token))) ?? '')).toEqual({ userId: id, role: 'SAFETY', expiresAt });
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 12 * 3_600_000)).toBeLessThan(60_000);
    const row = await prisma().user.findUniqueOrThrow({ where: { id } });
    expect(data.login.user).toEqual({ id, email: 'ann@example.com', role: 'SAFETY', lastLoginAt: row.lastLoginAt?.toISOString() });
    expect(row.updatedAt).toEqual(updatedAt);
    expect((await trail()).at(-1)).toEqual({ action: 'SIGN_IN', userId: id, beforeValue: null, afterValue: { email: 'ann@example.com' } });
  });

  test('does not care how the e-mail is written', async () => {
    await account('bob@example.com');
    expect((await login(' Bob@Example.COM ')).errors).toEqual([]);
  });

  test('is refused alike for an unknown e-mail, a wrong password and a deactivated account, and each is recorded', async () => {
    await account('carl@example.com');
    await account('dora@example.com', { isActive: false });
    const before = (await trail()).length;
    const answers = [await login('nobody@example.com'), await login('carl@example.com', 'wrong'), await login('dora@example.com')];
    for (const { errors } of answers) {
      expect(errors).toEqual([{ message: 'E-mail or password is wrong.', path: ['login'], extensions: { code: 'UNAUTHENTICATED' } }]);
    }
    expect((await trail()).slice(before)).toEqual(
      ['nobody@example.com', 'carl@example.com', 'dora@example.com'].map((email) => ({ action: 'SIGN_IN_FAILED', userId: null, beforeValue: null, afterValue: { email } })),
    );
    expect(kept).toEqual([]);
  });

  test.each([
    ['an endless e-mail', 'x'.repeat(100_000), 'x'.repeat(255)],
    ['one that cannot be stored', 'a\0b\ud800@example.com', 'a\uFFFDb\uFFFD@example.com'],
    ['none', '', ''],
  ])('with %s is refused like any other and recorded as far as it fits', async (_, email, recorded) => {
    expect(refusal(await login(email))).toEqual({ code: 'UNAUTHENTICATED' });
    expect((await trail()).at(-1)).toMatchObject({ action: 'SIGN_IN_FAILED', afterValue: { email: recorded } });
  });

  test('without the session store is refused as SERVICE_UNAVAILABLE and is no sign-in', async () => {
    const { id } = await account('emil@example.com');
    const before = await trail();
    answering = false;
    expect(refusal(await login('emil@example.com'))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(await trail()).toEqual(before);
    expect((await prisma().user.findUniqueOrThrow({ where: { id } })).lastLoginAt).toBeNull();
  });

  test('that cannot be recorded leaves no session behind', async () => {
    const { id } = await account('fred@example.com');
    const answer = await ask(identityOf(NOBODY, { requestId: 'no UUID' }), LOGIN, { email: 'fred@example.com', password: PASSWORD });
    expect(refusal(answer)).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(kept).toHaveLength(1);
    expect(await memory.get(kept[0]?.key ?? '')).toBeNull();
    expect((await prisma().user.findUniqueOrThrow({ where: { id } })).lastLoginAt).toBeNull();
  });

  test('by a flood is refused in part, with the time to wait, and works again afterwards', async () => {
    await account('gina@example.com');
    const answers = await Promise.all(Array.from({ length: 60 }, () => login('gina@example.com', 'guess')));
    const limited = answers.filter((answer) => refusal(answer)?.code === 'RATE_LIMITED');
    expect(limited.length).toBeGreaterThan(0);
    expect(limited.length).toBeLessThan(60);
    for (const { errors } of limited) expect(errors[0]?.extensions).toEqual({ code: 'RATE_LIMITED', retryAfter: 1 });
    for (const answer of answers) expect(['RATE_LIMITED', 'UNAUTHENTICATED']).toContain(refusal(answer)?.code);
    expect((await login('gina@example.com')).errors).toEqual([]);
  });
});

describe('the first administrator', () => {
  const administrators = () => prisma().user.findMany({ where: { role: 'ADMIN' } });

  afterEach(async () => {
    // Users of the trail cannot be deleted: another role makes room for the next test.
    for (const { id, email } of await administrators()) await prisma().user.update({ where: { id }, data: { role: 'READ', email: `former-${email}` } });
  });

  test('is created once, with a generated password that works', async () => {
    const created = await ensureAdministrator(prisma(), { email: 'Root@Example.com', password: null });
    expect(created).toEqual({ email: 'root@example.com', password: expect.stringMatching(/^([a-zA-Z2-9]{6}-){3}[a-zA-Z2-9]{6}$/) });
    expect((await trail()).at(-1)).toMatchObject({ action: 'CREATE_USER', userId: null, afterValue: { email: 'root@example.com', role: 'ADMIN', name: 'Administrator' } });
    const { data } = await login('root@example.com', created?.password ?? '');
    expect(data.login.user.role).toBe('ADMIN');
    expect(await ensureAdministrator(prisma(), { email: 'other@example.com', password: null })).toBeNull();
    expect(JSON.stringify(await trail())).not.toContain(created?.password);
  });

  test('gets the password that is given, which is not shown', async () => {
    expect(await ensureAdministrator(prisma(), { email: 'given@example.com', password: 'a given password' })).toEqual({ email: 'given@example.com', password: null });
    expect((await login('given@example.com', 'a given password')).errors).toEqual([]);
  });

  test('is one, when several processes start at once', async () => {
    const results = await Promise.all(Array.from({ length: 4 }, (_, index) => ensureAdministrator(prisma(), { email: `root${index}@example.com`, password: null })));
    expect(results.filter((result) => result !== null)).toHaveLength(1);
    expect(await administrators()).toHaveLength(1);
  });

  test('is not created beside one who is deactivated', async () => {
    await account('away@example.com', { role: 'ADMIN', isActive: false });
    expect(await ensureAdministrator(prisma(), { email: 'new@example.com', password: null })).toBeNull();
  });

  test("is refused where the e-mail is another account's", async () => {
    await account('taken@example.com');
    await expect(ensureAdministrator(prisma(), { email: 'taken@example.com', password: null })).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

test('only an administrator sees the accounts, newest first, and nobody sees a hash', async () => {
  const query = 'query($first: Int, $after: String) { users(first: $first, after: $after) { totalCount nodes { id email } pageInfo { hasNextPage endCursor } } }';
  for (const role of ['READ', 'WRITE', 'SAFETY'] as const) expect(refusal(await ask(user(role), query))).toEqual({ code: 'FORBIDDEN' });
  const stored = await prisma().user.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'desc' }] });
  type Page = { users: { totalCount: number; nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } } };
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const { data }: { data: Page } = await ask<Page>(user('ADMIN'), query, { first: 3, after });
    expect(data.users.totalCount).toBe(stored.length);
    seen.push(...data.users.nodes.map(({ id }) => id));
    after = data.users.pageInfo.hasNextPage ? data.users.pageInfo.endCursor : null;
  } while (after !== null);
  expect(seen).toEqual(stored.map(({ id }) => id));
  expect((await ask(user('ADMIN'), '{ users { nodes { passwordHash } } }')).errors).toHaveLength(1);
});

test('me says who is calling', async () => {
  const query = '{ me { kind role vin environment user { email } } }';
  const { id } = await account('me@example.com');
  const nothing = { role: null, vin: null, environment: null, user: null };
  expect((await ask(user('READ', id), query)).data).toEqual({ me: { ...nothing, kind: 'USER', role: 'READ', user: { email: 'me@example.com' } } });
  expect((await ask({ kind: 'apiKey', apiKeyId: null, role: 'WRITE', rateLimitPerMin: null }, query)).data).toEqual({ me: { ...nothing, kind: 'API_KEY', role: 'WRITE' } });
  const vehicle = { kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' } as const;
  expect((await ask(vehicle, query)).data).toEqual({ me: { ...nothing, kind: 'VEHICLE', vin: vehicle.vin, environment: 'STAGING' } });
  expect(refusal(await ask(NOBODY, query))).toEqual({ code: 'UNAUTHENTICATED' });
});
