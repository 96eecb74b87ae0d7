import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { SESSION_SECONDS, sessionKey } from '../../../core/credentials/session.ts';
import { createInProcessStore } from '../../shared/stores/key-value-store.ts';
import { ANONYMOUS, identityOf, refusal, user, type DataOrErrors } from '../../shared/testing/asking.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { Accounts } from '../accounts/accounts.ts';
import { Passwords } from './passwords.ts';
import { Sessions } from './sessions.ts';
import { AuditUnderTest, PASSWORD, type TestPerson } from '../testing/audit-under-test.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';

const LOGOUT = 'mutation { logout }';
const CHANGE = 'mutation($current: String!, $new: String!) { changePassword(current: $current, new: $new) }';
const UPDATE = 'mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }';
const NEXT = 'another horse, another battery';

let audit: AuditUnderTest;

beforeAll(async () => {
  audit = await AuditUnderTest.start();
}, 60_000);

afterEach(async () => {
  audit.before = async () => undefined;
  audit.answering = true;
  audit.kept = [];
  expect(JSON.stringify(await audit.trail())).not.toMatch(/horse|ffs_|argon2/);
});

afterAll(() => audit.close());

const changePassword = (identity: Parameters<AuditUnderTest['ask']>[0], current: string, next: string) =>
  audit.ask(identity, CHANGE, { current, new: next });

describe('signing out', () => {
  test('ends this session only, and is recorded under its key', async () => {
    const { id, email } = await audit.account();
    const [here, there] = [await audit.session(email), await audit.session(email)];
    expect(await audit.ask(here.identity, LOGOUT)).toEqual({ data: { logout: true }, errors: [] });
    expect([await audit.isOpen(here.token), await audit.isOpen(there.token)]).toEqual([false, true]);
    expect((await audit.trail()).at(-1)).toEqual({
      action: 'SIGN_OUT',
      userId: id,
      beforeValue: null,
      afterValue: { session: sessionKey(here.token) },
    });
  });

  test('a second time is refused and not recorded', async () => {
    const { identity } = await audit.session((await audit.account()).email);
    await audit.ask(identity, LOGOUT);
    const recorded = await audit.trail();
    expect(refusal(await audit.ask(identity, LOGOUT))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(await audit.trail()).toEqual(recorded);
  });

  test('is for sessions, not for anonymous callers, API keys, or users without a session', async () => {
    expect(refusal(await audit.ask(ANONYMOUS, LOGOUT))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(
      refusal(await audit.ask({ kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: null }, LOGOUT)),
    ).toEqual({ code: 'FORBIDDEN' });
    expect(refusal(await audit.ask(user('READ'), LOGOUT))).toEqual({ code: 'FORBIDDEN' });
  });

  test('without the session store is SERVICE_UNAVAILABLE, and the session stays', async () => {
    const { token, identity } = await audit.session((await audit.account()).email);
    const recorded = await audit.trail();
    audit.answering = false;
    expect(refusal(await audit.ask(identity, LOGOUT))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(await audit.isOpen(token)).toBe(true);
    expect(await audit.trail()).toEqual(recorded);
  });

  test('that cannot be recorded leaves the session as it is', async () => {
    const { token, caller } = await audit.session((await audit.account()).email);
    expect(refusal(await audit.ask(identityOf(caller, { requestId: 'no UUID' }), LOGOUT))).toEqual({
      code: 'INTERNAL_SERVER_ERROR',
    });
    expect(await audit.isOpen(token)).toBe(true);
  });
});

describe("changing one's password", () => {
  test('ends all sessions of the account, the current one included, and only the new password signs in', async () => {
    const [{ id, email }, other] = [await audit.account('SAFETY'), await audit.account()];
    const [here, there, others] = [
      await audit.session(email),
      await audit.session(email),
      await audit.session(other.email),
    ];
    expect(await changePassword(here.identity, PASSWORD, NEXT)).toEqual({ data: { changePassword: true }, errors: [] });
    expect([await audit.isOpen(here.token), await audit.isOpen(there.token), await audit.isOpen(others.token)]).toEqual(
      [false, false, true],
    );
    expect((await audit.trail()).at(-1)).toEqual({
      action: 'CHANGE_PASSWORD',
      userId: id,
      beforeValue: null,
      afterValue: { id, endsSessions: true },
    });
    expect(refusal(await audit.login(email))).toEqual({ code: 'UNAUTHENTICATED' });
    expect((await audit.login(email, NEXT)).errors).toEqual([]);
  });

  test.each([
    ['one that is too short', PASSWORD, 'short', 'new'],
    ['one that is too long', PASSWORD, 'x'.repeat(1_001), 'new'],
    ['the same one', PASSWORD, PASSWORD, 'new'],
    ['the wrong one to begin with', 'wrong horse', NEXT, 'current'],
  ])('to %s is refused, and sessions stay', async (_, current, next, field) => {
    const { email } = await audit.account();
    const { token, identity } = await audit.session(email);
    expect(refusal(await changePassword(identity, current, next))).toEqual({ code: 'BAD_USER_INPUT', field });
    expect(await audit.isOpen(token)).toBe(true);
    expect((await audit.login(email)).errors).toEqual([]);
  });

  test('with a wrong current password counts as a failed sign-in, is recorded as one, and is limited like one', async () => {
    const { id, email } = await audit.account();
    const { identity } = await audit.session(email);
    for (let guess = 0; guess < 10; guess++)
      expect(refusal(await changePassword(identity, `guess ${guess}`, NEXT))?.code).toBe('BAD_USER_INPUT');
    expect((await audit.trail()).at(-1)).toEqual({
      action: 'SIGN_IN_FAILED',
      userId: id,
      beforeValue: null,
      afterValue: { email },
    });
    const answer = await changePassword(identity, PASSWORD, NEXT);
    expect(answer.errors[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfter: expect.any(Number) });
  });

  test('twice at once succeeds once', async () => {
    const { email } = await audit.account();
    const { identity } = await audit.session(email);
    const answers = await Promise.all([
      changePassword(identity, PASSWORD, NEXT),
      changePassword(identity, PASSWORD, `${NEXT}!`),
    ]);
    expect(answers.map((answer) => refusal(answer)?.code).sort()).toEqual(['CONFLICT', undefined]);
  });

  test('requires an active account', async () => {
    const { id } = await audit.account('READ', { isActive: false });
    expect(refusal(await changePassword(user('READ', id), PASSWORD, NEXT))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(refusal(await changePassword(user('READ'), PASSWORD, NEXT))).toEqual({ code: 'FORBIDDEN' });
  });
});

const endings: [string, (person: TestPerson) => Promise<DataOrErrors>][] = [
  ['deactivated', ({ id }) => audit.ask(user('ADMIN'), UPDATE, { id, input: { isActive: false } })],
  ['given another role', ({ id }) => audit.ask(user('ADMIN'), UPDATE, { id, input: { role: 'SAFETY' } })],
  [
    'given another password',
    ({ id }) => changePassword(identityOf(user('READ', id), { ipAddress: audit.newAddress() }), PASSWORD, NEXT),
  ],
];

describe.each(endings)('an account that is %s', (_how, end) => {
  test('has no session left', async () => {
    const person = await audit.account();
    const sessions = [await audit.session(person.email), await audit.session(person.email)];
    expect((await end(person)).errors).toEqual([]);
    for (const { token } of sessions) expect(await audit.isOpen(token)).toBe(false);
    expect((await audit.trail()).at(-1)?.afterValue).toMatchObject({ id: person.id, endsSessions: true });
  });

  test.each([
    ['its password is verified and its session has not begun', 'addMember'],
    ['its session is in the index and is not kept yet', 'set'],
  ])('while a sign-in is under way, when %s, has no session left', async (_when, call) => {
    const person = await audit.account();
    let ended: Promise<DataOrErrors> | undefined;
    audit.before = async (name, key) => {
      if (ended !== undefined || name !== call || !/^(user-sessions|session):/.test(key)) return;
      await (ended = end(person));
    };
    expect(refusal(await audit.login(person.email))).toEqual({ code: 'UNAUTHENTICATED' });
    expect((await ended)?.errors).toEqual([]);
    expect(await audit.openSessions()).toEqual([]);
  });

  test('while a sign-in has its session and is not recorded, has no session left', async () => {
    const person = await audit.account();
    // Another transaction holds the row's lock until both wait for it, in whichever order.
    let answers: Promise<DataOrErrors<unknown>[]> = Promise.resolve([]);
    await audit.prisma.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT 1 FROM users WHERE id = ${person.id}::uuid FOR UPDATE`;
      answers = Promise.all([audit.login(person.email), end(person)]);
      await eventually(async () => (await waiting()) === 2);
    });
    const [login, ending] = await answers;
    expect(ending?.errors).toEqual([]);
    // Either the sign-in came second and was refused, or it came first and its session was ended.
    expect([[], [expect.objectContaining({ message: 'The e-mail or the password is wrong.' })]]).toContainEqual(
      login?.errors,
    );
    expect(audit.kept.some(({ key }) => key.startsWith('session:'))).toBe(true);
    expect(await audit.openSessions()).toEqual([]);
  });

  test('while a sign-in begins after its sessions were ended and before that is committed, has no session left', async () => {
    const person = await audit.account();
    const { token } = await audit.session(person.email);
    let login: Promise<DataOrErrors<unknown>> | undefined;
    audit.before = async (name) => {
      // After the last call of the ending: the removal from the index.
      if (name !== 'removeMember' || login !== undefined) return;
      login = audit.login(person.email);
      await eventually(async () => (await waiting()) === 1);
    };
    expect((await end(person)).errors).toEqual([]);
    expect(login).toBeDefined();
    expect(refusal((await login) as DataOrErrors)).toEqual({ code: 'UNAUTHENTICATED' });
    expect(await audit.isOpen(token)).toBe(false);
    expect(await audit.openSessions()).toEqual([]);
  });

  test('stays as it was while the session store is down: an old session must not come back with the store', async () => {
    const person = await audit.account();
    const { token } = await audit.session(person.email);
    const [row, recorded] = [
      await audit.prisma.user.findUniqueOrThrow({ where: { id: person.id } }),
      await audit.trail(),
    ];
    audit.before = async (name) => {
      if (name === 'members') audit.answering = false;
    };
    expect(refusal(await end(person))).toEqual({ code: 'SERVICE_UNAVAILABLE' });
    expect(await audit.prisma.user.findUniqueOrThrow({ where: { id: person.id } })).toEqual(row);
    expect(await audit.trail()).toEqual(recorded);
    expect(await audit.isOpen(token)).toBe(true);
  });
});

/** Counts this database's connections that wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await audit.prisma.$queryRaw<
    { count: bigint }[]
  >`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return Number(row?.count);
}

describe("the index of a user's sessions", () => {
  const person = { id: 'u1', role: 'READ' } as const;

  test('contains open sessions and drops expired ones', async () => {
    const store = createInProcessStore();
    const sessions = new Sessions(store);
    const now = Date.now();
    await sessions.begin(person, new Date(now - SESSION_SECONDS * 1000 - 1));
    const [second, third] = [
      await sessions.begin(person, new Date(now - 1_000)),
      await sessions.begin(person, new Date(now)),
    ];
    expect((await store.members('user-sessions:u1')).map((member) => member.split(' ')[1])).toEqual([
      second.key,
      third.key,
    ]);
    await sessions.end('u1', third.key);
    expect(await store.members('user-sessions:u1')).toHaveLength(1);
    expect([await sessions.exists(second.key), await sessions.exists(third.key)]).toEqual([true, false]);
  });

  test('keeps sessions that began after the event that ends the others', async () => {
    const sessions = new Sessions(createInProcessStore());
    const ending = new Date();
    const [old, young] = [
      await sessions.begin(person, new Date(ending.getTime() - 1)),
      await sessions.begin(person, ending),
    ];
    await sessions.endSessionsOf('u1', ending);
    expect([await sessions.exists(old.key), await sessions.exists(young.key)]).toEqual([false, true]);
    await sessions.endSessionsOf('u1');
    expect(await sessions.exists(young.key)).toBe(false);
  });
});

test('an account that another process changes with its own store has no session left here', async () => {
  const { email } = await audit.account();
  const { token } = await audit.session(email);
  const elsewhere = new Accounts(
    audit.prisma,
    new Sessions(createInProcessStore()),
    await Passwords.create(),
    endNoPlans,
  );
  await elsewhere.resetPassword(identityOf(ANONYMOUS), email, NEXT);
  await eventually(async () => !(await audit.isOpen(token)));
});
