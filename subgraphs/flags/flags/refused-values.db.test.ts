import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { identityOf, refusal, silent } from '../../shared/testing/asking.ts';
import { createFlagChanges } from '../changes/change.ts';
import { ImportService, planImport } from '../import-export/import-service.ts';
import { parseEnvironmentFile } from '../../../core/wire/flag-files/environment-file.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { flag { key } } }';
const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { flag { key } } }';
const RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { rules { id value conditions } } } }';
const UPDATE_RULE =
  'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { flag { key } } }';
const NEW = { name: 'A flag', type: 'JSON', defaultValue: {}, safetyLevel: 'NON_CRITICAL', environment: 'STAGING' };
const TARGET = { type: 'VEHICLE_TARGET', conditions: { regions: ['EU'] } };

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const asked = async (query: string, variables: Record<string, unknown>) =>
  refusal(await flags.ask(flags.writer, query, variables));
const faultAt = (field: string) => ({ code: 'BAD_USER_INPUT', field });

/** Checks that the mutation is refused and changes nothing. */
async function refused(query: string, variables: Record<string, unknown>, at: string): Promise<void> {
  const before = await flags.everything();
  expect(await asked(query, variables)).toEqual(faultAt(at));
  expect(await flags.everything()).toEqual(before);
}

describe('a value of null', () => {
  test('is refused in every mutation, and changes nothing', async () => {
    const { key } = await flags.create({ type: 'JSON', defaultValue: { a: null } });
    await refused(UPDATE, { key, input: { defaultValue: null } }, 'input.defaultValue');
    await refused(UPDATE, { key, input: { name: 'Renamed', defaultValue: null } }, 'input.defaultValue');
    await refused(RULE, { key, input: { ...TARGET, value: null } }, 'input.value');
    const { rules } = (
      await flags.ok<{ createRule: { flag: { rules: { id: string; value: unknown }[] } } }>(RULE, {
        key,
        input: TARGET,
      })
    ).createRule.flag;
    expect(rules[0]?.value).toBeNull();
    await refused(UPDATE_RULE, { id: rules[0]?.id, input: { value: null } }, 'input.value');
    expect(await asked(UPDATE_RULE, { id: rules[0]?.id, input: { priority: 7 } })).toBeNull();
    const file = (value: string, rule = '') =>
      `fleetflag: 1\nflags:\n  ${key}: { name: A, type: json, safetyLevel: Non-Critical, enabled: true, defaultValue: ${value}, rules: [${rule}] }`;
    expect(parseEnvironmentFile(file('null')).faults).toMatchObject([{ path: `flags.${key}.defaultValue` }]);
    expect(
      parseEnvironmentFile(file('{}', '{ type: vehicle_target, conditions: { regions: [EU] }, value: null }')).faults,
    ).toMatchObject([{ path: `flags.${key}.rules.0.value` }]);
  });

  test('from an older version reads as the empty object, and a request for one cannot be approved', async () => {
    const { key } = await flags.create({ type: 'JSON', defaultValue: { a: 1 }, environment: 'DEVELOPMENT' });
    // The state that the migration found, with its old signature.
    const stored = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
    const signedDefinition = await flags.signer.definition({
      key,
      environment: 'development',
      type: 'json',
      safetyLevel: 'Non-Critical',
      enabled: false,
      defaultValue: null,
      revision: Number(stored.revision),
      rules: [],
    });
    await flags.prisma.flag.update({ where: { key }, data: { defaultValue: { value: {} }, signedDefinition } });
    await flags.prisma.environment.update({ where: { name: 'development' }, data: { updatedAt: new Date() } });
    const read = await flags.ok(
      '{ evaluateFlags(environment: DEVELOPMENT, context: {}) { flagKey value } flags(filter: { environment: DEVELOPMENT }) { nodes { defaultValue } } }',
    );
    expect(read).toEqual({ evaluateFlags: [{ flagKey: key, value: {} }], flags: { nodes: [{ defaultValue: {} }] } });
    await expect(
      flags.prisma.$executeRaw`UPDATE flags SET default_value = '{"value": null}' WHERE key = ${key}`,
    ).rejects.toThrow('flags_default_value_given');
    await expect(flags.prisma.$executeRaw`UPDATE flags SET default_value = '{}' WHERE key = ${key}`).rejects.toThrow(
      'flags_default_value_given',
    );
  });
});

describe('a whole number beyond 2^53', () => {
  test('is refused with its path, in values and conditions', async () => {
    const { key } = await flags.create({ type: 'JSON', defaultValue: 2 ** 53 - 1 });
    await refused(UPDATE, { key, input: { defaultValue: 2 ** 53 } }, 'input.defaultValue');
    await refused(UPDATE, { key, input: { defaultValue: { list: [1, -(2 ** 60)] } } }, 'input.defaultValue.list.1');
    await refused(RULE, { key, input: { ...TARGET, value: [1e300] } }, 'input.value.0');
    await refused(
      RULE,
      { key, input: { type: 'USER_ATTRIBUTE', conditions: { attribute: 'a', operator: 'in', values: [1, 2 ** 53] } } },
      'input.conditions.values.1',
    );
    await refused(
      `mutation { updateFlag(key: "${key}", input: { defaultValue: { n: 9007199254740993 } }) { applied } }`,
      {},
      'input.defaultValue.n',
    );
  });
});

describe('a key that differs from another only by case', () => {
  test('is refused, even when the other flag is archived, and the error names that flag', async () => {
    const { key } = await flags.create();
    const { errors } = await flags.ask(flags.writer, CREATE, { input: { ...NEW, key: key.toUpperCase() } });
    expect(errors[0]).toMatchObject({
      message: expect.stringContaining(key),
      extensions: { code: 'CONFLICT', field: 'input.key' },
    });
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
    expect(await asked(CREATE, { input: { ...NEW, key: key.toUpperCase() } })).toEqual({
      code: 'CONFLICT',
      field: 'input.key',
    });
    expect(await asked(CREATE, { input: { ...NEW, key } })).toEqual({ code: 'CONFLICT', field: 'input.key' });
  });

  test('is accepted once when several arrive at the same time, in any environments', async () => {
    const key = flags.newKey();
    const spellings = [key, key.toUpperCase(), key.replace('f', 'F'), key.replace('a', 'A')];
    const answers = await Promise.all(
      spellings.map((spelling, index) =>
        flags.ask(flags.writer, CREATE, {
          input: { ...NEW, key: spelling, environment: ['STAGING', 'DEVELOPMENT'][index % 2] },
        }),
      ),
    );
    expect(answers.map((answer) => refusal(answer)?.code ?? 'created').sort()).toEqual([
      'CONFLICT',
      'CONFLICT',
      'CONFLICT',
      'created',
    ]);
  });

  test('is refused in an import: by the plan, and when the other flag was created after the plan', async () => {
    const [here, later] = [await flags.create(), flags.newKey()];
    const entry = (key: string) =>
      `  ${key.toUpperCase()}: { name: A, type: json, safetyLevel: Non-Critical, enabled: true, defaultValue: {} }\n`;
    const planned = (...keys: string[]) =>
      planImport(
        flags.prisma,
        'production',
        parseEnvironmentFile(`fleetflag: 1\nflags:\n${keys.map(entry).join('')}`).flags,
      );
    expect((await planned(here.key, later)).faults).toMatchObject([
      { path: `flags.${here.key.toUpperCase()}`, message: expect.stringContaining(here.key) },
    ]);
    const plan = await planned(later);
    expect(plan.faults).toEqual([]);
    await flags.create({ key: later });
    const changes = createFlagChanges(flags.prisma, flags.signer, createInProcessBus(), silent);
    const outcomes: unknown[] = [];
    for await (const outcome of new ImportService(changes).apply(identityOf(flags.writer), plan, false))
      outcomes.push(outcome);
    expect(outcomes).toMatchObject([{ done: 'failed', message: expect.stringContaining(later) }]);
  });
});

describe('text that people write', () => {
  test('is stored without surrounding blanks, and control characters are refused with the path', async () => {
    const { key } = await flags.create({ name: ' Lane keeping\n', description: ' \n' });
    expect(await flags.ok('query ($key: String!) { flag(key: $key) { name description } }', { key })).toEqual({
      flag: { name: 'Lane keeping', description: '' },
    });
    await refused(UPDATE, { key, input: { name: 'Lane\u0007' } }, 'input.name');
    await refused(UPDATE, { key, input: { name: ' \n' } }, 'input.name');
    await refused(UPDATE, { key, input: { description: 'a\u001b[2J' } }, 'input.description');
    await refused(
      'mutation ($key: String!, $reason: String!) { killSwitch(flagKey: $key, reason: $reason) { applied } }',
      { key, reason: 'smoke\u0000' },
      'reason',
    );
  });

  test('in rules that names models and regions is stored without surrounding blanks', async () => {
    const { key } = await flags.create();
    const { createRule } = await flags.ok<{ createRule: { flag: { rules: { conditions: unknown }[] } } }>(RULE, {
      key,
      input: { type: 'VEHICLE_TARGET', conditions: { models: ['Ioniq 6 '], regions: ['EU', '\tKR'] } },
    });
    expect(createRule.flag.rules[0]?.conditions).toEqual({ models: ['Ioniq 6'], regions: ['EU', 'KR'] });
  });
});
