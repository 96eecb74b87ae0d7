import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { refusal } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../../testing/flags-under-test.ts';

const APPLY = `mutation ($changes: [ChangeInput!]!, $expectedRevision: Int, $environment: Environment! = STAGING) {
  applyChanges(environment: $environment, changes: $changes, expectedRevision: $expectedRevision) {
    id applied revision flags { key enabled revision scope requires { flag { key } } } changeRequest { id status flags { key } before after outdated } warnings { field message }
  }
}`;

interface Applied {
  readonly applyChanges: {
    readonly id: string;
    readonly applied: boolean;
    readonly revision: number | null;
    readonly flags: readonly FlagJson[];
    readonly changeRequest: {
      readonly id: string;
      readonly status: string;
      readonly flags: readonly FlagJson[];
    } | null;
    readonly warnings: readonly { readonly field: string; readonly message: string }[];
  };
}
type Change = Record<string, unknown>;

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const apply = async (changes: readonly Change[], more: Record<string, unknown> = {}) =>
  (await flags.ok<Applied>(APPLY, { changes, ...more })).applyChanges;
const refused = async (changes: readonly Change[], more: Record<string, unknown> = {}) => {
  const before = await flags.everything();
  const answer = await flags.ask(flags.writer, APPLY, { changes, ...more });
  expect(await flags.everything()).toEqual(before);
  return { ...refusal(answer), message: answer.errors[0]?.message };
};
const auditOf = async (id: string) =>
  flags.prisma.auditLog.findMany({
    where: { afterValue: { path: ['changeSet'], equals: id } },
    orderBy: { chainPosition: 'asc' },
  });
const present = async (key: string) =>
  (
    await flags.ok<{ flag: FlagJson }>(
      'query ($key: String!) { flag(key: $key) { key enabled revision rules { id } } }',
      { key },
    )
  ).flag;

describe('a set of changes', () => {
  test('is made as one: consecutive revisions in its order, one entry of the audit log for each flag under its id', async () => {
    const [a, b, c] = [await flags.create(), await flags.create({ enabled: true }), await flags.create()];
    const { rules } = await flags.addRule(c.key, { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 } });
    const start = await flags.revision();
    const set = await apply(
      [
        { updateFlag: { key: a.key, input: { scope: ['Model X'], requires: [] } } },
        { disableFlag: b.key },
        { updateRule: { id: rules[0]?.id, input: { conditions: { rollout_percentage: 7 } } } },
      ],
      { expectedRevision: start },
    );
    expect(set).toMatchObject({ applied: true, revision: start + 3, changeRequest: null });
    expect(set.flags.map(({ key, revision }) => [key, revision])).toEqual(
      [a, b, c].map(({ key }, index) => [key, start + 1 + index]),
    );
    const entries = await auditOf(set.id);
    expect(entries.map(({ action, flagId }) => [action, flagId])).toEqual([
      ['UPDATE_FLAG', a.id],
      ['DISABLE_FLAG', b.id],
      ['UPDATE_RULE', c.id],
    ]);
    expect(set.warnings).toEqual([
      { field: 'changes.0.updateFlag.input.scope.0', message: expect.stringContaining('Model X') },
    ]);
  });

  test('is checked by its result: in between, a dependency may be broken', async () => {
    const base = await flags.create({ scope: ['A'] });
    const top = await flags.create({ scope: ['A'], requires: [{ flagKey: base.key }] });
    const narrowing = { updateFlag: { key: base.key, input: { scope: ['B'] } } };
    expect(await refused([narrowing])).toMatchObject({ code: 'CONFLICT', field: 'changes.0.updateFlag.input.scope' });
    const set = await apply([narrowing, { updateFlag: { key: top.key, input: { scope: ['B'] } } }]);
    expect(set.flags).toMatchObject([{ scope: ['B'] }, { scope: ['B'] }]);
    // Turning a dependency round is a cycle only in between.
    const turned = await apply([
      { updateFlag: { key: base.key, input: { requires: [{ flagKey: top.key }] } } },
      { updateFlag: { key: top.key, input: { requires: [] } } },
    ]);
    expect(turned.flags).toMatchObject([{ requires: [{ flag: { key: top.key } }] }, { requires: [] }]);
    expect(
      await refused([{ updateFlag: { key: top.key, input: { requires: [{ flagKey: base.key }] } } }]),
    ).toMatchObject({ code: 'BAD_USER_INPUT', field: 'changes.0.updateFlag.input.requires.0.flagKey' });
  });

  test('leaves out what changes nothing', async () => {
    const [a, b] = [await flags.create(), await flags.create()];
    const set = await apply([{ disableFlag: a.key }, { enableFlag: b.key }]);
    expect(set.flags.map(({ key }) => key)).toEqual([b.key]);
    const nothing = await apply([{ disableFlag: a.key }]);
    expect(nothing).toMatchObject({ applied: true, flags: [], revision: await flags.revision() });
  });

  test('is refused whole, with the place of the fault', async () => {
    const [a, b] = [await flags.create(), await flags.create()];
    const elsewhere = await flags.create({ environment: 'PRODUCTION' });
    const good = { enableFlag: a.key };
    expect(await refused([good, { enableFlag: 'no_such_flag' }])).toMatchObject({
      ...{ code: 'NOT_FOUND', field: 'changes.1.enableFlag' },
    });
    expect(await refused([good, { updateFlag: { key: a.key, input: { name: 'B' } } }])).toMatchObject({
      ...{ code: 'BAD_USER_INPUT', field: 'changes.1.updateFlag.key' },
    });
    expect(await refused([good, { enableFlag: elsewhere.key }])).toMatchObject({
      ...{ code: 'BAD_USER_INPUT', field: 'changes.1.enableFlag' },
    });
    expect(await refused([good, { enableFlag: b.key, disableFlag: b.key }])).toMatchObject({
      ...{ code: 'BAD_USER_INPUT', field: 'changes.1' },
    });
    expect(await refused([good, {}])).toMatchObject({ code: 'BAD_USER_INPUT', field: 'changes.1' });
    expect(await refused([])).toMatchObject({ code: 'BAD_USER_INPUT', field: 'changes' });
    expect(await refused([good, { deleteRule: 'x' }])).toMatchObject({
      code: 'NOT_FOUND',
      field: 'changes.1.deleteRule',
    });
    expect(await refused([good, { updateFlag: { key: b.key, input: { environment: 'PRODUCTION' } } }])).toMatchObject({
      code: 'BAD_USER_INPUT',
      field: 'changes.1.updateFlag.input.environment',
    });
    expect(
      await refused([
        good,
        {
          createRule: {
            flagKey: b.key,
            input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 101 } },
          },
        },
      ]),
    ).toMatchObject({ code: 'BAD_USER_INPUT', field: 'changes.1.createRule.input.conditions.rollout_percentage' });
    expect(await refused([good], { expectedRevision: 1 })).toMatchObject({ code: 'CONFLICT' });
    expect(await refused(Array.from({ length: 201 }, () => good))).toMatchObject({
      ...{ code: 'LIMIT_EXCEEDED', field: 'changes' },
    });
  });
});

describe('a set with an ASIL-D flag', () => {
  const waiting = async () => {
    const safe = await flags.create({ safetyLevel: 'ASIL_D' });
    const plain = await flags.create();
    const set = await apply([{ enableFlag: plain.key }, { enableFlag: safe.key }]);
    return { safe, plain, set, id: set.changeRequest?.id ?? '' };
  };

  test('waits as one request under its id, and the approval applies all changes in the name of the requester', async () => {
    const { safe, plain, set, id } = await waiting();
    expect(set).toMatchObject({
      ...{ applied: false, revision: null, id },
      changeRequest: {
        ...{ status: 'PENDING', flags: [{ key: plain.key }, { key: safe.key }], outdated: false },
        before: { [plain.key]: { enabled: false }, [safe.key]: { enabled: false } },
        after: { [plain.key]: { enabled: true }, [safe.key]: { enabled: true } },
      },
    });
    expect(await present(plain.key)).toMatchObject({ enabled: false, revision: plain.revision });
    const start = await flags.revision();
    await flags.approve(id);
    expect([await present(plain.key), await present(safe.key)]).toMatchObject([
      { enabled: true, revision: start + 1 },
      { enabled: true, revision: start + 2 },
    ]);
    const entries = await auditOf(id);
    expect(entries.map(({ action }) => action)).toEqual(['REQUEST_CHANGE', 'ENABLE_FLAG', 'ENABLE_FLAG']);
    expect(entries.slice(1).map(({ userId }) => userId)).toEqual([flags.writer.userId, flags.writer.userId]);
    expect(entries[1]?.afterValue).toMatchObject({
      changeRequest: { id, requestedBy: flags.writer.userId, approvedBy: flags.reviewer.userId },
    });
  });

  test('lists the change of each flag with a preview of its effect, in pages', async () => {
    const { safe, plain, id } = await waiting();
    const page = (args: string) =>
      flags.ask<{ node: { flagCount: number; changes: readonly { readonly key: string }[] } }>(
        flags.writer,
        `query ($id: ID!) { node(id: $id) { ... on ChangeRequest { flagCount changes${args} { key flag { key } action before after preview { evaluatedContents } } } } }`,
        { id },
      );
    const enabling = ({ key }: FlagJson) => ({
      ...{ key, flag: { key }, action: 'ENABLE_FLAG' },
      ...{ before: expect.objectContaining({ enabled: false }), after: expect.objectContaining({ enabled: true }) },
      preview: {
        evaluatedContents: {
          before: expect.objectContaining({ key, enabled: false }),
          after: expect.objectContaining({ key, enabled: true }),
        },
      },
    });
    expect((await page('')).data.node).toEqual({ flagCount: 2, changes: [enabling(plain), enabling(safe)] });
    expect((await page('(first: 1)')).data.node.changes).toEqual([enabling(plain)]);
    expect((await page(`(first: 1, after: "${plain.key}")`)).data.node.changes).toEqual([enabling(safe)]);
    expect((await page('(after: "no_flag")')).data.node.changes).toEqual([]);
    expect(refusal(await page('(first: 101)'))).toEqual({ code: 'BAD_USER_INPUT', field: 'first' });
    await flags.approve(id);
    expect((await page('(first: 1)')).data.node.changes).toMatchObject([{ key: plain.key, preview: null }]);
  });

  test.each([0, 1])('is outdated, and cannot be approved, once its flag %i has changed', async (index) => {
    const { safe, plain, id } = await waiting();
    const { key } = [plain, safe][index]!;
    await flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', { key });
    const requests = await flags.ok<{ flag: { changeRequests: { id: string; outdated: boolean }[] } }>(
      'query ($key: String!) { flag(key: $key) { changeRequests { id outdated } } }',
      { key: plain.key },
    );
    expect(requests.flag.changeRequests).toContainEqual({ id, outdated: true });
    const answer = await flags.ask(flags.reviewer, 'mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }', {
      id,
    });
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT' });
    expect(await present(plain.key)).toMatchObject({ enabled: false });
  });

  test('is listed with each of its flags, and rejecting or cancelling it ends it for all', async () => {
    for (const [how, caller] of [
      ['rejectChangeRequest(id: $id, comment: "No") { status }', flags.reviewer],
      ['cancelChangeRequest(id: $id) { status }', flags.writer],
    ] as const) {
      const { safe, plain, id } = await waiting();
      await flags.ok(`mutation ($id: ID!) { ${how} }`, { id }, caller);
      for (const { key } of [safe, plain])
        expect(
          await flags.ok('query ($key: String!) { flag(key: $key) { changeRequests(status: PENDING) { id } } }', {
            key,
          }),
        ).toEqual({ flag: { changeRequests: [] } });
    }
  });

  test('ends when one of its flags is archived', async () => {
    const { plain, id } = await waiting();
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: plain.key });
    const row = await flags.prisma.changeRequest.findUniqueOrThrow({ where: { id } });
    expect(row.status).toBe('cancelled');
  });

  test('does not split off a kill switch, and says so', async () => {
    const { safe, plain } = await waiting();
    const kill = { type: 'KILL_SWITCH', priority: 1000, conditions: { force_disabled: true, reason: 'smoke' } };
    const set = await apply([{ createRule: { flagKey: plain.key, input: kill } }, { enableFlag: safe.key }]);
    expect(set.warnings).toEqual([
      { field: 'changes.0.createRule.input', message: expect.stringContaining('killSwitch') },
    ]);
    expect(await flags.ok('query ($key: String!) { flag(key: $key) { killed } }', { key: plain.key })).toEqual({
      flag: { killed: false },
    });
    await flags.approve(set.changeRequest?.id ?? '');
    expect((await auditOf(set.id)).map(({ action }) => action)).toEqual([
      'REQUEST_CHANGE',
      'KILL_SWITCH',
      'ENABLE_FLAG',
    ]);
  });
});

test('two sets over the same flags in opposite orders do not deadlock', async () => {
  const [a, b] = [await flags.create(), await flags.create()];
  const start = await flags.revision();
  for (const enabled of [true, false]) {
    const how = enabled ? 'enableFlag' : 'disableFlag';
    await Promise.all([apply([{ [how]: a.key }, { [how]: b.key }]), apply([{ [how]: b.key }, { [how]: a.key }])]);
  }
  // The second of each pair finds nothing to change.
  expect(await flags.revision()).toBe(start + 4);
});
