import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { refusal } from '../../shared/testing/asking.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';

const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { flag { key revision scope } applied changeRequest { id } warnings { field message } } }';
const ARCHIVE = 'mutation ($key: String!) { archiveFlag(key: $key) { flag { revision } } }';
const UNARCHIVE = 'mutation ($key: String!) { unarchiveFlag(key: $key) { flag { revision } } }';
const LOAD = '{ partitionLoad(environment: STAGING) { model flags bytes } }';

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  await flags.prisma.vehicle.create({
    data: { vin: 'KMHK281HGNU000001', model: 'Ioniq 6', swVersion: '1', region: 'EU', status: 'offline' },
  });
});
afterAll(() => flags.remove());

interface Updated {
  readonly updateFlag: {
    readonly flag: FlagJson & { readonly scope: readonly string[] | null };
    readonly warnings: readonly { readonly field: string; readonly message: string }[];
    readonly changeRequest: { readonly id: string } | null;
  };
}

const setScope = async (key: string, scope: readonly string[] | null) =>
  (await flags.ok<Updated>(UPDATE, { key, input: { scope } })).updateFlag;

/** The tombstones of a flag as `[environment, partition, revision]`, each with the content that is signed. */
async function tombstonesOf(key: string) {
  const rows = await flags.prisma.flagTombstone.findMany({
    where: { key },
    orderBy: [{ environment: 'asc' }, { partition: 'asc' }],
  });
  for (const { environment, partition, revision, signedDefinition } of rows)
    expect(decodeJwt(signedDefinition)).toEqual({
      ...{ v: 1, environment, key, revision: Number(revision), removed: true },
      ...(partition !== '' && { partition }),
    });
  return rows.map(({ environment, partition, revision }) => [environment, partition, Number(revision)]);
}

const signedFlag = async (key: string) => {
  const { signedDefinition } = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
  return decodeJwt(signedDefinition ?? '')['flag'];
};

describe('a change of scope', () => {
  test('is one revision: a definition for the partitions of the new scope, a tombstone for each that is left', async () => {
    const { key } = await flags.create();
    expect(await signedFlag(key)).not.toHaveProperty('scope');
    const { flag: narrowed } = await setScope(key, [' Model B', 'Model A']);
    expect(narrowed.scope).toEqual(['Model A', 'Model B']);
    expect(await signedFlag(key)).toMatchObject({ scope: ['Model A', 'Model B'] });
    expect(await tombstonesOf(key)).toEqual([['staging', '*', narrowed.revision]]);

    const { flag: moved } = await setScope(key, ['Model B', 'Model C']);
    expect(moved.revision).toBe(narrowed.revision + 1);
    expect(await tombstonesOf(key)).toEqual([
      ['staging', '*', narrowed.revision],
      ['staging', 'Model A', moved.revision],
    ]);

    const { flag: widened } = await setScope(key, null);
    expect(widened.scope).toBeNull();
    expect(await tombstonesOf(key)).toEqual([]);
    expect(await signedFlag(key)).not.toHaveProperty('scope');

    // All partitions that any scope has named are left but that of the one model.
    const { flag: again } = await setScope(key, ['Model C']);
    expect(await tombstonesOf(key)).toEqual(
      ['*', 'Model A', 'Model B'].map((partition) => ['staging', partition, again.revision]),
    );
    expect(await flags.revision()).toBe(again.revision);
  });

  test('to the same models in another order changes nothing', async () => {
    const { key, revision } = await flags.create({ scope: ['Model A', 'Model B'] });
    expect((await setScope(key, ['Model B', 'Model A'])).flag.revision).toBe(revision);
  });

  test('names its models for good, and only when it is in effect', async () => {
    const { key } = await flags.create({ scope: ['Model D'] });
    await setScope(key, null);
    const named = async () =>
      (await flags.prisma.scopedModel.findMany({ where: { environment: 'staging' } })).map(({ model }) => model);
    expect(await named()).toContain('Model D');
    const input = {
      ...{ key: flags.newKey(), name: 'Draft', type: 'BOOLEAN', defaultValue: false, safetyLevel: 'ASIL_D' },
      ...{ environment: 'STAGING', scope: ['Model of a draft'] },
    };
    const { createFlag } = await flags.ok<{ createFlag: { changeRequest: { id: string } } }>(
      'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { changeRequest { id } } }',
      { input },
    );
    expect(await named()).not.toContain('Model of a draft');
    await flags.approve(createFlag.changeRequest.id);
    expect(await named()).toContain('Model of a draft');
    expect(await signedFlag(input.key)).toMatchObject({ scope: ['Model of a draft'] });
  });
});

describe('a scoped flag that leaves its environment', () => {
  test('leaves one tombstone for each model, none for the others, and takes them back when it returns', async () => {
    const { key } = await flags.create({ scope: ['Model A', 'Model B'] });
    const archived = await flags.ok<{ archiveFlag: { flag: FlagJson } }>(ARCHIVE, { key });
    const { revision } = archived.archiveFlag.flag;
    expect(await tombstonesOf(key)).toEqual([
      ['staging', 'Model A', revision],
      ['staging', 'Model B', revision],
    ]);
    await flags.ok(UNARCHIVE, { key });
    expect(await tombstonesOf(key)).toEqual([]);
  });

  test('by a move and returns with a scope keeps its tombstones in the partitions that are not in the scope', async () => {
    const { key } = await flags.create();
    const before = await flags.revision();
    await flags.move(key, 'PRODUCTION');
    expect(await tombstonesOf(key)).toEqual([['staging', '', before + 1]]);
    await setScope(key, ['Model A']);
    await flags.move(key, 'STAGING');
    const left = (await tombstonesOf(key)).filter(([environment]) => environment === 'staging');
    expect(left.map(([, partition]) => partition)).toEqual(expect.arrayContaining(['*', 'Model B']));
    expect(left.map(([, partition]) => partition)).not.toContain('Model A');
    expect(new Set(left.map(([, , revision]) => revision))).toEqual(new Set([before + 1]));
  });
});

describe('what a scope may be', () => {
  test.each([
    [[], 'input.scope'],
    [['*'], 'input.scope.0'],
    [['A', 'A'], 'input.scope.1'],
    [['A', ' '], 'input.scope.1'],
  ])('%j is refused', async (scope, field) => {
    const { key } = await flags.create();
    const before = await flags.everything();
    expect(refusal(await flags.ask(flags.writer, UPDATE, { key, input: { scope } }))).toMatchObject({
      code: 'BAD_USER_INPUT',
      field,
    });
    expect(await flags.everything()).toEqual(before);
  });

  test('a model without vehicles is accepted with a warning that names the nearest one; an absent scope stays', async () => {
    const { key } = await flags.create();
    const { warnings } = await setScope(key, ['Ioniq 6', 'Ioniq6', 'Something else']);
    expect(warnings).toEqual([
      { field: 'input.scope.1', message: expect.stringContaining('did you mean Ioniq 6?') },
      { field: 'input.scope.2', message: expect.stringContaining('Something else') },
    ]);
    const { flag, warnings: none } = (await flags.ok<Updated>(UPDATE, { key, input: { name: 'B' } })).updateFlag;
    expect([flag.scope, none]).toEqual([['Ioniq 6', 'Ioniq6', 'Something else'], []]);
  });
});

describe('the limits', () => {
  const fill = (count: number, scope: string | null) => flags.prisma.$executeRaw`
    INSERT INTO flags (key, name, type, default_value, safety_level, environment, revision, signed_definition, scope)
    SELECT ${flags.newKey()} || '_' || n, 'Filled', 'boolean', '{"value": false}', 'Non-Critical', 'staging', 0, 'a.b.c',
      CASE WHEN ${scope}::text IS NOT NULL THEN ARRAY[${scope}::text] END FROM generate_series(1, ${count}::int) n`;
  const loads = async () =>
    (await flags.ok<{ partitionLoad: { model: string | null; flags: number; bytes: number }[] }>(LOAD)).partitionLoad;

  test('hold in each partition and not in the environment, and the refusal names the partition', async () => {
    await flags.prisma.flag.updateMany({ data: { archivedAt: new Date() } });
    const { key } = await flags.create({ scope: ['Full', 'Other'] });
    const { key: free } = await flags.create();
    await fill(98, 'Full');
    await fill(90, 'Other');
    expect(await loads()).toEqual(
      expect.arrayContaining([
        { model: null, flags: 1, bytes: expect.any(Number) },
        { model: 'Full', flags: 100, bytes: expect.any(Number) },
        { model: 'Other', flags: 92, bytes: expect.any(Number) },
      ]),
    );
    expect((await loads())[0]?.model).toBeNull();
    const { key: third } = await flags.create({ scope: ['Other'] });
    const refused = await flags.ask(flags.writer, UPDATE, { key: third, input: { scope: ['Full', 'Other'] } });
    expect(refused.errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 100 });
    expect(refused.errors[0]?.message).toContain('Full');
    expect(refused.errors[0]?.message).not.toContain('Other');
    const widened = await flags.ask(flags.writer, UPDATE, { key: third, input: { scope: null } });
    expect(widened.errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 100 });
    // A change that adds no flag to the full partition passes, narrowing among them.
    await setScope(third, ['Third']);
    await setScope(key, ['Full']);
    await setScope(free, ['Other']);
    await setScope(third, ['Full', 'Other']);
  });
});
