/** Drafts: ASIL-D flags that wait for their first approval. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { refusal } from '../../shared/testing/asking.ts';
import { MAX_FLAGS } from '../flags/limits.ts';
import { FlagsUnderTest, addPerson } from '../testing/flags-under-test.ts';

const KEY: Caller = {
  kind: 'apiKey',
  apiKeyId: '00000000-0000-4000-8000-00000000000a',
  role: 'ADMIN',
  rateLimitPerMin: 60,
};
const VEHICLE: Caller = { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'production' };
const CREATE =
  'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied flag { id key draft archivedAt revision defaultValue enabled } changeRequest { id action before after status } } }';

interface Created {
  readonly applied: boolean;
  readonly flag: { readonly id: string; readonly key: string };
  readonly changeRequest: { readonly id: string } | null;
}

let flags: FlagsUnderTest;
let administrator: Caller;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  administrator = await addPerson(flags.prisma, 'ADMIN');
}, 60_000);
afterAll(() => flags?.remove());

const input = (over: object = {}) => ({
  key: flags.newKey(),
  name: 'Brakes',
  type: 'BOOLEAN',
  defaultValue: true,
  safetyLevel: 'ASIL_D',
  environment: 'PRODUCTION',
  enabled: true,
  ...over,
});
const create = (over: object = {}, caller: Caller = flags.writer) =>
  flags.ask<{ createFlag: Created }>(caller, CREATE, { input: input(over) });
const draft = async (over: object = {}) => {
  const { data, errors } = await create(over);
  expect(errors).toEqual([]);
  return { ...data.createFlag.flag, request: data.createFlag.changeRequest?.id ?? '' };
};
const decide = (mutation: string, caller: Caller = flags.reviewer) =>
  flags.ask(caller, `mutation { decided: ${mutation} { id status flag { key draft archivedAt } } }`);
const reject = (id: string) => decide(`rejectChangeRequest(id: "${id}", comment: "no")`);

/** Gives everything that vehicles could receive. */
const served = () =>
  flags.ok<Record<string, unknown>>(
    '{ flagSync(environment: PRODUCTION) { revision flags { key revision } } evaluateFlags(environment: PRODUCTION, context: {}) { flagKey } }',
  );

describe('a draft', () => {
  test('has its full content in the control plane and does not exist anywhere else', async () => {
    const before = await served();
    const { data } = await create();
    const { flag, ...rest } = data.createFlag;
    expect(rest).toEqual({
      applied: false,
      changeRequest: {
        id: expect.any(String),
        action: 'CREATE_FLAG',
        before: null,
        after: expect.objectContaining({ key: flag.key, defaultValue: true }),
        status: 'PENDING',
      },
    });
    expect(flag).toMatchObject({ draft: true, archivedAt: null, revision: 0, defaultValue: true, enabled: true });

    expect(await served()).toEqual(before);
    expect(
      await flags.ok(
        `{ flag(key: "${flag.key}") { draft changeRequests { status } } flags(filter: { draft: true }) { nodes { key } } }`,
      ),
    ).toEqual({
      flag: { draft: true, changeRequests: [{ status: 'PENDING' }] },
      flags: { nodes: [{ key: flag.key }] },
    });
    for (const filter of ['{}', '{ archived: true }', '{ environment: PRODUCTION, enabled: true }']) {
      const { flags: found } = await flags.ok<{ flags: { nodes: { key: string }[]; totalCount: number } }>(
        `{ flags(filter: ${filter}) { nodes { key } totalCount } }`,
      );
      expect(found.nodes.map(({ key }) => key)).not.toContain(flag.key);
    }
    expect(
      refusal(await flags.ask(flags.writer, `{ evaluateFlag(key: "${flag.key}", context: {}) { value } }`)),
    ).toEqual({ code: 'NOT_FOUND', field: 'key' });
    const entity =
      '{ _entities(representations: [{ __typename: "Flag", key: "KEY" }]) { ... on Flag { key } } }'.replace(
        'KEY',
        flag.key,
      );
    expect((await flags.ask(VEHICLE, entity)).data).toEqual({ _entities: [null] });
    await reject(data.createFlag.changeRequest?.id ?? '');
  });

  test('becomes a living flag with its approval, created by both people', async () => {
    const { key, id, request } = await draft();
    const before = await flags.revision('production');
    expect((await decide(`approveChangeRequest(id: "${request}")`)).data['decided']).toMatchObject({
      status: 'APPROVED',
      flag: { key, draft: false, archivedAt: null },
    });
    expect((await served())['flagSync']).toMatchObject({
      revision: before + 1,
      flags: expect.arrayContaining([{ key, revision: before + 1 }]),
    });
    const trail = await flags.prisma.auditLog.findMany({ where: { flagId: id }, orderBy: { chainPosition: 'asc' } });
    expect(trail.map((row) => [row.action, row.userId])).toEqual([
      ['REQUEST_CHANGE', flags.writer.userId],
      ['APPROVE_CHANGE', flags.reviewer.userId],
      ['CREATE_FLAG', flags.writer.userId],
    ]);
    expect(trail[2]?.afterValue).toMatchObject({
      key,
      changeRequest: { requestedBy: flags.writer.userId, approvedBy: flags.reviewer.userId },
    });
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { changeRequest { id } } }', { key });
  });

  test.each([
    ['updateFlag', (key: string) => `updateFlag(key: "${key}", input: { safetyLevel: NON_CRITICAL })`],
    ['disableFlag', (key: string) => `disableFlag(key: "${key}")`],
    ['archiveFlag', (key: string) => `archiveFlag(key: "${key}")`],
    [
      'createRule',
      (key: string) => `createRule(flagKey: "${key}", input: { type: VEHICLE_TARGET, conditions: { models: ["A"] } })`,
    ],
    ['killSwitch', (key: string) => `killSwitch(flagKey: "${key}", reason: "no")`],
  ])('cannot be changed before its approval: %s is a conflict', async (_what, mutation) => {
    const { key, request } = await draft();
    expect(refusal(await flags.ask(administrator, `mutation { ${mutation(key)} { applied } }`))).toEqual({
      code: 'CONFLICT',
    });
    await reject(request);
  });

  test.each([
    ['rejecting', (id: string) => reject(id)],
    ['cancelling', (id: string) => decide(`cancelChangeRequest(id: "${id}")`, flags.writer)],
  ])('frees its key by %s, for another flag of any level; its requests stay readable', async (_what, end) => {
    const { key, id, request } = await draft({ key: `${flags.newKey()}_${'x'.repeat(70)}` });
    expect(refusal(await create({ key, safetyLevel: 'NON_CRITICAL' }))).toEqual({
      code: 'CONFLICT',
      field: 'input.key',
    });
    expect((await end(request)).errors).toEqual([]);
    const again = await create({ key, safetyLevel: 'NON_CRITICAL', enabled: false });
    expect(again.data.createFlag).toMatchObject({ applied: true, flag: { key, draft: false } });
    const former = await flags.prisma.flag.findUniqueOrThrow({ where: { id }, include: { changeRequests: true } });
    expect(former).toMatchObject({
      draft: false,
      archivedAt: expect.any(Date),
      changeRequests: [{ proposed: { key } }],
    });
    expect((await served())['flagSync']).not.toMatchObject({
      flags: expect.arrayContaining([expect.objectContaining({ key: former.key })]),
    });
    expect(refusal(await decide(`approveChangeRequest(id: "${request}")`))?.code).toBe('CONFLICT');
  });
});

test('a draft cannot be requested by an API key, which gets an error and leaves nothing behind', async () => {
  const { key } = await flags.create({ safetyLevel: 'ASIL_B' });
  const everything = await flags.everything();
  const answers = [
    await create({}, KEY),
    await flags.ask(
      KEY,
      `mutation { updateFlag(key: "${key}", input: { safetyLevel: ASIL_D, defaultValue: true }) { applied } }`,
    ),
  ];
  for (const answer of answers) {
    expect(refusal(answer)).toEqual({ code: 'FORBIDDEN' });
    expect(answer.errors[0]?.message).toContain('which only a signed-in user may request');
  }
  expect(await flags.everything()).toEqual(everything);
});

test('a draft counts against limits only at its approval: a full environment accepts drafts, and approves none', async () => {
  const [full, request] = [
    await flags.create({ environment: 'DEVELOPMENT', enabled: true }),
    (await draft({ environment: 'DEVELOPMENT' })).request,
  ];
  await flags.prisma.$executeRaw`
    INSERT INTO flags (key, name, type, default_value, enabled, safety_level, environment, revision, signed_definition)
    SELECT 'full_' || n, 'F', type, default_value, true, 'Non-Critical', environment, revision, signed_definition
    FROM flags, generate_series(2, ${MAX_FLAGS}::int) n WHERE id = ${full.id}::uuid`;
  expect(refusal(await decide(`approveChangeRequest(id: "${request}")`))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  await flags.prisma.flag.updateMany({ where: { key: { startsWith: 'full_' } }, data: { archivedAt: new Date() } });
  expect((await decide(`approveChangeRequest(id: "${request}")`)).errors).toEqual([]);
});
