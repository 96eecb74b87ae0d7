/**
 * Files of an environment with a release policy: an import stages its changes as people's changes are, and says so
 * before.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { JsonValue } from '../../../core/model.ts';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import { bucketing } from '../../../core/evaluation/bucket.ts';
import { parseEnvironmentFile, type FlagEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { definitionIn } from '../signing/signing.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';
import { ImportService, exportEnvironment, planImport, type ImportOutcome } from './import-service.ts';
import { createFlagChanges } from '../changes/change.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { silent } from '../../shared/testing/asking.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());

let key: string;
beforeEach(async () => {
  const { prisma } = releases.flags;
  await releases.setPolicy('staging', []);
  for (const flag of await prisma.flag.findMany({ where: { archivedAt: null } }))
    await releases.flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: flag.key });
  ({ key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true }));
  await releases.flags.addRule(key, { ...TARGET, priority: 5 });
  await releases.setPolicy('staging', THREE_STAGES);
});

const TARGET = { type: 'VEHICLE_TARGET', value: 'yard', conditions: { regions: ['KR'] } };
const UPDATE =
  'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';
const update = (input: Record<string, unknown>) => releases.flags.ok(UPDATE, { key, input });
const halt = () =>
  releases.flags.ok('mutation ($key: String!) { haltRelease(flagKey: $key, reason: "r") { applied } }', { key });

const exported = () => exportEnvironment(releases.flags.prisma, 'staging');
const read = (text: string): readonly FlagEntry[] => {
  const { flags, faults } = parseEnvironmentFile(text);
  expect(faults).toEqual([]);
  return flags;
};
const plan = (text: string, archiveMissing = false) =>
  planImport(releases.flags.prisma, 'staging', read(text), archiveMissing);

/** Imports a file; gives the outcomes. */
async function imported(text: string, archiveMissing = false): Promise<ImportOutcome[]> {
  const { prisma, signer, bus } = releases.flags;
  const transitions = new RolloutTransitions(async () => new Date(releases.clock.now));
  const service = new ImportService(createFlagChanges(prisma, signer, bus, silent, transitions));
  const outcomes: ImportOutcome[] = [];
  for await (const outcome of service.apply(releases.writer, await plan(text, archiveMissing), archiveMissing))
    outcomes.push(outcome);
  return outcomes;
}

const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
/** Gives what a vehicle in the first ring serves, and what one outside of it does. */
async function served(region = 'EU'): Promise<{ inside: JsonValue; outside: JsonValue }> {
  const { release, signedDefinition } = await releases.stored(key);
  const bucketOf = bucketing(`release:${release?.id ?? ''}`);
  const all = Array.from({ length: 2_000 }, (_, n) => vinOf(n));
  const of = (isIn: boolean) => {
    const vin = all.find((one) => bucketOf(one) < 1_000 === isIn);
    if (vin === undefined) throw new Error('There is no such vehicle');
    return evaluateFlag(compileFlag(definitionIn(signedDefinition)), { vin, region }).value;
  };
  return { inside: of(true), outside: of(false) };
}

describe('a file', () => {
  test('reaches the first ring alone, and supersedes what runs there', async () => {
    const text = await exported();
    await imported(text.replace('defaultValue: old', 'defaultValue: new'));
    expect(await served()).toEqual({ inside: 'new', outside: 'old' });
    const ring = (await releases.stored(key)).release?.id;
    await imported(text.replace('defaultValue: old', 'defaultValue: newer'));
    expect(await served()).toEqual({ inside: 'newer', outside: 'old' });
    expect((await releases.stored(key)).release?.id).toBe(ring);
  });

  test('of an environment in mid-release has the new content, changes nothing there, and survives a halt as a release', async () => {
    await update({ defaultValue: 'new' });
    const text = await exported();
    expect(text).toContain('defaultValue: new');
    expect(text).not.toContain('release:');
    const before = await releases.stored(key);
    expect(await imported(text)).toEqual([]);
    expect(await releases.stored(key)).toEqual(before);
    await halt();
    expect(await imported(text)).toMatchObject([{ done: 'changed' }]);
    expect(await served()).toEqual({ inside: 'new', outside: 'old' });
  });

  test.each([
    ['has lost a rule', () => releases.flags.ok('mutation ($id: ID!) { deleteRule(id: $id) { applied } }', ruleOf)],
    [
      'has another rule in its place',
      () =>
        releases.flags.ok(
          'mutation ($id: ID!, $input: UpdateRuleInput!) { updateRule(id: $id, input: $input) { applied } }',
          {
            ...ruleOf,
            input: { value: 'other' },
          },
        ),
    ],
  ])('from before a release whose content %s ends the release', async (_title, change) => {
    const text = await exported();
    ruleOf.id = (await releases.stored(key)).rules[0]?.id;
    await change();
    expect((await releases.stored(key)).release).not.toBeNull();
    await imported(text);
    expect(await releases.stored(key)).toMatchObject({ release: null, rules: [ruleOf] });
    expect(await served('KR')).toEqual({ inside: 'yard', outside: 'yard' });
  });
  const ruleOf: { id: string | undefined } = { id: undefined };

  test('that switches on what the environment has disabled or lacks gives it to the first ring alone', async () => {
    const text = await exported();
    await releases.flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key });
    await imported(text);
    expect(await served('KR')).toEqual({ inside: 'yard', outside: 'old' });
    const other = releases.flags.newKey();
    await imported(text.replace(key, other));
    key = other;
    expect(await served('KR')).toEqual({ inside: 'yard', outside: 'old' });
  });
});

describe('what no stage could hold back', () => {
  const empty = 'fleetflag: 1\nflags: {}\n';
  test.each([
    ['an enabled flag that the file lacks', () => empty, ''],
    [
      'another scope of an enabled flag',
      (text: string) => text.replace('enabled: true', 'enabled: true\n    scope: [EV9]'),
      '.scope',
    ],
  ])('is a fault before anything is written: %s', async (_title, edit, member) => {
    const text = edit(await exported());
    const before = await releases.stored(key);
    expect((await plan(text, true)).faults).toEqual([
      expect.objectContaining({ code: 'CONFLICT', path: `flags.${key}${member}` }),
    ]);
    await expect(imported(text, true)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(await releases.stored(key)).toEqual(before);
    await releases.setPolicy('staging', []);
    expect((await plan(text, true)).faults).toEqual([]);
    expect(await imported(text, true)).toMatchObject([{ key, waits: false }]);
  });
});
