import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller, Role } from '../../../core/access/caller.ts';
import { permissionsOf } from '../../../core/access/permissions.ts';
import { SESSION_SECONDS, isSessionToken, sessionKey } from '../../../core/credentials/session.ts';
import { ANONYMOUS, identityOf, refusal, user } from '../../shared/testing/asking.ts';
import { ensureAdministrator } from '../accounts/administrator.ts';
import { SignInThrottle } from './sign-in-throttle.ts';
import { AuditUnderTest, LOGIN, PASSWORD } from '../testing/audit-under-test.ts';

let audit: AuditUnderTest;

const prisma = () => audit.prisma;
const account = (email: string, more: { isActive?: boolean; role?: Role } = {}) =>
  audit.account(more.role, { email, ...more });
const trail = () => audit.trail();
const login = (email: string, password?: string) => audit.login(email, password);
const kept = () => audit.kept.filter(({ key }) => key.startsWith('session:'));

beforeAll(async () => {
  audit = await AuditUnderTest.start();
}, 60_000);

afterEach(async () => {
  audit.answering = true;
  audit.before = async () => undefined;
  audit.kept = [];
  expect(JSON.stringify(await trail())).not.toMatch(/correct horse|ffs_|argon2/);
});

afterAll(() => audit.close());

describe('signing in', () => {
  test("gives a session that is stored for twelve hours under its token's hash, and records it", async () => {
    const { id, updatedAt } = await account('ann@example.com', { role: 'SAFETY' });
    const { data, errors } = await login('ann@example.com');
    expect(errors).toEqual([]);
    const { token, expiresAt } = data.login;
    expect(isSessionToken(token)).toBe(true);
    expect(kept()).toEqual([{ key: sessionKey(token), ttl: SESSION_SECONDS }]);
    expect(JSON.parse((await audit.memory.get(sessionKey(token))) ?? '')).toEqual({
      userId: id,
      role: 'SAFETY',
      expiresAt,
    });
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 12 * 3_600_000)).toBeLessThan(60_000);
    const row = await prisma().user.findUniqueOrThrow({ where: { id } });
    expect(data.login.user).toEqual({
      id,
      email: 'ann@example.com',
      role: 'SAFETY',
      lastLoginAt: row.lastLoginAt?.toISOString(),
    });
    expect(row.updatedAt).toEqual(updatedAt);
    expect((await trail()).at(-1)).toEqual({
      action: 'SIGN_IN',
      userId: id,
      beforeValue: null,
      afterValue: { email: 'ann@example.com' },
    });
  });

  test('accepts the e-mail with any capitals and blanks', async () => {
    await account('bob@example.com');
    expect((await login(' Bob@Example.COM ')).errors).toEqual([]);
  });

  test('is refused alike for an unknown e-mail, a wrong password and a deactivated account, and each is recorded', async () => {
    await account('carl@example.com');
    await account('dora@example.com', { isActive: false });
    const before = (await trail()).length;
    const answers = [
      await login('nobody@example.com'),
      await login('carl@example.com', 'wrong'),
      await login('dora@example.com'),
    ];
    for (const { errors } of answers) {
      expect(errors).toEqual([
        { message: 'The e-mail or the password is wrong.', path: ['login'], extensions: { code: 'UNAUTHENTICATED' } },
      ]);
    }
    expect((await trail()).slice(before)).toEqual(
      ['nobody@example.com', 'carl@example.com', 'dora@example.com'].map((email) => ({
        action: 'SIGN_IN_FAILED',
        userId: null,
        beforeValue: null,
        afterValue: { email },
      })),
    );
    expect(kept()).toEqual([]);
  });

  test.each([
    ['an endless e-mail', 'x'.repeat(100_000), 'x'.repeat(255)],
    ['one that cannot be stored', 'a\0b\ud800@example.com', 'a\uFFFDb\uFFFD@example.com'],
    ['none', '', ''],
  ])('with %s is refused like any other and recorded as far as it fits', async (_, email, recorded) => {
    expect(refusal(await login(email))).toEqual({ code: 'UNAUTHENTICATED' });
    expect((await trail()).at(-1)).toMatchObject({ action: 'SIGN_IN_FAILED', afterValue: { email: recorded } });
  });

  test('without the session store is refused as SERVICE_UNAVAILABLE and is not recorded', async () => {
    const { id } = await account('emil@example.com');
    const before = await trail();
    for (const call of ['get', 'members', 'addMember', 'set']) {
      audit.answering = true;
      audit.before = async (name) => {
        if (name === call) audit.answering = false;
      };
      expect(refusal(await login('emil@example.com'))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
      expect(await trail()).toEqual(before);
    }
    expect((await prisma().user.findUniqueOrThrow({ where: { id } })).lastLoginAt).toBeNull();
  });

  test('that cannot be recorded leaves no session behind', async () => {
    const { id } = await account('fred@example.com');
    const answer = await audit.ask(identityOf(ANONYMOUS, { requestId: 'no UUID' }), LOGIN, {
      email: 'fred@example.com',
      password: PASSWORD,
    });
    expect(refusal(answer)).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(kept()).toHaveLength(1);
    expect(await audit.memory.get(kept()[0]?.key ?? '')).toBeNull();
    expect((await prisma().user.findUniqueOrThrow({ where: { id } })).lastLoginAt).toBeNull();
  });

  test('of a crowd at once is refused in part, with the second to wait, and works again afterwards', async () => {
    await account('gina@example.com');
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => login(`somebody-${index}@example.com`, 'guess')),
    );
    const limited = answers.filter((answer) => refusal(answer)?.code === 'RATE_LIMITED');
    expect(limited.length).toBeGreaterThan(0);
    expect(limited.length).toBeLessThan(60);
    for (const { errors } of limited) expect(errors[0]?.extensions).toEqual({ code: 'RATE_LIMITED', retryAfter: 1 });
    for (const answer of answers) expect(['RATE_LIMITED', 'UNAUTHENTICATED']).toContain(refusal(answer)?.code);
    expect((await login('gina@example.com')).errors).toEqual([]);
  });
});

describe('guessing passwords', () => {
  const guess = (email: string, ipAddress: string | null, password = 'guess') =>
    audit.login(email, password, ipAddress);
  /** Records that many failures, without the computations. */
  async function failed(times: number, email: string, address: () => string): Promise<void> {
    const throttle = new SignInThrottle(audit.limiter, audit.memory);
    for (let time = 0; time < times; time++) await throttle.attempt(email, address());
  }

  test('at an account is stopped after ten attempts, whether or not it exists, and is then no longer recorded', async () => {
    await account('hugo@example.com');
    for (const email of ['hugo@example.com', 'not-hugo@example.com']) {
      await failed(8, email, () => audit.newAddress());
      for (const address of [audit.newAddress(), null])
        expect(refusal(await guess(email, address))).toEqual({ code: 'UNAUTHENTICATED' });
      const recorded = await trail();
      for (const [address, password] of [
        [audit.newAddress(), 'guess'],
        [audit.newAddress(), PASSWORD],
        [null, PASSWORD],
      ] as const) {
        const { errors } = await guess(` ${email.toUpperCase()}`, address, password);
        expect(errors).toEqual([
          {
            message: expect.stringMatching(/^Too many failed sign-ins; try again in \d+ s\.$/),
            path: ['login'],
            extensions: { code: 'RATE_LIMITED', retryAfter: expect.any(Number) },
          },
        ]);
      }
      expect(await trail()).toEqual(recorded);
    }
  });

  test('that is refused costs no computation: many guesses at once keep no user from signing in', async () => {
    await account('ivo@example.com');
    await failed(10, 'victim@example.com', () => audit.newAddress());
    const [answers, { errors }] = await Promise.all([
      Promise.all(Array.from({ length: 200 }, () => guess('victim@example.com', audit.newAddress()))),
      guess('ivo@example.com', audit.newAddress(), PASSWORD),
    ]);
    for (const answer of answers) expect(answer.errors[0]?.message).toContain('Too many failed sign-ins');
    expect(errors).toEqual([]);
  });

  test('does not lock out a person who signs in from a known address', async () => {
    await account('ines@example.com');
    const home = audit.newAddress();
    expect((await guess('ines@example.com', home, PASSWORD)).errors).toEqual([]);
    await failed(10, 'ines@example.com', () => audit.newAddress());
    expect(refusal(await guess('ines@example.com', audit.newAddress(), PASSWORD))).toEqual({ code: 'RATE_LIMITED' });
    expect((await guess('ines@example.com', home, PASSWORD)).errors).toEqual([]);
    // That sign-in does not give the others ten more guesses.
    expect(refusal(await guess('ines@example.com', audit.newAddress()))).toEqual({ code: 'RATE_LIMITED' });
  });

  test('is reset by a sign-in', async () => {
    await account('kim@example.com');
    for (let round = 0; round < 3; round++) {
      await failed(9, 'kim@example.com', () => audit.newAddress());
      expect((await guess('kim@example.com', audit.newAddress(), PASSWORD)).errors).toEqual([]);
    }
  });
});

describe('the first administrator', () => {
  const administrators = () => prisma().user.findMany({ where: { role: 'ADMIN' } });

  afterEach(async () => {
    // Users that the audit log names cannot be deleted, so another role makes room for the next test.
    for (const { id, email } of await administrators())
      await prisma().user.update({ where: { id }, data: { role: 'READ', email: `former-${email}` } });
  });

  test('is created once, with a generated password that works', async () => {
    const created = await ensureAdministrator(prisma(), { email: 'Root@Example.com', password: null });
    expect(created).toEqual({
      email: 'root@example.com',
      password: expect.stringMatching(/^([a-zA-Z2-9]{6}-){3}[a-zA-Z2-9]{6}$/),
    });
    expect((await trail()).at(-1)).toMatchObject({
      action: 'CREATE_USER',
      userId: null,
      afterValue: { email: 'root@example.com', role: 'ADMIN', name: 'System Admin', department: 'IT' },
    });
    const { data } = await login('root@example.com', created?.password ?? '');
    expect(data.login.user.role).toBe('ADMIN');
    expect(await ensureAdministrator(prisma(), { email: 'other@example.com', password: null })).toBeNull();
    expect(JSON.stringify(await trail())).not.toContain(created?.password);
  });

  test('gets the given password, which is not shown', async () => {
    expect(await ensureAdministrator(prisma(), { email: 'given@example.com', password: 'a given password' })).toEqual({
      email: 'given@example.com',
      password: null,
    });
    expect((await login('given@example.com', 'a given password')).errors).toEqual([]);
  });

  test('is created once when several processes start at once', async () => {
    const results = await Promise.all(
      Array.from({ length: 4 }, (_, index) =>
        ensureAdministrator(prisma(), { email: `root${index}@example.com`, password: null }),
      ),
    );
    expect(results.filter((result) => result !== null)).toHaveLength(1);
    expect(await administrators()).toHaveLength(1);
  });

  test('is not created beside a deactivated one', async () => {
    await account('away@example.com', { role: 'ADMIN', isActive: false });
    expect(await ensureAdministrator(prisma(), { email: 'new@example.com', password: null })).toBeNull();
  });

  test('is refused when the e-mail belongs to another account', async () => {
    await account('taken@example.com');
    await expect(ensureAdministrator(prisma(), { email: 'taken@example.com', password: null })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });
});

test('only an administrator sees the accounts, newest first, and nobody sees a hash', async () => {
  const query =
    'query($first: Int, $after: String) { users(first: $first, after: $after) { totalCount nodes { id email } pageInfo { hasNextPage endCursor } } }';
  for (const role of ['READ', 'WRITE', 'SAFETY'] as const)
    expect(refusal(await audit.ask(user(role), query))).toEqual({ code: 'FORBIDDEN' });
  const stored = await prisma().user.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'desc' }] });
  type Page = {
    users: { totalCount: number; nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
  };
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const { data }: { data: Page } = await audit.ask<Page>(user('ADMIN'), query, { first: 3, after });
    expect(data.users.totalCount).toBe(stored.length);
    seen.push(...data.users.nodes.map(({ id }) => id));
    after = data.users.pageInfo.hasNextPage ? data.users.pageInfo.endCursor : null;
  } while (after !== null);
  expect(seen).toEqual(stored.map(({ id }) => id));
  expect((await audit.ask(user('ADMIN'), '{ users { nodes { passwordHash } } }')).errors).toHaveLength(1);
});

test('me gives the calling user', async () => {
  const query = '{ me { kind role vin environment user { email } } }';
  const { id } = await account('me@example.com');
  const nothing = { role: null, vin: null, environment: null, user: null };
  expect((await audit.ask(user('READ', id), query)).data).toEqual({
    me: { ...nothing, kind: 'USER', role: 'READ', user: { email: 'me@example.com' } },
  });
  expect(
    (await audit.ask({ kind: 'apiKey', apiKeyId: null, role: 'WRITE', rateLimitPerMin: null }, query)).data,
  ).toEqual({ me: { ...nothing, kind: 'API_KEY', role: 'WRITE' } });
  const vehicle = { kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' } as const;
  expect((await audit.ask(vehicle, query)).data).toEqual({
    me: { ...nothing, kind: 'VEHICLE', vin: vehicle.vin, environment: 'STAGING' },
  });
  expect(refusal(await audit.ask(ANONYMOUS, query))).toEqual({ code: 'UNAUTHENTICATED' });
});

test('me says what the caller may do: users by role, API keys and vehicles', async () => {
  const permissions = async (caller: Caller) =>
    (await audit.ask<{ me: { permissions: string[] } }>(caller, '{ me { permissions } }')).data.me.permissions;
  const key = { kind: 'apiKey', apiKeyId: null, rateLimitPerMin: null } as const;
  const vehicle = { kind: 'vehicle', vin: 'KMH00000000000001', environment: 'staging' } as const;
  const callers = [
    ...(['READ', 'WRITE', 'SAFETY', 'ADMIN'] as const).map((role) => user(role)),
    ...(['READ', 'WRITE', 'ADMIN'] as const).map((role) => ({ ...key, role })),
    vehicle,
  ];
  for (const caller of callers) expect(await permissions(caller)).toEqual(permissionsOf(caller));
  expect(await permissions(user('SAFETY'))).toEqual(expect.arrayContaining(['Query.me', 'Mutation.killSwitch']));
  expect(await permissions(user('SAFETY'))).not.toContain('Mutation.createFlag');
  expect(await permissions({ ...key, role: 'ADMIN' })).not.toContain('Mutation.createApiKey');
  expect(await permissions(vehicle)).toContain('Mutation.agentHeartbeat');
  expect(await permissions(vehicle)).not.toContain('Query.flags');
});
