/** Segments of ASIL-D flags, whose changes wait for a second person. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { refusal } from '../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { segmentTestSteps } from '../testing/segment-steps.ts';

let flags: FlagsUnderTest;
let count = 0;
let key: string;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());
beforeEach(() => {
  key = `fleet_${++count}`;
});

const { saved, target, signedRules } = segmentTestSteps(
  () => flags,
  () => key,
);

describe('a segment of an ASIL-D flag', () => {
  test('waits for a second person as a whole, in one request', async () => {
    await saved({ regions: ['EU'] });
    const plain = await flags.addRule((await flags.create({ enabled: true })).key, target());
    const safety = await flags.create({ enabled: true, safetyLevel: 'ASIL_D' });
    const { createRule } = await flags.ok<{ createRule: { changeRequest: { id: string } } }>(
      `mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { changeRequest { id } } }`,
      { key: safety.key, input: target() },
    );
    await flags.approve(createRule.changeRequest.id);
    const from = await flags.revision();
    const set = await saved({ regions: ['KR'] });
    expect(set).toMatchObject({ applied: false, revision: null, changeRequest: { action: 'SAVE_SEGMENT' } });
    expect(set.flags.map((flag) => flag.key).sort()).toEqual([plain.key, safety.key].sort());
    expect(await flags.revision()).toBe(from);
    expect(await signedRules(plain.key)).toEqual([{ type: 'vehicle_target', conditions: { regions: ['EU'] } }]);
    const id = set.changeRequest?.id ?? '';
    const { changeRequests } = await flags.ok<{ changeRequests: { id: string; evaluatedContents: unknown }[] }>(
      '{ changeRequests { id evaluatedContents } }',
    );
    expect(changeRequests.find((request) => request.id === id)?.evaluatedContents).toMatchObject({
      before: { rules: [{ conditions: { regions: ['EU'] } }] },
      after: { rules: [{ conditions: { regions: ['KR'] } }] },
    });
    await flags.approve(id);
    expect(await flags.revision()).toBe(from + 2);
    for (const flagKey of [plain.key, safety.key])
      expect(await signedRules(flagKey)).toEqual([{ type: 'vehicle_target', conditions: { regions: ['KR'] } }]);
  });

  test('is checked against the revision of each flag when it is approved, and names all of them', async () => {
    await saved({ regions: ['EU'] });
    const plain = await flags.addRule((await flags.create({ environment: 'DEVELOPMENT' })).key, target());
    const safety = await flags.create({ safetyLevel: 'ASIL_D' });
    const { createRule } = await flags.ok<{ createRule: { changeRequest: { id: string } } }>(
      `mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { changeRequest { id } } }`,
      { key: safety.key, input: target() },
    );
    await flags.approve(createRule.changeRequest.id);
    const { id = '' } = (await saved({ regions: ['KR'] })).changeRequest ?? {};
    const { node } = await flags.ok<{ node: unknown }>(
      'query ($id: ID!) { node(id: $id) { ... on ChangeRequest { flags { key } before after outdated } } }',
      { id },
    );
    expect(node).toEqual({
      ...{ flags: [{ key: plain.key }, { key: safety.key }], outdated: false },
      before: { key, name: 'A fleet', conditions: { regions: ['EU'] } },
      after: { key, name: 'A fleet', conditions: { regions: ['KR'] } },
    });
    await flags.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key: plain.key });
    const before = await flags.everything();
    const answer = await flags.ask(flags.reviewer, `mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }`, {
      id,
    });
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT' });
    expect(answer.errors[0]?.message).toContain(plain.key);
    expect(await flags.everything()).toEqual(before);
    const again = (await saved({ regions: ['KR'] })).changeRequest?.id ?? '';
    await flags.approve(again);
    const rows = await flags.prisma.auditLog.findMany({
      where: { afterValue: { path: ['changeSet'], equals: again } },
      orderBy: { chainPosition: 'asc' },
    });
    expect(rows.map(({ action, flagId, userId }) => [action, flagId, userId])).toEqual([
      ['REQUEST_CHANGE', plain.id, flags.writer.userId],
      ['SAVE_SEGMENT', plain.id, flags.writer.userId],
      ['SAVE_SEGMENT', safety.id, flags.writer.userId],
      ['SAVE_SEGMENT', null, flags.writer.userId],
    ]);
    expect(rows[0]?.afterValue).toMatchObject({ flags: [plain.key, safety.key] });
    expect(rows[3]?.afterValue).toMatchObject({
      flags: { [plain.key]: expect.any(Number), [safety.key]: expect.any(Number) },
      changeRequest: { id: again, requestedBy: flags.writer.userId, approvedBy: flags.reviewer.userId },
    });
  });

  test('that has changed since cannot be approved', async () => {
    await saved({ regions: ['EU'] });
    const safety = await flags.create({ enabled: true, safetyLevel: 'ASIL_D' });
    const { createRule } = await flags.ok<{ createRule: { changeRequest: { id: string } } }>(
      `mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { changeRequest { id } } }`,
      { key: safety.key, input: target() },
    );
    await flags.approve(createRule.changeRequest.id);
    const waiting = await saved({ regions: ['KR'] });
    await flags.addRule((await flags.create()).key, target());
    const answer = await flags.ask(flags.reviewer, `mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }`, {
      id: waiting.changeRequest?.id,
    });
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT', field: 'id' });
  });

  test.each(['one change', 'a set'])(
    'must not change between the request that names it and its approval: %s',
    async (of) => {
      await saved({ models: ['Nobody has it'] });
      const request = await requestNaming(of);
      const outdated = async () =>
        (
          await flags.ok<{ node: { outdated: boolean } }>(
            'query ($id: ID!) { node(id: $id) { ... on ChangeRequest { outdated } } }',
            { id: request },
          )
        ).node.outdated;
      expect(await outdated()).toBe(false);
      // No flag in use names it yet, so one person changes it.
      expect(await saved({ regions: ['EU', 'KR'] })).toMatchObject({ applied: true, changeRequest: null });
      expect(await outdated()).toBe(true);
      const before = await flags.everything();
      const approve = 'mutation ($id: ID!) { approveChangeRequest(id: $id) { status } }';
      const answer = await flags.ask(flags.reviewer, approve, { id: request });
      expect(refusal(answer)).toMatchObject({ code: 'CONFLICT', field: 'id' });
      expect(answer.errors[0]?.message).toContain(key);
      expect(await flags.everything()).toEqual(before);
      // The segment says again what the reviewer has seen.
      await saved({ models: ['Nobody has it'] });
      expect(await outdated()).toBe(false);
      await flags.approve(request);
    },
  );

  test('may have no tags, which one person alone could change', async () => {
    await saved({ tags: ['beta'] });
    const safety = await flags.create({ safetyLevel: 'ASIL_D' });
    const answer = await flags.ask(
      flags.writer,
      `mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }`,
      { key: safety.key, input: target() },
    );
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT', field: 'input.conditions.segment' });
  });
});

/** Requests a change of an ASIL-D flag whose rule names the segment. Gives the request's id. */
async function requestNaming(of: string): Promise<string> {
  interface Requested {
    readonly done: { readonly changeRequest: { readonly id: string } | null };
  }
  const rule = { ...target(), priority: 100 };
  const safety = await flags.create({ enabled: true, safetyLevel: 'ASIL_D' });
  if (of === 'a set') {
    const { done } = await flags.ok<Requested>(
      'mutation ($environment: Environment!, $changes: [ChangeInput!]!) { done: applyChanges(environment: $environment, changes: $changes) { changeRequest { id } } }',
      {
        environment: safety.environment,
        changes: [{ createRule: { flagKey: safety.key, input: rule } }],
      },
    );
    return done.changeRequest?.id ?? '';
  }
  const { done } = await flags.ok<Requested>(
    'mutation ($key: String!, $input: RuleInput!) { done: createRule(flagKey: $key, input: $input) { changeRequest { id } } }',
    { key: safety.key, input: rule },
  );
  return done.changeRequest?.id ?? '';
}
