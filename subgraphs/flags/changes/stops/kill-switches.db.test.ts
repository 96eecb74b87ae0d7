/** A kill is treated as a kill, and a release as a release, whichever mutation makes it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../../core/access/caller.ts';
import { refusal } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest, addPerson, type FlagJson } from '../../testing/flags-under-test.ts';

let flags: FlagsUnderTest;
let safety: Caller;
let flag: FlagJson;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  safety = await addPerson(flags.prisma, 'SAFETY');
}, 60_000);
afterAll(() => flags?.remove());

beforeEach(async () => {
  flag = await flags.create({ safetyLevel: 'ASIL_D', enabled: true });
});

interface Change {
  readonly applied: boolean;
  readonly flag: {
    readonly killed: boolean;
    readonly revision: number;
    readonly rules: readonly { readonly id: string; readonly conditions: unknown }[];
  };
  readonly changeRequest: { readonly id: string; readonly action: string } | null;
}

const ask = (mutation: string, caller: Caller = safety) =>
  flags.ask<{ change: Change }>(
    caller,
    `mutation { change: ${mutation} { applied flag { killed revision rules { id conditions } } changeRequest { id action } } }`,
  );
const change = async (mutation: string, caller?: Caller) => {
  const { data, errors } = await ask(mutation, caller);
  expect(errors).toEqual([]);
  return data.change;
};
const trail = async () =>
  (await flags.prisma.auditLog.findMany({ where: { flagId: flag.id }, orderBy: { chainPosition: 'asc' } })).slice(3);
const SWITCH = 'type: KILL_SWITCH, conditions: { force_disabled: true, reason: "Brakes" }';
const KEY: Caller = { kind: 'apiKey', apiKeyId: null, role: 'WRITE', rateLimitPerMin: 60 };
/** Creates a rule that is a kill switch and does not hold anything yet. */
const idleSwitch = async (conditions = '{ force_disabled: true, reason: "Brakes" }') => {
  const { id } = (
    await change(
      `createRule(flagKey: "${flag.key}", input: { type: KILL_SWITCH, enabled: false, conditions: ${conditions} })`,
      flags.writer,
    )
  ).changeRequest!;
  return (await flags.approve(id)).rules[0]!.id;
};

describe('a kill', () => {
  test.each<[string, () => Promise<string>]>([
    ['killSwitch', async () => `killSwitch(flagKey: "${flag.key}", reason: "Brakes")`],
    ['createRule', async () => `createRule(flagKey: "${flag.key}", input: { ${SWITCH} })`],
    ['updateRule that enables it', async () => `updateRule(id: "${await idleSwitch()}", input: { enabled: true })`],
    [
      'updateRule of its conditions',
      async () =>
        `updateRule(id: "${await idleSwitch('{ force_disabled: false }')}", input: { enabled: true, conditions: { force_disabled: true, reason: "Brakes" } })`,
    ],
  ])(
    'written as %s takes effect at once, for SAFETY or an API key, and is recorded as KILL_SWITCH with its reason',
    async (_what, mutation) => {
      for (const caller of [safety, KEY]) {
        flag = await flags.create({ safetyLevel: 'ASIL_D', enabled: true });
        const text = await mutation();
        expect(await change(text, caller)).toMatchObject({
          applied: true,
          changeRequest: null,
          flag: { killed: true },
        });
        expect((await trail()).at(-1)).toMatchObject({
          action: 'KILL_SWITCH',
          userId: caller.kind === 'user' ? caller.userId : null,
          afterValue: { reason: 'Brakes', killSwitches: [{ enabled: true }] },
        });
      }
    },
  );

  test.each<[string, () => Promise<string>]>([
    [
      'createRule',
      async () =>
        `createRule(flagKey: "${flag.key}", input: { type: KILL_SWITCH, conditions: { force_disabled: true } })`,
    ],
    [
      'updateRule',
      async () =>
        `updateRule(id: "${await idleSwitch('{ force_disabled: false }')}", input: { enabled: true, conditions: { force_disabled: true } })`,
    ],
  ])('written as %s is refused without a reason', async (_what, mutation) => {
    const text = await mutation();
    const before = await flags.everything();
    expect(refusal(await ask(text))).toEqual({ code: 'BAD_USER_INPUT', field: 'input.conditions.reason' });
    expect(await flags.everything()).toEqual(before);
  });

  test('that follows another keeps the first reason, and the audit log has both', async () => {
    const first = await change(`killSwitch(flagKey: "${flag.key}", reason: "Brakes")`);
    const second = await change(`killSwitch(flagKey: "${flag.key}", reason: "Steering, too")`, flags.writer);
    expect(second).toEqual(first);
    expect(second.flag.rules).toMatchObject([{ conditions: { reason: 'Brakes' } }]);
    expect(
      (await trail()).map(({ action, userId, afterValue }) => [
        action,
        userId,
        (afterValue as { reason: string }).reason,
      ]),
    ).toEqual([
      ['KILL_SWITCH', (safety as { userId: string }).userId, 'Brakes'],
      ['KILL_SWITCH', flags.writer.userId, 'Steering, too'],
    ]);
  });

  test('by a further rule on a held flag counts as a kill, too, and both rules hold the flag', async () => {
    await change(`killSwitch(flagKey: "${flag.key}", reason: "Brakes")`);
    await change(
      `createRule(flagKey: "${flag.key}", input: { type: KILL_SWITCH, priority: 5, conditions: { force_disabled: true, reason: "Steering" } })`,
    );
    expect((await trail()).map(({ action }) => action)).toEqual(['KILL_SWITCH', 'KILL_SWITCH']);
    expect(
      (await flags.ok<{ flag: FlagJson }>(`{ flag(key: "${flag.key}") { rules { conditions } } }`)).flag.rules,
    ).toMatchObject([{ conditions: { reason: 'Brakes' } }, { conditions: { reason: 'Steering' } }]);
  });
});

describe('a release', () => {
  test.each<[string, (rule: string) => string]>([
    ['releaseKillSwitch', () => `releaseKillSwitch(flagKey: "${flag.key}", reason: "Fixed")`],
    ['deleteRule', (rule) => `deleteRule(id: "${rule}", reason: "Fixed")`],
    ['updateRule that disables it', (rule) => `updateRule(id: "${rule}", input: { enabled: false }, reason: "Fixed")`],
    [
      'updateRule of its conditions',
      (rule) => `updateRule(id: "${rule}", input: { conditions: { force_disabled: false } }, reason: "Fixed")`,
    ],
  ])('written as %s is one: SAFETY may request it, and it needs two people on ASIL-D', async (_what, mutation) => {
    const rule = (await change(`killSwitch(flagKey: "${flag.key}", reason: "Brakes")`)).flag.rules[0]!.id;
    const asked = await change(mutation(rule));
    expect(asked).toMatchObject({
      applied: false,
      changeRequest: { action: 'RELEASE_KILL_SWITCH' },
      flag: { killed: true },
    });
    expect((await flags.approve(asked.changeRequest!.id)).killed).toBe(false);
    expect((await trail()).at(-1)).toMatchObject({ action: 'RELEASE_KILL_SWITCH', afterValue: { reason: 'Fixed' } });
  });

  test('is refused to an API key on ASIL-D, whichever mutation makes it', async () => {
    const rule = (await change(`killSwitch(flagKey: "${flag.key}", reason: "Brakes")`)).flag.rules[0]!.id;
    for (const mutation of [
      `releaseKillSwitch(flagKey: "${flag.key}", reason: "Fixed")`,
      `deleteRule(id: "${rule}")`,
      `updateRule(id: "${rule}", input: { enabled: false })`,
    ]) {
      expect(refusal(await ask(mutation, KEY))).toEqual({ code: 'FORBIDDEN' });
    }
  });
});

test('SAFETY may not change other rules, whatever the level of the flag', async () => {
  const { key, rules } = await flags.addRule((await flags.create()).key, {
    type: 'PERCENTAGE_ROLLOUT',
    conditions: { rollout_percentage: 5 },
  });
  const rule = rules[0]!.id;
  const everything = await flags.everything();
  for (const mutation of [
    `createRule(flagKey: "${key}", input: { type: VEHICLE_TARGET, conditions: { models: ["A"] } })`,
    `createRule(flagKey: "${key}", input: { type: KILL_SWITCH, enabled: false, conditions: { force_disabled: true, reason: "x" } })`,
    `updateRule(id: "${rule}", input: { enabled: false })`,
    `updateRule(id: "${rule}", input: {})`,
    `deleteRule(id: "${rule}")`,
  ])
    expect(refusal(await ask(mutation))).toEqual({ code: 'FORBIDDEN' });
  expect(await flags.everything()).toEqual(everything);
});

test('a missing flag or rule is an error at the argument that names it', async () => {
  const nobody = '00000000-0000-4000-8000-000000000000';
  const rollout = (rule: string, key = 'nothing_there') =>
    `mutation { scheduleRollout(flagKey: "${key}", ruleId: "${rule}", steps: [{ percentage: 10, after: "PT1H" }]) { applied } }`;
  for (const [mutation, field] of [
    ['killSwitch(flagKey: "nothing_there", reason: "x")', 'flagKey'],
    ['releaseKillSwitch(flagKey: "nothing_there", reason: "x")', 'flagKey'],
    [`createRule(flagKey: "nothing_there", input: { ${SWITCH} })`, 'flagKey'],
    ['enableFlag(key: "nothing_there")', 'key'],
    ['disableFlag(key: "nothing_there")', 'key'],
    ['archiveFlag(key: "nothing_there")', 'key'],
    ['updateFlag(key: "nothing_there", input: {})', 'key'],
    [`updateRule(id: "${nobody}", input: {})`, 'id'],
    [`deleteRule(id: "${nobody}")`, 'id'],
  ] as const) {
    expect([mutation, refusal(await ask(mutation, flags.writer))]).toEqual([mutation, { code: 'NOT_FOUND', field }]);
  }
  expect(refusal(await flags.ask(flags.writer, rollout(nobody)))).toEqual({ code: 'NOT_FOUND', field: 'flagKey' });
  expect(refusal(await flags.ask(flags.writer, rollout(nobody, flag.key)))).toEqual({
    code: 'NOT_FOUND',
    field: 'ruleId',
  });
});
