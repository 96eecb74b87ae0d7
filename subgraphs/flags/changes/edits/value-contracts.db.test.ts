/** Every way of writing a value is checked by the flag's value contract, and nothing outside of it is served. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { eventually } from '../../../../core/testing/eventually.ts';
import { parseEnvironmentFile } from '../../../../core/wire/flag-files/environment-file.ts';
import { createInProcessBus } from '../../../shared/feeds/bus.ts';
import { rowCount } from '../../../shared/postgres/rows.ts';
import { identityOf, refusal, silent, user } from '../../../shared/testing/asking.ts';
import { ImportService, exportEnvironment, planImport } from '../../import-export/import-service.ts';
import { FlagsUnderTest, type FlagJson } from '../../testing/flags-under-test.ts';
import { createFlagChanges } from '../change.ts';

const SPEED = { properties: { speed: { type: 'number', maximum: 130 } }, required: ['speed'] };
const TARGET = { type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] } };
const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied changeRequest { id before after } flag { revision valueSchema } } }';
const RULE = 'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }';
const UPDATE_RULE = 'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }';
const SET =
  'mutation ($changes: [ChangeInput!]!) { applyChanges(environment: STAGING, changes: $changes) { applied } }';
const RESTORE = 'mutation ($key: String!, $revision: Int!) { restoreFlag(key: $key, revision: $revision) { applied } }';
const PREVIEW =
  'query ($key: String!, $change: ProposedChangeInput!) { flag(key: $key) { previewChange(change: $change) { evaluatedContents } } }';
const EVALUATE = 'query ($key: String!) { evaluateFlag(key: $key, context: {}) { value } }';

interface Updated {
  readonly updateFlag: {
    readonly applied: boolean;
    readonly changeRequest: { readonly id: string; readonly before: object; readonly after: object } | null;
    readonly flag: { readonly revision: number; readonly valueSchema: unknown };
  };
}

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());

const newFlag = (over: Record<string, unknown> = {}) =>
  flags.create({ type: 'JSON', defaultValue: { speed: 90 }, valueSchema: SPEED, enabled: true, ...over });
const update = async (key: string, input: object) => (await flags.ok<Updated>(UPDATE, { key, input })).updateFlag;

/** Checks that an operation is refused at `field` and changes nothing. */
async function refused(query: string, variables: Record<string, unknown>, field: string): Promise<string> {
  const before = await flags.everything();
  const answer = await flags.ask(flags.writer, query, variables);
  expect(refusal(answer)).toEqual({ code: 'BAD_USER_INPUT', field });
  expect(await flags.everything()).toEqual(before);
  return answer.errors[0]?.message ?? '';
}

describe('a schema', () => {
  test('is checked when it is written, and refused with the path of its fault', async () => {
    const input = { name: 'A', type: 'JSON', defaultValue: {}, safetyLevel: 'NON_CRITICAL', environment: 'STAGING' };
    const create = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
    const faulty = { properties: { speed: { pattern: '^a' } } };
    const at = 'input.valueSchema.properties.speed.pattern';
    await refused(create, { input: { ...input, key: flags.newKey(), valueSchema: faulty } }, at);
    await refused(create, { input: { ...input, key: flags.newKey(), valueSchema: 'number' } }, 'input.valueSchema');
    const { key } = await newFlag();
    await refused(UPDATE, { key, input: { valueSchema: faulty } }, at);
    await refused(
      SET,
      { changes: [{ updateFlag: { key, input: { valueSchema: faulty } } }] },
      'changes.0.updateFlag.input.valueSchema.properties.speed.pattern',
    );
  });

  test('is signed, shown, recorded and kept, and null takes it away', async () => {
    const { key, id } = await newFlag();
    const { signedDefinition } = await flags.prisma.flag.findUniqueOrThrow({ where: { id } });
    expect(decodeJwt<{ flag: { valueSchema: unknown } }>(signedDefinition ?? '').flag.valueSchema).toEqual(SPEED);
    const without = await update(key, { valueSchema: null });
    expect(without).toMatchObject({ applied: true, flag: { valueSchema: null } });
    const last = await flags.prisma.auditLog.findFirstOrThrow({
      where: { flagId: id },
      orderBy: { chainPosition: 'desc' },
    });
    expect(last).toMatchObject({ beforeValue: { valueSchema: SPEED }, afterValue: { valueSchema: null } });
    await update(key, { defaultValue: { speed: 500 } });
    const now = await flags.prisma.flag.findUniqueOrThrow({ where: { id } });
    expect(decodeJwt<{ flag: object }>(now.signedDefinition ?? '').flag).not.toHaveProperty('valueSchema');
    // A restore brings back the contract that was taken away, with the values of then.
    await flags.ok(RESTORE, { key, revision: without.flag.revision - 1 });
    const shown = await flags.ok<{ flag: object }>(
      'query ($key: String!) { flag(key: $key) { valueSchema defaultValue } }',
      { key },
    );
    expect(shown.flag).toEqual({ valueSchema: SPEED, defaultValue: { speed: 90 } });
  });

  test('that a present value does not fit is refused, and the message names the value', async () => {
    const { key } = await newFlag();
    const tight = { valueSchema: { properties: { speed: { maximum: 80 } } } };
    expect(await refused(UPDATE, { key, input: tight }, 'input.valueSchema')).toContain('defaultValue.speed');
    await update(key, { ...tight, defaultValue: { speed: 70 } });
    await update(key, { valueSchema: SPEED });
    const { rules } = await flags.addRule(key, { ...TARGET, value: { speed: 100 }, enabled: false });
    const message = await refused(UPDATE, { key, input: tight }, 'input.valueSchema');
    expect(message).toContain('value.speed');
    expect(message).toContain(rules[0]?.id);
    expect(refusal(await flags.ask(flags.writer, PREVIEW, { key, change: { updateFlag: tight } }))).toEqual({
      ...{ code: 'BAD_USER_INPUT', field: 'change.updateFlag.valueSchema' },
    });
  });
});

describe('a value outside the contract is refused where it stands', () => {
  test('as a default value', async () => {
    const over = { defaultValue: { speed: 131 } };
    const input = { key: flags.newKey(), name: 'A', type: 'JSON', safetyLevel: 'NON_CRITICAL', environment: 'STAGING' };
    await refused(
      'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }',
      { input: { ...input, ...over, valueSchema: SPEED } },
      'input.defaultValue.speed',
    );
    const { key } = await newFlag();
    await refused(UPDATE, { key, input: over }, 'input.defaultValue.speed');
    await refused(
      SET,
      { changes: [{ updateFlag: { key, input: over } }] },
      'changes.0.updateFlag.input.defaultValue.speed',
    );
    expect(refusal(await flags.ask(flags.writer, PREVIEW, { key, change: { updateFlag: over } }))?.field).toBe(
      'change.updateFlag.defaultValue.speed',
    );
  });

  test('as the value of a rule', async () => {
    const { key } = await newFlag();
    const input = { ...TARGET, value: { speed: 131 } };
    await refused(RULE, { key, input }, 'input.value.speed');
    await refused(RULE, { key, input: { ...TARGET, value: {} } }, 'input.value.speed');
    await refused(
      SET,
      { changes: [{ createRule: { flagKey: key, input } }] },
      'changes.0.createRule.input.value.speed',
    );
    expect(refusal(await flags.ask(flags.writer, PREVIEW, { key, change: { createRule: input } }))?.field).toBe(
      'change.createRule.value.speed',
    );
    const { rules } = await flags.addRule(key, { ...TARGET, value: { speed: 130 } });
    const id = rules[0]?.id;
    await refused(UPDATE_RULE, { id, input: { value: { speed: 131 } } }, 'input.value.speed');
    await refused(
      SET,
      { changes: [{ updateRule: { id, input: { value: { speed: '1' } } } }] },
      'changes.0.updateRule.input.value.speed',
    );
  });

  test('as what a rule without a value serves', async () => {
    const { key } = await flags.create({ valueSchema: { const: false } });
    await refused(RULE, { key, input: TARGET }, 'input.value');
    await flags.addRule(key, { ...TARGET, value: false });
  });

  test('in a file', async () => {
    const flag = (defaultValue: string, value: string) =>
      `fleetflag: 1\nflags:\n  a.b: { name: A, type: json, safetyLevel: Non-Critical, enabled: true, defaultValue: ${defaultValue}, valueSchema: { properties: { speed: { maximum: 130 } } }, rules: [{ type: vehicle_target, priority: 5, conditions: { regions: [KR] } }, { type: vehicle_target, conditions: { regions: [EU] }, value: ${value} }] }`;
    const faults = (text: string) => parseEnvironmentFile(text).faults.map(({ path }) => path);
    expect(faults(flag('{ speed: 130 }', '{ speed: 1 }'))).toEqual([]);
    expect(faults(flag('{ speed: 131 }', '{ speed: 1 }'))).toEqual(['flags.a.b.defaultValue.speed']);
    expect(faults(flag('{ speed: 130 }', '{ speed: 131 }'))).toEqual(['flags.a.b.rules.1.value.speed']);
    expect(faults(flag('{ speed: 130 }', '1').replace('maximum', 'max'))).toEqual([
      'flags.a.b.valueSchema.properties.speed.max',
    ]);
  });
});

test('a file has the contract, and an import gives it back', async () => {
  const { key } = await newFlag({ environment: 'DEVELOPMENT' });
  const file = await exportEnvironment(flags.prisma, 'development');
  expect(file).toContain('valueSchema:');
  await update(key, { valueSchema: null });
  const plan = await planImport(flags.prisma, 'development', parseEnvironmentFile(file).flags);
  expect(plan.differences).toMatchObject([
    { kind: 'changed', members: [{ path: 'valueSchema', before: null, after: SPEED }] },
  ]);
  const changes = createFlagChanges(flags.prisma, flags.signer, createInProcessBus(), silent);
  for await (const { done } of new ImportService(changes).apply(identityOf(flags.writer), plan, false))
    expect(done).toBe('changed');
  expect(await exportEnvironment(flags.prisma, 'development')).toBe(file);
});

test('a contract of an ASIL-D flag waits for a second person, and shows what it would be', async () => {
  const { key } = await newFlag({ safetyLevel: 'ASIL_D' });
  const { changeRequest, flag } = await update(key, { valueSchema: { type: 'object' } });
  expect(flag.valueSchema).toEqual(SPEED);
  expect(changeRequest).toMatchObject({ before: { valueSchema: SPEED }, after: { valueSchema: { type: 'object' } } });
  await flags.approve(changeRequest!.id);
  const shown = await flags.ok<{ flag: object }>('query ($key: String!) { flag(key: $key) { valueSchema } }', { key });
  expect(shown.flag).toEqual({ valueSchema: { type: 'object' } });
});

describe('a flag whose value was written past the API', () => {
  let broken: FlagJson;
  let outside: FlagJson;

  /** Waits until the control plane, which remembers flags, shows a value that was written past it. */
  const shows = (key: string, text: string) =>
    eventually(async () => {
      const { flag } = await flags.ok<{ flag: object }>(
        'query ($key: String!) { flag(key: $key) { defaultValue rules { value } } }',
        { key },
      );
      return JSON.stringify(flag).includes(text);
    }, `${key} shows ${text}`);

  beforeAll(async () => {
    broken = await newFlag();
    await flags.addRule(broken.key, { ...TARGET, value: { speed: 10 } });
    outside = await flags.create({ type: 'NUMBER', defaultValue: 1, valueSchema: { maximum: 5 }, enabled: true });
    await flags.addRule(outside.key, { ...TARGET, value: 5 });
    const { prisma } = flags;
    await rowCount(prisma)`UPDATE rules SET value = '{"value": 6}' WHERE flag_id = ${outside.id}::uuid`;
    await rowCount(prisma)`UPDATE flags SET default_value = '{"value": {"speed": 999}}' WHERE id = ${broken.id}::uuid`;
    // A change of something else signs both as they are now.
    for (const { key } of [broken, outside]) await update(key, { name: 'Renamed' });
    // The control plane reads again what it remembers only when an environment's position is another.
    await rowCount(prisma)`UPDATE environments SET updated_at = now()`;
    await shows(broken.key, '999');
    await shows(outside.key, '6');
  }, 60_000);

  test('is evaluated by nobody', async () => {
    const { key } = broken;
    expect(refusal(await flags.ask(user('READ'), EVALUATE, { key }))?.code).toBe('CONFLICT');
    const eu = await flags.ok<{ evaluateFlag: object }>(
      'query ($key: String!) { evaluateFlag(key: $key, context: { region: "EU" }) { value reason } }',
      { key: outside.key },
    );
    expect(eu.evaluateFlag).toEqual({ value: 1, reason: 'DEFAULT' });
  });

  test('can be killed, disabled, renamed and mended, but not be given further such values', async () => {
    const { key } = broken;
    await flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "a test") { applied } }', { key });
    await flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key });
    await update(key, { name: 'Another name' });
    await refused(RULE, { key, input: { ...TARGET, priority: 7, value: { speed: 131 } } }, 'input.value.speed');
    await refused(UPDATE, { key, input: { defaultValue: { speed: 998 } } }, 'input.defaultValue.speed');
    await update(key, { defaultValue: { speed: 90 } });
    expect(refusal(await flags.ask(user('READ'), EVALUATE, { key }))).toBeNull();
  });
});
