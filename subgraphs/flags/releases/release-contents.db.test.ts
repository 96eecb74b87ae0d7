import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());
beforeEach(() => releases.setPolicy('staging', THREE_STAGES));

interface Contents {
  readonly status: string;
  readonly content: object;
  readonly stableContent: object | null;
}

/** Gives the contents of a flag's releases, the newest first. */
const contentsOf = async (key: string) =>
  (
    await releases.flags.ok<{ releases: { nodes: Contents[] } }>(
      'query ($key: String!) { releases(flagKey: $key) { nodes { status content stableContent } } }',
      { key },
    )
  ).releases.nodes;

const change = (key: string, field: string, input: object = {}) => {
  // Releases are listed by the time of their beginning.
  releases.clock.now += 1;
  return releases.flags.ok(
    field === 'updateFlag'
      ? 'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }'
      : `mutation ($key: String!) { ${field} { applied } }`,
    { key, ...(field === 'updateFlag' && { input }) },
  );
};

/** Gives a flag that all vehicles have, with a rule. */
async function released(): Promise<string> {
  await releases.setPolicy('staging', []);
  const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
  await releases.flags.addRule(key, { type: 'VEHICLE_TARGET', value: 'rule', conditions: { regions: ['KR'] } });
  await releases.setPolicy('staging', THREE_STAGES);
  return key;
}

const OLD = {
  defaultValue: 'old',
  rules: [expect.objectContaining({ value: 'rule', conditions: { regions: ['KR'] } })],
  ...{ requires: [], excludes: [], valueSchema: null, activation: 'IMMEDIATE' },
};

test('a release gives both contents in one form, and keeps both when it has ended', async () => {
  const key = await released();
  await change(key, 'updateFlag', { defaultValue: 'new' });
  const contents = { content: { ...OLD, defaultValue: 'new' }, stableContent: OLD };
  expect(await contentsOf(key)).toEqual([{ status: 'RUNNING', ...contents }]);
  await change(key, 'updateFlag', { defaultValue: 'newer' });
  const later = { content: { ...OLD, defaultValue: 'newer' }, stableContent: OLD };
  expect(await contentsOf(key)).toEqual([
    { status: 'RUNNING', ...later },
    { status: 'SUPERSEDED', ...contents },
  ]);
  await change(key, 'haltRelease(flagKey: $key, reason: "smoke")');
  expect(await contentsOf(key)).toEqual([
    { status: 'HALTED', ...later },
    { status: 'SUPERSEDED', ...contents },
  ]);
});

test('the stable content of a release that switches its flag on says that the flag is disabled', async () => {
  const key = await released();
  await change(key, 'disableFlag(key: $key)');
  await change(key, 'enableFlag(key: $key)');
  const disabled = { ...OLD, enabled: false, rules: [] };
  expect(await contentsOf(key)).toEqual([{ status: 'RUNNING', content: OLD, stableContent: disabled }]);
});

test('what reaches both contents at once is in both', async () => {
  await releases.setPolicy('staging', []);
  const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
  const { rules } = await releases.flags.addRule(key, {
    ...{ type: 'PERCENTAGE_ROLLOUT', value: 'new', conditions: { rollout_percentage: 5 } },
  });
  await releases.flags.ok(
    'mutation ($key: String!, $rule: ID!) { scheduleRollout(flagKey: $key, ruleId: $rule, steps: [{ percentage: 10, after: "PT1H" }]) { applied } }',
    { key, rule: rules[0]?.id },
  );
  await releases.setPolicy('staging', THREE_STAGES);
  await change(key, 'updateFlag', { defaultValue: 'newer' });
  releases.clock.now += 3_600_000;
  expect(await releases.newScheduler().runDue()).toBe(1);
  const moved = [expect.objectContaining({ conditions: expect.objectContaining({ rollout_percentage: 10 }) })];
  expect(await contentsOf(key)).toMatchObject([
    { content: { defaultValue: 'newer', rules: moved }, stableContent: { defaultValue: 'old', rules: moved } },
  ]);
});

test('releases are found by where they stand, all under way on one list', async () => {
  const [running, holding, ended] = [await released(), await released(), await released()];
  for (const key of [running, holding, ended]) await change(key, 'updateFlag', { defaultValue: 'new' });
  await change(ended, 'haltRelease(flagKey: $key, reason: "smoke")');
  await change(holding, 'killSwitch(flagKey: $key, reason: "smoke")');
  releases.clock.now += 60_000;
  await releases.job.runDue();
  const keysAt = async (status: readonly string[] | null, flagKey: string | null = null) => {
    const { releases: found } = await releases.flags.ok<{
      releases: { totalCount: number; nodes: { flag: { key: string } }[] };
    }>(
      'query ($flagKey: String, $status: [ReleaseStatus!]) { releases(flagKey: $flagKey, status: $status, first: 100) { totalCount nodes { flag { key } } } }',
      { flagKey, status },
    );
    expect(found.totalCount).toBe(found.nodes.length);
    return found.nodes.map(({ flag }) => flag.key);
  };
  expect(await keysAt(['HOLDING'])).toEqual([holding]);
  expect(await keysAt(['RUNNING', 'HOLDING'])).toEqual(expect.arrayContaining([running, holding]));
  expect(await keysAt(['RUNNING', 'HOLDING'])).not.toContain(ended);
  expect(await keysAt(['HALTED'], ended)).toEqual([ended]);
  expect(await keysAt(['RUNNING'], ended)).toEqual([]);
  expect(await keysAt(['HALTED', 'RUNNING'])).toEqual(expect.arrayContaining([running, ended]));
  expect(await keysAt([])).toEqual([]);
  expect(await keysAt(null, running)).toEqual([running]);
});

test('the migration gives each release under way the stable content that it would have stored, and none to the others', async () => {
  const [changed, halted, switchedOn] = [await released(), await released(), await released()];
  for (const key of [changed, halted]) await change(key, 'updateFlag', { defaultValue: 'new' });
  await change(halted, 'haltRelease(flagKey: $key, reason: "smoke")');
  await change(switchedOn, 'disableFlag(key: $key)');
  await change(switchedOn, 'enableFlag(key: $key)');
  const before = [await contentsOf(changed), await contentsOf(switchedOn)];
  const folder = 'prisma/migrations/20261129110500_release_stable_content';
  for (const file of ['down.sql', 'migration.sql'])
    for (const statement of (await readFile(`${folder}/${file}`, 'utf8')).split(/;\n/))
      if (statement.trim() !== '') await releases.flags.prisma.$executeRawUnsafe(statement);
  expect([await contentsOf(changed), await contentsOf(switchedOn)]).toEqual(before);
  expect(await contentsOf(halted)).toMatchObject([{ status: 'HALTED', stableContent: null }]);
});
