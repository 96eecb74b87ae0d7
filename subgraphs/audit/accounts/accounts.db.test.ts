import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ANONYMOUS, refusal, user } from '../../shared/testing/asking.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import { AuditUnderTest } from '../testing/audit-under-test.ts';

const CREATE =
  'mutation($input: CreateUserInput!) { createUser(input: $input) { id email name role department isActive } }';
const UPDATE =
  'mutation($id: ID!, $input: UpdateUserInput!, $seen: DateTime) { updateUser(id: $id, input: $input, expectedUpdatedAt: $seen) { name role department isActive updatedAt } }';
const SECRET = 'a password of theirs';

let audit: AuditUnderTest;

const admin = (id: string | null = null) => user('ADMIN', id);
const create = (input: Record<string, unknown>, caller = admin()) =>
  audit.ask<{ createUser: { id: string } }>(caller, CREATE, {
    input: { email: 'x@example.com', name: 'X', password: SECRET, role: 'READ', ...input },
  });
const update = (id: string, input: Record<string, unknown>, caller = admin(), seen: string | null = null) =>
  audit.ask<{ updateUser: Record<string, unknown> }>(caller, UPDATE, { id, input, seen });
const stored = (id: string) => audit.prisma.user.findUniqueOrThrow({ where: { id } });
const administrators = () => audit.prisma.user.count({ where: { role: 'ADMIN', isActive: true } });

beforeAll(async () => {
  audit = await AuditUnderTest.start();
}, 60_000);

afterEach(async () => {
  expect(JSON.stringify(await audit.trail())).not.toMatch(/a password of|argon2/);
  await audit.prisma.user.updateMany({ where: { role: 'ADMIN' }, data: { role: 'READ' } });
});

afterAll(() => audit.close());

describe('creating an account', () => {
  test('gives an account that can sign in, and records everything except the password', async () => {
    const boss = await audit.account('ADMIN');
    const made = { email: 'new@example.com', name: 'New', role: 'SAFETY', department: 'ADAS' };
    const { data, errors } = await create({ ...made, email: ' New@Example.com ', name: ' New ' }, admin(boss.id));
    expect(errors).toEqual([]);
    expect(data.createUser).toEqual({ ...made, id: expect.any(String), isActive: true });
    expect((await audit.trail()).at(-1)).toEqual({
      action: 'CREATE_USER',
      userId: boss.id,
      beforeValue: null,
      afterValue: { id: data.createUser.id, ...made },
    });
    expect((await audit.login('new@example.com', SECRET)).data.login.user).toMatchObject({
      id: data.createUser.id,
      role: 'SAFETY',
    });
  });

  test.each([
    ['no e-mail address', { email: 'nobody' }, 'input.email'],
    ['an e-mail that is too long', { email: `${'x'.repeat(250)}@example.com` }, 'input.email'],
    ['an e-mail with a dotless i', { email: 'adm\u0131n@example.com' }, 'input.email'],
    ['an e-mail that only lower case makes ASCII', { email: '\u212Aim@example.com' }, 'input.email'],
    ['an e-mail that cannot be stored', { email: 'a\0b@example.com' }, 'input.email'],
    ['no name', { name: ' ' }, 'input.name'],
    ['a name that is too long', { name: 'x'.repeat(101) }, 'input.name'],
    ['a name that cannot be stored', { name: 'a\ud800' }, 'input.name'],
    ['an empty department', { department: '' }, 'input.department'],
    ['a department that is too long', { department: 'x'.repeat(101) }, 'input.department'],
    ['a password that is too short', { password: 'x'.repeat(11) }, 'input.password'],
    ['a password that is too long', { password: 'x'.repeat(1_001) }, 'input.password'],
  ])('with %s is refused', async (_, input, field) => {
    const count = await audit.prisma.user.count();
    expect(refusal(await create(input))).toEqual({ code: 'BAD_USER_INPUT', field });
    expect(await audit.prisma.user.count()).toBe(count);
  });

  test('with a taken e-mail is a CONFLICT, whatever its capitals and blanks', async () => {
    await audit.account('READ', { email: 'taken@example.com' });
    expect(refusal(await create({ email: 'TAKEN@example.com' }))).toEqual({ code: 'CONFLICT', field: 'input.email' });
  });

  test('and changing one is only for administrators who are people', async () => {
    const { id } = await audit.account();
    const others = [
      user('READ'),
      user('WRITE'),
      user('SAFETY'),
      { kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: null },
      { kind: 'vehicle', vin: null, environment: 'staging' },
    ] as const;
    for (const caller of others)
      expect([refusal(await create({}, caller)), refusal(await update(id, { name: 'Y' }, caller))]).toEqual([
        { code: 'FORBIDDEN' },
        { code: 'FORBIDDEN' },
      ]);
    expect(refusal(await create({}, ANONYMOUS))).toEqual({ code: 'UNAUTHENTICATED' });
  });
});

describe('changing an account', () => {
  test('changes the given fields, and records only these', async () => {
    const boss = await audit.account('ADMIN');
    const { id, updatedAt } = await audit.account('READ', { department: 'ADAS' });
    const { data, errors } = await update(id, { name: ' Anna ', department: null }, admin(boss.id));
    expect(errors).toEqual([]);
    expect(data.updateUser).toMatchObject({ name: 'Anna', role: 'READ', department: null, isActive: true });
    expect((await stored(id)).updatedAt.getTime()).toBeGreaterThan(updatedAt.getTime());
    expect((await audit.trail()).at(-1)).toEqual({
      action: 'UPDATE_USER',
      userId: boss.id,
      beforeValue: { id, name: 'Ann', department: 'ADAS' },
      afterValue: { id, name: 'Anna', department: null },
    });
  });

  test('of the role or of whether it is active is recorded as ending its sessions; a new name ends none', async () => {
    const { id, email } = await audit.account();
    const { token } = await audit.session(email);
    await update(id, { name: 'Anna' });
    expect(await audit.isOpen(token)).toBe(true);
    await update(id, { role: 'WRITE', name: 'Anna' });
    expect(await audit.isOpen(token)).toBe(false);
    expect((await audit.trail()).at(-1)).toMatchObject({
      beforeValue: { id, role: 'READ' },
      afterValue: { id, role: 'WRITE', endsSessions: true },
    });
    await update(id, { isActive: false });
    expect((await audit.trail()).at(-1)).toMatchObject({
      beforeValue: { id, isActive: true },
      afterValue: { id, isActive: false, endsSessions: true },
    });
    expect(refusal(await audit.login(email))).toEqual({ code: 'UNAUTHENTICATED' });
    await update(id, { isActive: true });
    expect((await audit.trail()).at(-1)?.afterValue).toEqual({ id, isActive: true });
    expect((await audit.login(email)).data.login.user.role).toBe('WRITE');
  });

  test('that somebody else has changed since it was seen is a CONFLICT, and changes nothing', async () => {
    const { id, updatedAt } = await audit.account();
    const seen = updatedAt.toISOString();
    const first = await update(id, { department: 'ADAS' }, admin(), seen);
    expect(first.errors).toEqual([]);
    const row = await stored(id);
    for (const input of [{ department: 'Chassis' }, { department: 'ADAS' }])
      expect(refusal(await update(id, input, admin(), seen))).toEqual({ code: 'CONFLICT' });
    expect(await stored(id)).toEqual(row);
    const { errors } = await update(id, { department: 'Chassis' }, admin(), String(first.data.updateUser['updatedAt']));
    expect(errors).toEqual([]);
    expect((await stored(id)).department).toBe('Chassis');
  });

  test('to its current values is no change', async () => {
    const { id, email } = await audit.account('WRITE', { department: 'ADAS' });
    const { token } = await audit.session(email);
    const [row, recorded] = [await stored(id), await audit.trail()];
    for (const input of [{}, { name: 'Ann', role: 'WRITE', department: 'ADAS', isActive: true }])
      expect((await update(id, input)).errors).toEqual([]);
    expect(await stored(id)).toEqual(row);
    expect(await audit.trail()).toEqual(recorded);
    expect(await audit.isOpen(token)).toBe(true);
  });

  test.each([
    ['no name', { name: '' }, 'input.name'],
    ['null for a name', { name: null }, 'input.name'],
    ['null for a role', { role: null }, 'input.role'],
    ['null for whether it is active', { isActive: null }, 'input.isActive'],
    ['an empty department', { department: ' ' }, 'input.department'],
    ['a department that is too long', { department: 'x'.repeat(101) }, 'input.department'],
  ])('to %s is refused as a whole', async (_, input, field) => {
    const { id } = await audit.account();
    expect(refusal(await update(id, { role: 'WRITE', ...input }))).toEqual({ code: 'BAD_USER_INPUT', field });
    expect((await stored(id)).role).toBe('READ');
  });

  test('that does not exist is NOT_FOUND', async () => {
    for (const id of ['nobody', '0198f0aa-0000-7000-8000-000000000001'])
      expect(refusal(await update(id, { name: 'X' }))).toEqual({ code: 'NOT_FOUND', field: 'id' });
  });
});

describe('a list of accounts', () => {
  const LIST =
    'query($filter: UserFilter, $first: Int, $after: String) { users(filter: $filter, first: $first, after: $after) { totalCount nodes { email } pageInfo { endCursor } } }';
  interface Listed {
    readonly users: {
      readonly totalCount: number;
      readonly nodes: readonly { readonly email: string }[];
      readonly pageInfo: { readonly endCursor: string };
    };
  }
  const list = async (filter: Record<string, unknown>) => {
    const { data, errors } = await audit.ask<Listed>(admin(), LIST, { filter });
    expect(errors).toEqual([]);
    expect(data.users.totalCount).toBe(data.users.nodes.length);
    return data.users.nodes.map(({ email }) => email.split('@')[0]).sort();
  };

  test('finds parts of names, e-mails and departments, by role and state, with signs of patterns as themselves', async () => {
    await audit.account('WRITE', { email: 'find_one@example.com', department: '100% Brakes' });
    await audit.account('SAFETY', { email: 'find-two@example.com', department: 'Brakes', isActive: false });
    await audit.account('WRITE', { email: 'find.three@example.com', department: 'B\\C' });
    expect(await list({ search: ' FIND ' })).toEqual(['find-two', 'find.three', 'find_one']);
    expect(await list({ search: 'find_' })).toEqual(['find_one']);
    expect(await list({ search: '0% b' })).toEqual(['find_one']);
    expect(await list({ search: 'b\\c' })).toEqual(['find.three']);
    expect(await list({ search: 'find', role: 'WRITE' })).toEqual(['find.three', 'find_one']);
    expect(await list({ search: 'find', isActive: false })).toEqual(['find-two']);
    expect(await list({ search: 'brakes', isActive: true })).toEqual(['find_one']);
    expect(await list({ search: 'nobody is called this' })).toEqual([]);
    expect(await list({ search: ' ' })).toEqual(await list({}));
  });

  test('goes on behind its cursor within what the filter selects', async () => {
    // Accounts of one millisecond are listed by their ids.
    for (const seconds of [1, 2, 3])
      await audit.account('READ', { email: `page${seconds}@example.com`, createdAt: new Date(seconds * 1_000) });
    await audit.account('READ', { email: 'other@example.com' });
    const emails: string[] = [];
    for (let after: string | null = null; emails.length < 3;) {
      const answer: { data: Listed } = await audit.ask<Listed>(admin(), LIST, {
        filter: { search: 'page' },
        first: 1,
        after,
      });
      expect(answer.data.users.totalCount).toBe(3);
      emails.push(...answer.data.users.nodes.map(({ email }) => email));
      after = answer.data.users.pageInfo.endCursor;
    }
    expect(emails).toEqual(['page3@example.com', 'page2@example.com', 'page1@example.com']);
  });

  test.each([
    ['too long', 'x'.repeat(101)],
    ['not text that can be stored', 'a\0b'],
  ])('refuses a search that is %s', async (_, search) => {
    expect(refusal(await audit.ask(admin(), LIST, { filter: { search } }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'filter.search',
    });
  });
});

describe('the last active administrator', () => {
  test.each([
    ['be deactivated', { isActive: false }, 'input.isActive'],
    ['lose the role', { role: 'WRITE' }, 'input.role'],
  ])(
    'cannot %s, by their own request or another administrator’s, and keeps their sessions',
    async (_, input, field) => {
      const { id, email } = await audit.account('ADMIN');
      await audit.account('ADMIN', { isActive: false });
      const { token } = await audit.session(email);
      for (const by of [id, null])
        expect(refusal(await update(id, { name: 'Anna', ...input }, admin(by)))).toEqual({ code: 'CONFLICT', field });
      expect(await stored(id)).toMatchObject({ name: 'Ann', role: 'ADMIN', isActive: true });
      expect(await audit.isOpen(token)).toBe(true);
    },
  );

  test('may leave while another administrator stays', async () => {
    const [ann, bob] = [await audit.account('ADMIN'), await audit.account('ADMIN')];
    expect((await update(ann.id, { isActive: false }, admin(ann.id))).errors).toEqual([]);
    expect(refusal(await update(bob.id, { isActive: false }, admin(bob.id)))?.code).toBe('CONFLICT');
  });

  test('remains when two leave at once, and when two remove each other at once', async () => {
    for (const crossed of [false, true]) {
      const [ann, bob] = [await audit.account('ADMIN'), await audit.account('ADMIN')];
      let answers: ReturnType<typeof update>[] = [];
      // Both are held at the lock, so that neither has read before the other begins.
      await audit.prisma.$transaction(async (tx) => {
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('fleetflag administrator'))`;
        answers = [
          update(ann.id, { isActive: false }, admin(crossed ? bob.id : ann.id)),
          update(bob.id, { role: 'READ' }, admin(crossed ? ann.id : bob.id)),
        ];
        await eventually(async () => {
          const [row] = await audit.prisma.$queryRaw<
            { count: bigint }[]
          >`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
          return row?.count === 2n;
        });
      });
      const codes = (await Promise.all(answers)).map((answer) => refusal(answer)?.code);
      expect(codes.filter((code) => code === undefined)).toHaveLength(1);
      // Two administrators remove each other: the second is none any longer when their request runs.
      expect(codes).toContain(crossed ? 'FORBIDDEN' : 'CONFLICT');
      expect(await administrators()).toBe(1);
      await audit.prisma.user.updateMany({ where: { role: 'ADMIN' }, data: { role: 'READ' } });
    }
  });

  test('is not removed by a person who has stopped being an administrator before their request runs', async () => {
    const [ann, gone] = [await audit.account('ADMIN'), await audit.account('ADMIN', { isActive: false })];
    expect(refusal(await create({ email: 'late@example.com' }, admin(gone.id)))).toEqual({ code: 'FORBIDDEN' });
    expect(refusal(await update(ann.id, { name: 'Late' }, admin(gone.id)))).toEqual({ code: 'FORBIDDEN' });
  });
});
