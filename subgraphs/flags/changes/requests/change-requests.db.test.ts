import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Caller } from '../../../../core/access/caller.ts';
import { ANONYMOUS, refusal, user } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';

let flags: FlagsUnderTest;
let safety: Caller & { kind: 'user' };
let admin: Caller & { kind: 'user' };

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  const person = async (role: 'SAFETY' | 'ADMIN') => {
    const { id } = await flags.prisma.user.create({
      data: { email: `${role}@example.com`, name: role, passwordHash: '-', role },
    });
    return user(role, id) as Caller & { kind: 'user' };
  };
  [safety, admin] = [await person('SAFETY'), await person('ADMIN')];
}, 60_000);

afterAll(async () => {
  await flags?.remove();
});

interface Change {
  readonly applied: boolean;
  readonly flag: {
    readonly revision: number;
    readonly enabled: boolean;
    readonly safetyLevel: string;
    readonly killed: boolean;
    readonly environment: string;
    readonly rules: unknown[];
  };
  readonly changeRequest: { readonly id: string; readonly status: string; readonly action: string } | null;
}

const PAYLOAD =
  'applied flag { revision enabled safetyLevel killed environment rules { id type } } changeRequest { id status action before after }';
const change = async (mutation: string, caller: Caller = flags.writer) => {
  const { change: result } = await flags.ok<{ change: Change }>(
    `mutation { change: ${mutation} { ${PAYLOAD} } }`,
    {},
    caller,
  );
  return result;
};
const waiting = async (mutation: string, caller: Caller = flags.writer): Promise<string> => {
  const { applied, changeRequest } = await change(mutation, caller);
  expect(applied).toBe(false);
  return changeRequest?.id ?? '';
};
const decide = (what: string, caller: Caller) =>
  flags.ask<Record<string, unknown>>(
    caller,
    `mutation { decided: ${what} { id status comment reviewedAt reviewedBy { id } requestedBy { id } flag { revision enabled } } }`,
  );
const asilD = async () => (await flags.create({ safetyLevel: 'ASIL_D' })).key;
const actions = async (key: string) => {
  const { id } = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
  const trail = await flags.prisma.auditLog.findMany({ where: { flagId: id }, orderBy: { chainPosition: 'asc' } });
  return trail.slice(CREATED.length);
};
/** The audit rows that creating an ASIL-D flag leaves. */
const CREATED = ['REQUEST_CHANGE', 'APPROVE_CHANGE', 'CREATE_FLAG'];

test('a change of an ASIL-D flag waits, leaves the flag as it is, and applies when a second person approves', async () => {
  const key = await asilD();
  const before = await flags.revision();
  const asked = await change(`enableFlag(key: "${key}")`);
  expect(asked).toMatchObject({
    applied: false,
    flag: { enabled: false },
    changeRequest: { status: 'PENDING', action: 'ENABLE_FLAG' },
  });
  expect(await flags.revision()).toBe(before);

  const { data } = await decide(
    `approveChangeRequest(id: "${asked.changeRequest?.id}", comment: "Reviewed against the hazard analysis")`,
    safety,
  );
  expect(data['decided']).toMatchObject({
    status: 'APPROVED',
    comment: 'Reviewed against the hazard analysis',
    reviewedBy: { id: safety.userId },
    requestedBy: { id: flags.writer.userId },
    flag: { enabled: true, revision: before + 1 },
  });

  const trail = await actions(key);
  expect(trail.map((row) => [row.action, row.userId])).toEqual([
    ['REQUEST_CHANGE', flags.writer.userId],
    ['APPROVE_CHANGE', safety.userId],
    ['ENABLE_FLAG', flags.writer.userId],
  ]);
  expect(trail[2]?.afterValue).toMatchObject({
    enabled: true,
    changeRequest: { requestedBy: flags.writer.userId, approvedBy: safety.userId },
  });
});

test.each([
  ['updateFlag', (key: string) => `updateFlag(key: "${key}", input: {name: "Other"})`],
  ['a move to another environment', (key: string) => `updateFlag(key: "${key}", input: {environment: PRODUCTION})`],
  ['a lower level', (key: string) => `updateFlag(key: "${key}", input: {safetyLevel: NON_CRITICAL})`],
  ['archiveFlag', (key: string) => `archiveFlag(key: "${key}")`],
  [
    'createRule',
    (key: string) =>
      `createRule(flagKey: "${key}", input: {type: PERCENTAGE_ROLLOUT, conditions: {rollout_percentage: 5}})`,
  ],
])('%s of an ASIL-D flag waits, and is applied unchanged once approved', async (_what, mutation) => {
  const key = await asilD();
  const id = await waiting(mutation(key));
  expect((await decide(`approveChangeRequest(id: "${id}")`, admin)).errors).toEqual([]);
  const [row] = await flags.prisma.flag.findMany({ where: { key }, include: { rules: true } });
  const request = await flags.prisma.changeRequest.findUniqueOrThrow({ where: { id } });
  expect(request.proposed).toMatchObject({
    name: row?.name,
    environment: row?.environment,
    safetyLevel: row?.safetyLevel,
    archived: row?.archivedAt !== null,
  });
  expect((request.proposed as { rules: unknown[] }).rules).toHaveLength(row?.rules.length ?? -1);
});

test('pulling a kill switch never waits, but releasing it does', async () => {
  const key = await asilD();
  expect(await change(`killSwitch(flagKey: "${key}", reason: "Unintended steering")`, safety)).toMatchObject({
    applied: true,
    flag: { killed: true },
    changeRequest: null,
  });
  const id = await waiting(`releaseKillSwitch(flagKey: "${key}", reason: "Fixed")`);
  expect((await decide(`approveChangeRequest(id: "${id}")`, safety)).errors).toEqual([]);
  const { data } = await flags.ask<{ flag: unknown }>(safety, `{ flag(key: "${key}") { killed } }`);
  expect(data.flag).toEqual({ killed: false });
});

test('lowering the level of any flag waits, and so does raising it to ASIL-D with all that the same call changes', async () => {
  const { key, revision } = await flags.create({ safetyLevel: 'SAFETY_RELEVANT', enabled: true });
  await waiting(`updateFlag(key: "${key}", input: {safetyLevel: NON_CRITICAL})`);
  const id = await waiting(`updateFlag(key: "${key}", input: {safetyLevel: ASIL_D, defaultValue: true})`);
  expect(await flags.ok(`{ flag(key: "${key}") { defaultValue safetyLevel revision } }`)).toEqual({
    flag: { defaultValue: false, safetyLevel: 'SAFETY_RELEVANT', revision },
  });
  expect((await decide(`approveChangeRequest(id: "${id}")`, safety)).errors).toEqual([]);
  expect(await flags.ok(`{ flag(key: "${key}") { defaultValue safetyLevel } }`)).toEqual({
    flag: { defaultValue: true, safetyLevel: 'ASIL_D' },
  });
  const other = await flags.create({ safetyLevel: 'SAFETY_RELEVANT' });
  expect(await change(`updateFlag(key: "${other.key}", input: {safetyLevel: ASIL_B})`)).toMatchObject({
    applied: true,
  });
});

test('a user of any role cannot approve or reject their own request', async () => {
  const key = await asilD();
  const id = await waiting(`enableFlag(key: "${key}")`, admin);
  expect(refusal(await decide(`approveChangeRequest(id: "${id}")`, admin))).toEqual({ code: 'FORBIDDEN' });
  expect(refusal(await decide(`rejectChangeRequest(id: "${id}", comment: "no")`, admin))).toEqual({
    code: 'FORBIDDEN',
  });
  expect(refusal(await decide(`approveChangeRequest(id: "${id}")`, flags.writer))).toEqual({ code: 'FORBIDDEN' });
  expect(refusal(await decide(`approveChangeRequest(id: "${id}")`, ANONYMOUS))).toEqual({ code: 'UNAUTHENTICATED' });
  // The database enforces it, too, whatever the code does.
  await expect(
    flags.prisma.changeRequest.update({ where: { id }, data: { status: 'approved', reviewedById: admin.userId } }),
  ).rejects.toThrow(/two_people/);
});

test('an approval of a request whose flag has changed since is a conflict, and changes nothing', async () => {
  const key = await asilD();
  const id = await waiting(`enableFlag(key: "${key}")`);
  const { flag } = await change(`killSwitch(flagKey: "${key}", reason: "First things first")`, safety);
  const everything = await flags.everything();
  const answer = await decide(`approveChangeRequest(id: "${id}")`, safety);
  expect(answer.errors[0]?.extensions).toMatchObject({ code: 'CONFLICT', currentRevision: flag.revision });
  expect(await flags.everything()).toEqual(everything);
  expect(
    (await decide(`rejectChangeRequest(id: "${id}", comment: "Overtaken by the kill switch")`, safety)).data['decided'],
  ).toMatchObject({ status: 'REJECTED' });
});

test('of two concurrent decisions one succeeds, and a decision is final', async () => {
  const key = await asilD();
  const id = await waiting(`enableFlag(key: "${key}")`);
  const before = await flags.revision();
  const answers = await Promise.all([
    decide(`approveChangeRequest(id: "${id}")`, safety),
    decide(`approveChangeRequest(id: "${id}")`, admin),
    decide(`rejectChangeRequest(id: "${id}", comment: "no")`, admin),
  ]);
  expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(1);
  expect(answers.flatMap(({ errors }) => errors.map((error) => error.extensions?.['code']))).toEqual([
    'CONFLICT',
    'CONFLICT',
  ]);
  expect((await flags.revision()) - before).toBeLessThanOrEqual(1);
  expect(refusal(await decide(`cancelChangeRequest(id: "${id}")`, admin))?.code).toBe('CONFLICT');
});

test('only the requester or an administrator cancels a request', async () => {
  const key = await asilD();
  const own = await waiting(`enableFlag(key: "${key}")`);
  expect(refusal(await decide(`cancelChangeRequest(id: "${own}")`, safety))).toEqual({ code: 'FORBIDDEN' });
  expect((await decide(`cancelChangeRequest(id: "${own}")`, flags.writer)).data['decided']).toMatchObject({
    status: 'CANCELLED',
    reviewedBy: null,
  });
  const other = await waiting(`enableFlag(key: "${key}")`);
  expect((await decide(`cancelChangeRequest(id: "${other}")`, admin)).data['decided']).toMatchObject({
    status: 'CANCELLED',
    reviewedBy: { id: admin.userId },
  });
  expect((await actions(key)).map((row) => row.action)).toEqual([
    'REQUEST_CHANGE',
    'CANCEL_CHANGE',
    'REQUEST_CHANGE',
    'CANCEL_CHANGE',
  ]);
});

test('requests are listed by status, of all flags or of one, and an unknown request is not found', async () => {
  const key = await asilD();
  const id = await waiting(`enableFlag(key: "${key}")`);
  const data = await flags.ok<{
    changeRequests: { id: string }[];
    changeRequestCount: number;
    rejected: number;
    every: number;
    all: unknown[];
    flag: { changeRequests: unknown[]; none: unknown[] };
  }>(
    `{ changeRequests { id status } changeRequestCount rejected: changeRequestCount(status: REJECTED) every: changeRequestCount(status: null) all: changeRequests(status: null) { id } flag(key: "${key}") { changeRequests(status: PENDING) { id flag { key } after } none: changeRequests(status: REJECTED) { id } } }`,
  );
  expect(data.changeRequests[0]).toEqual({ id, status: 'PENDING' });
  expect(data.changeRequestCount).toBe(data.changeRequests.length);
  expect(data.every).toBe(data.all.length);
  expect(data.every).toBeGreaterThan(data.changeRequestCount + data.rejected);
  expect(data.flag).toEqual({
    changeRequests: [{ id, flag: { key }, after: expect.objectContaining({ enabled: true }) }],
    none: [],
  });
  for (const unknown of ['nothing', '00000000-0000-4000-8000-000000000000']) {
    expect(refusal(await decide(`approveChangeRequest(id: "${unknown}")`, safety))).toEqual({
      code: 'NOT_FOUND',
      field: 'id',
    });
  }
  expect(refusal(await decide(`rejectChangeRequest(id: "${id}", comment: " ")`, safety))).toEqual({
    code: 'BAD_USER_INPUT',
    field: 'comment',
  });
});

const request = async (id: string) => {
  const row = await flags.prisma.changeRequest.findUniqueOrThrow({ where: { id } });
  return { status: row.status, by: row.reviewedById, comment: row.comment };
};

test('archiving a flag cancels its pending requests with the reason, and records each in the audit log', async () => {
  const key = await asilD();
  const asked = [
    await waiting(`enableFlag(key: "${key}")`),
    await waiting(`updateFlag(key: "${key}", input: { name: "Other" })`, admin),
  ];
  const archiving = await waiting(`archiveFlag(key: "${key}")`);
  const elsewhere = await waiting(`enableFlag(key: "${await asilD()}")`);
  expect((await decide(`approveChangeRequest(id: "${archiving}")`, admin)).errors).toEqual([]);
  const comment = `${key} was archived.`;
  expect(await request(asked[0]!)).toEqual({ status: 'cancelled', by: admin.userId, comment });
  // Nobody reviews their own request.
  expect(await request(asked[1]!)).toEqual({ status: 'cancelled', by: null, comment });
  expect(await request(archiving)).toMatchObject({ status: 'approved' });
  expect(await request(elsewhere)).toMatchObject({ status: 'pending' });
  const trail = (await actions(key)).slice(3);
  expect(trail.map(({ action }) => action)).toEqual([
    'APPROVE_CHANGE',
    'ARCHIVE_FLAG',
    'CANCEL_CHANGE',
    'CANCEL_CHANGE',
  ]);
  expect(
    trail
      .slice(2)
      .map(({ afterValue }) => (afterValue as { changeRequest: string }).changeRequest)
      .sort(),
  ).toEqual([...asked].sort());
  for (const id of asked)
    expect(refusal(await decide(`approveChangeRequest(id: "${id}")`, safety))?.code).toBe('CONFLICT');
});

test("a request to raise a flag's level also ends when one person archives the flag", async () => {
  const { key } = await flags.create();
  const id = await waiting(`updateFlag(key: "${key}", input: { safetyLevel: ASIL_D })`);
  expect((await change(`archiveFlag(key: "${key}")`)).applied).toBe(true);
  expect(await request(id)).toMatchObject({ status: 'cancelled', comment: `${key} was archived.` });
});

test('whether an archiving or an approval comes first, no request stays pending for an archived flag', async () => {
  for (let round = 0; round < 8; round++) {
    const { key } = await flags.create();
    const id = await waiting(`updateFlag(key: "${key}", input: { safetyLevel: ASIL_D })`);
    await Promise.all([
      flags.ask(flags.writer, `mutation { archiveFlag(key: "${key}") { applied } }`),
      decide(`approveChangeRequest(id: "${id}")`, safety),
    ]);
    const { archivedAt } = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
    const { status } = await request(id);
    // If it was raised first, archiving needs two people.
    expect(archivedAt === null ? ['approved'] : ['approved', 'cancelled']).toContain(status);
  }
});

test('a request for a flag that was archived long ago is cancelled when somebody tries to approve it', async () => {
  const { key } = await flags.create();
  const id = await waiting(`updateFlag(key: "${key}", input: { safetyLevel: ASIL_D })`);
  await change(`archiveFlag(key: "${key}")`);
  await flags.prisma.changeRequest.update({
    where: { id },
    data: { status: 'pending', reviewedById: null, reviewedAt: null, comment: null },
  });
  expect(refusal(await decide(`approveChangeRequest(id: "${id}")`, safety))?.code).toBe('CONFLICT');
  expect(await request(id)).toMatchObject({ status: 'cancelled', by: safety.userId });
  expect((await actions(key)).at(-1)?.action).toBe('CANCEL_CHANGE');
});

test('a pending request shows whether its flag has changed since', async () => {
  const key = await asilD();
  const id = await waiting(`enableFlag(key: "${key}")`);
  const outdated = async () => {
    const { flag } = await flags.ok<{ flag: { changeRequests: { id: string; outdated: boolean }[] } }>(
      `{ flag(key: "${key}") { changeRequests { id outdated } } }`,
    );
    return flag.changeRequests.find((each) => each.id === id)?.outdated;
  };
  expect(await outdated()).toBe(false);
  await flags.ok(`mutation { killSwitch(flagKey: "${key}", reason: "smoke") { applied } }`, {}, flags.writer);
  expect(await outdated()).toBe(true);
  expect(refusal(await decide(`approveChangeRequest(id: "${id}")`, safety))?.code).toBe('CONFLICT');
  expect((await decide(`cancelChangeRequest(id: "${id}")`, flags.writer)).errors).toEqual([]);
  expect(await outdated()).toBe(false);
});
