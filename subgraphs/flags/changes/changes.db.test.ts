import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { identityOf, refusal } from '../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';
import { type FlagPayloads, type MutationOfFlag, mutationsOfFlags } from '../testing/mutations-of-flags.ts';

const VIN = 'KMHK281HGNU000001';

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const { UPDATE, PAYLOAD, only, prepared, ruleOf, MUTATIONS } = mutationsOfFlags(() => flags);

const named = MUTATIONS.map((mutation): [string, MutationOfFlag] => [mutation.name, mutation]);
const variablesOf = (mutation: MutationOfFlag, flag: FlagJson | undefined) =>
  mutation.variables?.(flag) ?? { key: flag?.key };

describe.each(named)('%s', (_name, mutation) => {
  test('is one revision, one audit row and one signed form', async () => {
    const flag = await mutation.prepare?.();
    const before = { revision: await flags.revision(), rows: await flags.prisma.auditLog.count() };
    const identity = identityOf(flags.writer);
    const { data, errors } = await flags.ask<FlagPayloads>(identity, mutation.query, variablesOf(mutation, flag));
    expect(errors).toEqual([]);
    const { applied, flag: after } = only(data);
    expect(applied).toBe(true);
    expect(after.revision).toBe(before.revision + 1);
    expect(await flags.revision()).toBe(before.revision + 1);
    expect(await flags.prisma.auditLog.count()).toBe(before.rows + 1);
    const row = await flags.prisma.auditLog.findFirstOrThrow({ orderBy: { chainPosition: 'desc' } });
    expect(row).toMatchObject({
      action: mutation.action,
      flagId: after.id,
      userId: flags.writer.userId,
      requestId: identity.origin.requestId,
    });
    expect([row.beforeValue, row.afterValue]).toMatchObject([mutation.recorded.before, mutation.recorded.after]);
    const stored = await flags.prisma.flag.findUniqueOrThrow({ where: { id: after.id } });
    const payload = JSON.parse(
      Buffer.from(stored.signedDefinition?.split('.')[1] ?? '', 'base64url').toString(),
    ) as object;
    expect(payload).toMatchObject({
      key: after.key,
      revision: after.revision,
      environment: 'staging',
      removed: mutation.name === 'archiveFlag',
    });
    expect(stored.updatedById).toBe(flags.writer.userId);
  });

  test('leaves nothing behind when its audit row cannot be written', async () => {
    const flag = await mutation.prepare?.();
    const before = await flags.everything();
    // This id is not a UUID, so the database refuses the row after everything else has been written.
    const unwritable = identityOf(flags.writer, { requestId: 'none' });
    const answer = await flags.ask<FlagPayloads | null>(unwritable, mutation.query, variablesOf(mutation, flag));
    expect(answer.data).toBeNull();
    expect(refusal(answer)).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(await flags.everything()).toEqual(before);
  });

  test('is refused to callers who may only read, and changes nothing', async () => {
    const flag = await mutation.prepare?.();
    const before = await flags.everything();
    for (const caller of [
      { kind: 'user', role: 'READ', userId: null, sessionKey: null },
      { kind: 'apiKey', role: 'READ', apiKeyId: null, rateLimitPerMin: null },
      { kind: 'vehicle', vin: VIN, environment: 'staging' },
    ] as const) {
      expect(refusal(await flags.ask(caller, mutation.query, variablesOf(mutation, flag)))).toEqual({
        code: 'FORBIDDEN',
      });
    }
    expect(await flags.everything()).toEqual(before);
  });
});

describe('an edit that changes nothing', () => {
  test.each<[string, string]>([
    ['updateFlag', 'updateFlag(key: $key, input: { name: "A flag" })'],
    ['updateFlag without fields', 'updateFlag(key: $key, input: {})'],
    ['enableFlag', 'enableFlag(key: $key)'],
    ['releaseKillSwitch', 'releaseKillSwitch(flagKey: $key, reason: "none pulled")'],
  ])('%s gives the flag unchanged and leaves no audit row', async (_name, field) => {
    const { key, revision } = await prepared();
    const before = await flags.everything();
    expect(
      only(await flags.ok<FlagPayloads>(`mutation ($key: String!) { ${field} ${PAYLOAD} }`, { key })).flag.revision,
    ).toBe(revision);
    expect(await flags.everything()).toEqual(before);
  });

  test('updateRule gives the flag unchanged and leaves no audit row', async () => {
    const flag = await prepared();
    const before = await flags.everything();
    await flags.ok(`mutation ($id: ID!) { updateRule(id: $id, input: { priority: 100 }) ${PAYLOAD} }`, ruleOf(flag));
    expect(await flags.everything()).toEqual(before);
  });
});

describe('a change that does not fit the current state', () => {
  test('is a CONFLICT with the current revision when the flag has changed since', async () => {
    const { key, revision } = await prepared();
    const rename = (expected: number, name: string) =>
      flags.ask<FlagPayloads>(flags.writer, UPDATE, { key, input: { name }, expected });
    expect((await rename(revision, 'First')).errors).toEqual([]);
    const { errors } = await rename(revision, 'Second');
    expect(errors).toMatchObject([{ extensions: { code: 'CONFLICT', currentRevision: revision + 1 } }]);
  });

  test('is a CONFLICT on an archived flag, whatever it changes', async () => {
    const { key } = await prepared();
    await flags.ok(`mutation ($key: String!) { archiveFlag(key: $key) ${PAYLOAD} }`, { key });
    for (const field of [
      'enableFlag(key: $key)',
      'archiveFlag(key: $key)',
      'killSwitch(flagKey: $key, reason: "smoke")',
    ]) {
      expect(
        refusal(await flags.ask(flags.writer, `mutation ($key: String!) { ${field} ${PAYLOAD} }`, { key })),
      ).toEqual({ code: 'CONFLICT' });
    }
    expect(refusal(await flags.ask(flags.writer, UPDATE, { key, input: { environment: 'PRODUCTION' } }))).toEqual({
      code: 'CONFLICT',
    });
  });

  test('is a CONFLICT for a key that is taken in another environment, archived or not', async () => {
    const { key } = await prepared();
    const create = (name: string) =>
      flags.ask(flags.writer, `mutation ($input: CreateFlagInput!) { createFlag(input: $input) ${PAYLOAD} }`, {
        input: {
          key,
          name,
          type: 'BOOLEAN',
          defaultValue: false,
          safetyLevel: 'NON_CRITICAL',
          environment: 'PRODUCTION',
        },
      });
    const before = await flags.everything();
    expect(refusal(await create('Again'))).toEqual({ code: 'CONFLICT', field: 'input.key' });
    expect(await flags.everything()).toEqual(before);
    await flags.ok(`mutation ($key: String!) { archiveFlag(key: $key) ${PAYLOAD} }`, { key });
    expect(refusal(await create('Again'))).toEqual({ code: 'CONFLICT', field: 'input.key' });
  });

  test.each<[string, string, Record<string, unknown>, unknown]>([
    [
      'a key with U+0000',
      `mutation ($key: String!) { enableFlag(key: $key) ${PAYLOAD} }`,
      { key: 'a\0b' },
      { code: 'NOT_FOUND', field: 'key' },
    ],
    [
      'a reason with U+0000',
      `mutation ($key: String!) { killSwitch(flagKey: "x", reason: $key) ${PAYLOAD} }`,
      { key: 'a\0b' },
      { code: 'BAD_USER_INPUT', field: 'reason' },
    ],
    [
      'half of an emoji',
      `mutation ($key: String!) { updateFlag(key: "x", input: { name: $key }) ${PAYLOAD} }`,
      { key: '\ud83d' },
      { code: 'BAD_USER_INPUT', field: 'input.name' },
    ],
  ])('gets an error for %s, which the database does not accept', async (_what, query, variables, expected) => {
    expect(refusal(await flags.ask(flags.writer, query, variables))).toEqual(expected);
  });
});

describe('concurrent writers', () => {
  test('50 are each applied or refused, and the revisions have no gap', async () => {
    const targets = await Promise.all(Array.from({ length: 5 }, () => prepared()));
    const before = { revision: await flags.revision(), rows: await flags.prisma.auditLog.count() };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        flags.ask<FlagPayloads>(flags.writer, UPDATE, {
          key: targets[index % 5]?.key,
          input: { name: `Writer ${index}` },
        }),
      ),
    );
    const applied = answers.filter(({ errors }) => errors.length === 0).map(({ data }) => only(data).flag.revision);
    for (const answer of answers) expect([undefined, 'SERVICE_UNAVAILABLE']).toContain(refusal(answer)?.code);
    expect(applied.sort((a, b) => a - b)).toEqual(Array.from(applied, (_, index) => before.revision + 1 + index));
    expect(applied.length).toBeGreaterThan(0);
    expect(await flags.revision()).toBe(before.revision + applied.length);
    expect(await flags.prisma.auditLog.count()).toBe(before.rows + applied.length);
  });

  test('that have seen the same revision: one change is applied', async () => {
    const { key, revision } = await prepared();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        flags.ask<FlagPayloads>(flags.writer, UPDATE, { key, input: { name: `Writer ${index}` }, expected: revision }),
      ),
    );
    expect(answers.map((answer) => refusal(answer)?.code).sort()).toEqual([
      ...Array.from({ length: 9 }, () => 'CONFLICT'),
      undefined,
    ]);
  });

  test('that delete the same rule: one deletion is applied', async () => {
    const flag = await prepared();
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        flags.ask<FlagPayloads>(flags.writer, `mutation ($id: ID!) { deleteRule(id: $id) ${PAYLOAD} }`, ruleOf(flag)),
      ),
    );
    expect(answers.map((answer) => refusal(answer)?.code).sort()).toEqual([
      ...Array.from({ length: 4 }, () => 'NOT_FOUND'),
      undefined,
    ]);
  });

  test('whose moves cross do not deadlock', async () => {
    const [a, b] = await Promise.all([
      flags.create({ environment: 'DEVELOPMENT' }),
      flags.create({ environment: 'PRODUCTION' }),
    ]);
    for (let round = 0; round < 10; round++) {
      const [toA, toB] = round % 2 === 0 ? ['PRODUCTION', 'DEVELOPMENT'] : ['DEVELOPMENT', 'PRODUCTION'];
      const moved = await Promise.all([flags.move(a.key, toA), flags.move(b.key, toB)]);
      expect(moved.map(({ environment }) => environment)).toEqual([toA, toB]);
    }
  });
});

describe('a flag that leaves an environment', () => {
  const tombstones = (key: string) =>
    flags.prisma.flagTombstone.findMany({ where: { key }, orderBy: { environment: 'asc' } });

  test('leaves a signed tombstone there when it is archived', async () => {
    const { key } = await prepared();
    const { flag } = only(
      await flags.ok<FlagPayloads>(`mutation ($key: String!) { archiveFlag(key: $key) ${PAYLOAD} }`, { key }),
    );
    const [tombstone, ...others] = await tombstones(key);
    expect(others).toEqual([]);
    expect(tombstone).toMatchObject({ environment: 'staging', revision: BigInt(flag.revision) });
  });

  test('takes a revision in both environments when it moves, and its tombstone goes when it comes back', async () => {
    const { key } = await prepared();
    const [staging, production] = [await flags.revision('staging'), await flags.revision('production')];
    const moved = await flags.move(key, 'PRODUCTION');
    expect(moved.revision).toBe(production + 1);
    expect(await tombstones(key)).toMatchObject([{ environment: 'staging', revision: BigInt(staging + 1) }]);
    expect([await flags.revision('staging'), await flags.revision('production')]).toEqual([
      staging + 1,
      production + 1,
    ]);
    const back = await flags.move(key, 'STAGING');
    expect(back.revision).toBe(staging + 2);
    expect(await tombstones(key)).toMatchObject([{ environment: 'production', revision: BigInt(production + 2) }]);
  });
});
