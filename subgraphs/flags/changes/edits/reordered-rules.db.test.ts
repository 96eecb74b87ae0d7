/** A flag's rules change their order by one change, whatever their priorities are. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareRules } from '../../../../core/evaluation/rules/rule-order.ts';
import { RULE_TYPES } from '../../../../core/model.ts';
import type { Caller } from '../../../../core/access/caller.ts';
import { refusal, user } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../../testing/flags-under-test.ts';
import type { Flag, Rule } from '../../flags/flag.ts';
import { withOrder } from './rule-edits.ts';

let flags: FlagsUnderTest;
let flag: FlagJson;
/** The ids of the flag's rules, in the order of their evaluation. */
let ids: string[];

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());

const TARGET = { type: 'VEHICLE_TARGET', conditions: { models: ['EV9'] } };
const RULES = [
  { ...TARGET, priority: 30 },
  { ...TARGET, priority: 29 },
  { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 }, priority: 29 },
];

/** Adds rules, and gives their ids in the same order. */
async function addRules(key: string, rules: readonly Record<string, unknown>[]): Promise<string[]> {
  const added: string[] = [];
  for (const input of rules) {
    const present = (await flags.addRule(key, input)).rules.map(({ id }) => id);
    added.push(...present.filter((id) => !known.has(id)));
    for (const id of present) known.add(id);
  }
  return added;
}
const known = new Set<string>();

beforeEach(async () => {
  flag = await flags.create({ enabled: true });
  ids = await addRules(flag.key, RULES);
  flag = { ...flag, revision: flag.revision + RULES.length };
});

interface Payload {
  readonly applied: boolean;
  readonly flag: { readonly revision: number; readonly rules: readonly { id: string; priority: number }[] };
  readonly changeRequest: { readonly id: string } | null;
}
const REORDER = `mutation ($key: String!, $ids: [ID!]!, $seen: Int, $force: Boolean) {
  change: reorderRules(flagKey: $key, ruleIds: $ids, expectedRevision: $seen, force: $force) {
    applied flag { revision rules { id priority } } changeRequest { id }
  }
}`;
const reorder = (order: readonly string[], more: object = {}, caller: Caller = flags.writer) =>
  flags.ask<{ change: Payload }>(caller, REORDER, { key: flag.key, ids: order, ...more });
const entries = () => flags.prisma.auditLog.findMany({ where: { flagId: flag.id }, orderBy: { chainPosition: 'asc' } });

describe('a new order', () => {
  test('takes one revision and one entry of the audit log, and the rules exchange their priorities', async () => {
    const before = await entries();
    const wanted = [ids[2]!, ids[0]!, ids[1]!];
    const { data, errors } = await reorder(wanted, { seen: flag.revision });
    expect(errors).toEqual([]);
    expect(data.change).toEqual({
      applied: true,
      flag: {
        revision: flag.revision + 1,
        rules: [
          { id: wanted[0], priority: 31 },
          { id: wanted[1], priority: 30 },
          { id: wanted[2], priority: 29 },
        ],
      },
      changeRequest: null,
    });
    const added = (await entries()).slice(before.length);
    expect(added).toMatchObject([
      {
        action: 'REORDER_RULES',
        userId: flags.writer.userId,
        beforeValue: {
          rules: expect.arrayContaining(ids.map((id) => expect.objectContaining({ id }) as unknown)) as unknown,
        },
        afterValue: { rules: wanted.map((id) => ({ id })) },
      },
    ]);
  });

  test('that is the present one changes nothing, and one based on another revision is a CONFLICT', async () => {
    const before = (await entries()).length;
    expect((await reorder(ids.map((id) => id.toUpperCase()))).data.change.flag.revision).toBe(flag.revision);
    expect((await entries()).length).toBe(before);
    const late = await reorder([...ids].reverse(), { seen: flag.revision - 1 });
    expect(late.errors[0]?.extensions).toMatchObject({ code: 'CONFLICT', currentRevision: flag.revision });
  });

  test('names every rule once: a foreign, doubled or missing one and a kill switch are refused at their places', async () => {
    const [foreign] = (await addRules((await flags.create()).key, [TARGET])) as [string];
    const [a, b, c] = ids as [string, string, string];
    expect(refusal(await reorder([a, b, c, foreign]))).toEqual({ code: 'NOT_FOUND', field: 'ruleIds.3' });
    expect(refusal(await reorder(['none', a, b, c]))).toEqual({ code: 'NOT_FOUND', field: 'ruleIds.0' });
    expect(refusal(await reorder([a, b, a, c]))).toEqual({ code: 'BAD_USER_INPUT', field: 'ruleIds.2' });
    expect(refusal(await reorder([a, c]))).toEqual({ code: 'BAD_USER_INPUT', field: 'ruleIds' });
    expect(refusal(await reorder([]))).toEqual({ code: 'BAD_USER_INPUT', field: 'ruleIds' });
    const [kill] = (await addRules(flag.key, [{ type: 'KILL_SWITCH', conditions: { force_disabled: false } }])) as [
      string,
    ];
    expect(refusal(await reorder([kill, a, b, c]))).toEqual({ code: 'BAD_USER_INPUT', field: 'ruleIds.0' });
    // Without it, the order is whole.
    expect((await reorder([c, b, a])).errors).toEqual([]);
    expect(refusal(await reorder(ids, { key: 'none' }))).toEqual({ code: 'NOT_FOUND', field: 'flagKey' });
  });

  test('is refused to a caller who may only pull kill switches', async () => {
    expect(refusal(await reorder([...ids].reverse(), {}, user('SAFETY')))).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('of an ASIL-D flag waits for a second person, and is then one change', async () => {
    flag = await flags.create({ safetyLevel: 'ASIL_D' });
    let now = flag;
    for (const input of RULES) {
      const { createRule } = await flags.ok<{ createRule: { changeRequest: { id: string } } }>(
        'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { changeRequest { id } } }',
        { key: flag.key, input },
      );
      now = await flags.approve(createRule.changeRequest.id);
    }
    const wanted = now.rules.map(({ id }) => id).reverse();
    const { data, errors } = await reorder(wanted, { seen: now.revision });
    expect(errors).toEqual([]);
    expect(data.change).toMatchObject({ applied: false, flag: { revision: now.revision } });
    const approved = await flags.approve(data.change.changeRequest!.id);
    expect(approved.revision).toBe(now.revision + 1);
    expect(approved.rules.map(({ id }) => id)).toEqual(wanted);
    expect((await entries()).slice(-2).map(({ action }) => action)).toEqual(['APPROVE_CHANGE', 'REORDER_RULES']);
  });
});

test('every order is possible, whatever the priorities are, and no two rules of a type then share a priority', () => {
  const rules = fc
    .uniqueArray(
      fc.record({
        type: fc.constantFrom(...RULE_TYPES.filter((type) => type !== 'kill_switch')),
        priority: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom(2 ** 31 - 1, 2 ** 31 - 2, -(2 ** 31))),
      }),
      { maxLength: 8, selector: ({ type, priority }) => `${type} ${priority}` },
    )
    .map((all) => all.map((rule, index) => ({ ...rule, id: `r${index}` }) as Rule));
  fc.assert(
    fc.property(rules, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (all, draws) => {
      const order = all
        .map(({ id }) => ({ id, at: draws.next().value as number }))
        .sort((a, b) => a.at - b.at)
        .map(({ id }) => id);
      const { rules: ordered } = withOrder({ key: 'f', revision: 1, rules: all } as unknown as Flag, order);
      expect([...ordered].sort(compareRules).map(({ id }) => id)).toEqual(order);
      expect(new Set(ordered.map(({ type, priority }) => `${type} ${priority}`)).size).toBe(ordered.length);
      expect(ordered.every(({ priority }) => (priority | 0) === priority)).toBe(true);
    }),
  );
});
