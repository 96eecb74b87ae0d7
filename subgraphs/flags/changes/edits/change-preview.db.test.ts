/** A preview of a change holds what vehicles evaluate before and after it, as the change itself then makes it. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { refusal, user } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../../testing/flags-under-test.ts';

let flags: FlagsUnderTest;
let flag: FlagJson;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());

const TARGET = { type: 'VEHICLE_TARGET', priority: 7, conditions: { models: ['EV9'] } };
beforeEach(async () => {
  flag = await flags.create({ enabled: true });
  await flags.addRule(flag.key, TARGET);
  flag = await flags.addRule(flag.key, { ...TARGET, priority: 6, conditions: { models: ['GV60'] } });
});

interface Contents {
  readonly before: { readonly rules: readonly { readonly id: string }[] } | null;
  readonly after: { readonly rules: readonly { readonly id: string }[] } | null;
}
const ask = (change: object, key = flag.key) =>
  flags.ask<{ flag: { previewChange: { evaluatedContents: Contents } } }>(
    user('READ'),
    'query ($key: String!, $change: ProposedChangeInput!) { flag(key: $key) { previewChange(change: $change) { evaluatedContents } } }',
    { key, change },
  );
async function preview(change: object, key?: string): Promise<Contents> {
  const { data, errors } = await ask(change, key);
  expect(errors).toEqual([]);
  return data.flag.previewChange.evaluatedContents;
}
const content = async () =>
  (
    await flags.ok<{ flag: { evaluatedContent: Contents['after'] } }>(
      'query ($key: String!) { flag(key: $key) { evaluatedContent } }',
      { key: flag.key },
    )
  ).flag.evaluatedContent;

/** The changes: what is previewed, and the mutation that makes it. */
const CHANGES: Readonly<Record<string, () => readonly [change: object, mutation: string, variables?: object]>> = {
  'its default value, name and place': () => {
    const input = { defaultValue: true, name: 'Other', environment: 'PRODUCTION' };
    return [
      { updateFlag: input },
      'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }',
      { input },
    ];
  },
  'being switched off': () => [{ enabled: false }, 'mutation ($key: String!) { disableFlag(key: $key) { applied } }'],
  'being archived': () => [{ archived: true }, 'mutation ($key: String!) { archiveFlag(key: $key) { applied } }'],
  'a further rule': () => {
    const input = { ...TARGET, priority: 9 };
    return [
      { createRule: input },
      'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }',
      { input },
    ];
  },
  'another state of a rule': () => {
    const [id, input] = [flag.rules[0]!.id, { enabled: false, priority: 2 }];
    return [
      { updateRule: { id, input } },
      'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }',
      { id, input },
    ];
  },
  'the loss of a rule': () => [
    { deleteRule: flag.rules[0]!.id },
    'mutation ($id: ID!) { deleteRule(id: $id) { applied } }',
    { id: flag.rules[0]!.id },
  ],
  'another order': () => {
    const ids = flag.rules.map(({ id }) => id).reverse();
    return [
      { reorderRules: ids },
      'mutation ($key: String!, $ids: [ID!]!) { reorderRules(flagKey: $key, ruleIds: $ids) { applied } }',
      { ids },
    ];
  },
  'an earlier content': () => [
    { restoreRevision: flag.revision - 1 },
    'mutation ($key: String!, $revision: Int!) { restoreFlag(key: $key, revision: $revision) { applied } }',
    { revision: flag.revision - 1 },
  ],
};

test.each(Object.entries(CHANGES))('%s: before is what is, after what the mutation makes of it', async (_, given) => {
  const [change, mutation, variables] = given();
  const { before, after } = await preview(change);
  expect(before).toEqual(await content());
  await flags.ok(mutation, { key: flag.key, ...variables });
  const now = await content();
  // A further rule gets its id when it is created.
  const known = new Set(flag.rules.map(({ id }) => id));
  const named = (of: Contents['after']) =>
    of && { ...of, rules: of.rules.map((rule) => ({ ...rule, id: known.has(rule.id) ? rule.id : 'new' })) };
  expect(named(after)).toEqual(named(now));
});

test('faults are those of the mutation, below the change; exactly one change is previewed', async () => {
  const at = async (change: object) => refusal(await ask(change));
  const refused = (code: string, field: string) => ({ code, field: `change${field}` });
  expect(await at({})).toMatchObject(refused('BAD_USER_INPUT', ''));
  expect(await at({ enabled: null })).toMatchObject(refused('BAD_USER_INPUT', ''));
  expect(await at({ enabled: true, archived: true })).toMatchObject(refused('BAD_USER_INPUT', ''));
  expect(await at({ updateFlag: { defaultValue: 1 } })).toMatchObject(
    refused('BAD_USER_INPUT', '.updateFlag.defaultValue'),
  );
  expect(await at({ createRule: { ...TARGET, conditions: { models: [] } } })).toMatchObject(
    refused('BAD_USER_INPUT', '.createRule.conditions.models'),
  );
  expect(await at({ createRule: TARGET })).toMatchObject(refused('CONFLICT', '.createRule.priority'));
  const [id, other] = flag.rules.map((rule) => rule.id) as [string, string];
  const input = { priority: 6 };
  expect(await at({ updateRule: { id, input } })).toMatchObject(refused('CONFLICT', '.updateRule.input.priority'));
  expect(await at({ updateRule: { id: 'none', input } })).toMatchObject(refused('NOT_FOUND', '.updateRule.id'));
  expect(await at({ deleteRule: 'none' })).toMatchObject(refused('NOT_FOUND', '.deleteRule'));
  expect(await at({ reorderRules: [other, other, id] })).toMatchObject(refused('BAD_USER_INPUT', '.reorderRules.1'));
  expect(await at({ restoreRevision: 0 })).toMatchObject(refused('NOT_FOUND', '.restoreRevision'));
  expect(await at({ restoreRevision: -1 })).toMatchObject(refused('BAD_USER_INPUT', '.restoreRevision'));
});

test('a flag that no vehicle has is nothing before, and one brought back is switched off after', async () => {
  await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: flag.key });
  expect(await preview({ enabled: true })).toEqual({ before: null, after: null });
  expect(await preview({ archived: false })).toMatchObject({ before: null, after: { enabled: false } });
  const { createFlag } = await flags.ok<{ createFlag: { flag: { key: string } } }>(
    'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { flag { key } } }',
    {
      input: {
        key: flags.newKey(),
        name: 'Draft',
        type: 'BOOLEAN',
        defaultValue: false,
        safetyLevel: 'ASIL_D',
        environment: 'STAGING',
      },
    },
  );
  expect(await preview({ enabled: true }, createFlag.flag.key)).toEqual({ before: null, after: null });
});
