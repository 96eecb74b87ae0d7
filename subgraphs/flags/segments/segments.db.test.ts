/** Segments: a change of one is one change of every flag that names it. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../core/testing/eventually.ts';
import { whitelistDigest } from '../../../core/evaluation/rules/whitelist-digest.ts';
import { identityOf, refusal, silent, user } from '../../shared/testing/asking.ts';
import { createFlagChanges, limitsOf } from '../changes/change.ts';
import type { Flag } from '../flags/flag.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';
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

const { SAVE, save, saved, remove, target, signedRules, evaluateFor, addVehicle, tag } = segmentTestSteps(
  () => flags,
  () => key,
);

describe('a segment', () => {
  test('is signed into every flag that names it, and a change of it is one change of them all', async () => {
    await saved({ regions: ['EU'] });
    const named: FlagJson[] = [];
    for (let n = 0; n < 3; n++) {
      const flag = await flags.create({ enabled: true });
      named.push(await flags.addRule(flag.key, target()));
    }
    const other = await flags.create({ enabled: true });
    for (const flag of named) {
      expect(await signedRules(flag.key)).toEqual([{ type: 'vehicle_target', conditions: { regions: ['EU'] } }]);
      expect(flag.rules[0]?.conditions).toEqual({ segment: key });
    }
    const from = await flags.revision();
    const set = await saved({ regions: ['KR'], models: ['EV9'] });
    expect(set).toMatchObject({ applied: true, revision: from + 3, changeRequest: null });
    expect(set.flags.map(({ revision }) => revision)).toEqual([from + 1, from + 2, from + 3]);
    expect(await flags.revision()).toBe(from + 3);
    for (const flag of named) {
      expect(await signedRules(flag.key)).toEqual([
        { type: 'vehicle_target', conditions: { regions: ['KR'], models: ['EV9'] } },
      ]);
      expect(await evaluateFor(flag.key, { model: 'EV9', region: 'KR' })).toBe(true);
      expect(await evaluateFor(flag.key, { model: 'EV9', region: 'EU' })).toBe(false);
    }
    expect((await flags.prisma.flag.findUniqueOrThrow({ where: { key: other.key } })).revision).toBe(
      BigInt(other.revision),
    );
    const rows = await flags.prisma.auditLog.findMany({
      where: { action: 'SAVE_SEGMENT' },
      orderBy: { chainPosition: 'desc' },
      take: 4,
    });
    const after = rows.map(({ afterValue }) => afterValue as Record<string, unknown>);
    expect(new Set(after.map(({ changeSet }) => changeSet)).size).toBe(1);
    expect(after[0]).toMatchObject({ key, conditions: { regions: ['KR'], models: ['EV9'] } });
    expect(
      rows
        .slice(1)
        .map(({ flagId }) => flagId)
        .sort(),
    ).toEqual(named.map(({ id }) => id).sort());
    // The same again changes nothing.
    expect(await saved({ regions: ['KR'], models: ['EV9'] })).toMatchObject({ revision: null, flags: [] });
    expect(await flags.revision()).toBe(from + 3);
  });

  test('is explained by its checks, and shown with its flags', async () => {
    await saved({ regions: ['EU'] });
    const flag = await flags.addRule((await flags.create({ enabled: true })).key, target());
    const { explainEvaluation } = await flags.ok<{ explainEvaluation: { rules: { checks: unknown[] }[] } }>(
      `query ($key: String!) { explainEvaluation(key: $key, context: { region: "KR" }) { rules { checks { about expected actual holds segment } } } }`,
      { key: flag.key },
    );
    expect(explainEvaluation.rules[0]?.checks).toEqual([
      { about: 'REGION', expected: ['EU'], actual: 'KR', holds: false, segment: key },
    ]);
    const { segment, segments } = await flags.ok<{ segment: unknown; segments: { key: string }[] }>(
      `query ($key: String!) { segment(key: $key) { key name conditions flags { key } createdBy { id } } segments { key } }`,
      { key },
    );
    expect(segment).toMatchObject({
      key,
      name: 'A fleet',
      conditions: { regions: ['EU'] },
      flags: [{ key: flag.key }],
    });
    expect(segments.map((one) => one.key)).toContain(key);
  });

  test('is listed in pages, with the number of its flags', async () => {
    for (const suffix of ['a', 'b', 'c'])
      await flags.ok(
        'mutation ($key: String!) { saveSegment(key: $key, name: "P", conditions: { regions: ["EU"] }) { applied } }',
        {
          key: `zz_${suffix}`,
        },
      );
    key = 'zz_b';
    const flag = await flags.addRule((await flags.create()).key, target());
    await flags.addRule(flag.key, target({ priority: 7 }));
    const page = async (args: string) =>
      flags.ask<{ segments: unknown }>(user('READ'), `{ segments${args} { key flagCount } }`, {});
    const [a, b, c] = [
      { key: 'zz_a', flagCount: 0 },
      { key: 'zz_b', flagCount: 1 },
      { key: 'zz_c', flagCount: 0 },
    ];
    expect((await page('(first: 2, after: "zz_")')).data.segments).toEqual([a, b]);
    expect((await page('(first: 2, after: "zz_b")')).data.segments).toEqual([c]);
    expect((await page('(after: "zz_a")')).data.segments).toEqual([b, c]);
    expect((await page('(after: "\\u0000")')).data.segments).toEqual([]);
    expect((await page('')).data.segments).toEqual(expect.arrayContaining([a, b, c]));
    expect(refusal(await page('(first: 0)'))).toEqual({ code: 'BAD_USER_INPUT', field: 'first' });
    const preview = async (args: string) =>
      (
        await flags.ok<{ previewSegment: unknown }>(
          `{ previewSegment(key: "zz_b", conditions: { regions: ["KR"] }) { flagCount changes${args} { flag { key } } } }`,
        )
      ).previewSegment;
    expect(await preview('(first: 1)')).toEqual({ flagCount: 1, changes: [{ flag: { key: flag.key } }] });
    expect(await preview(`(after: "${flag.key}")`)).toEqual({ flagCount: 1, changes: [] });
  });

  test('shows what a change would make of each flag, and changes nothing', async () => {
    await saved({ regions: ['EU'] });
    const flag = await flags.addRule((await flags.create({ enabled: true })).key, target());
    const before = await flags.everything();
    const { previewSegment } = await flags.ok<{ previewSegment: unknown }>(
      `query ($key: String!) { previewSegment(key: $key, conditions: { regions: ["KR"] }) { segments changes { flag { key } preview { evaluatedContents } } } }`,
      { key },
    );
    const rulesOf = (region: string) =>
      expect.objectContaining({ rules: [expect.objectContaining({ conditions: { regions: [region] } })] });
    expect(previewSegment).toEqual({
      segments: { before: { regions: ['EU'] }, after: { regions: ['KR'] } },
      changes: [
        { flag: { key: flag.key }, preview: { evaluatedContents: { before: rulesOf('EU'), after: rulesOf('KR') } } },
      ],
    });
    expect(await flags.everything()).toEqual(before);
  });

  test('that a rule names cannot be deleted, and the flags are named; then it can', async () => {
    await saved({ regions: ['EU'] });
    const flag = await flags.addRule((await flags.create()).key, target());
    const refused = await remove();
    expect(refusal(refused)).toMatchObject({ code: 'CONFLICT', field: 'key' });
    expect(refused.errors[0]?.message).toContain(flag.key);
    await flags.ok(`mutation ($id: ID!) { deleteRule(id: $id) { applied } }`, { id: flag.rules[0]?.id });
    expect((await remove()).errors).toEqual([]);
    expect(refusal(await remove())).toMatchObject({ code: 'NOT_FOUND', field: 'key' });
  });

  test('that does not exist is refused in a rule, with its path, and nothing is half done', async () => {
    const flag = await flags.create();
    const before = await flags.everything();
    const answer = await flags.ask(
      flags.writer,
      `mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { applied } }`,
      { key: flag.key, input: target() },
    );
    expect(refusal(answer)).toEqual({ code: 'BAD_USER_INPUT', field: 'input.conditions.segment' });
    expect(await flags.everything()).toEqual(before);
  });

  test.each<[unknown, string]>([
    [{}, 'conditions'],
    ['EU', 'conditions'],
    [{ colour: 'red' }, 'conditions.colour'],
    [{ sw_version: '>=3 <2' }, 'conditions.sw_version'],
    [{ vins: ['KMH'] }, 'conditions.vins.0'],
    [{ tags: ['two words'] }, 'conditions.tags.0'],
    [{ models: ['EV9', '*'] }, 'conditions.models.1'],
    [{ models: ['a\u202eb'] }, 'conditions.models.0'],
  ])('of %j is refused with its path', async (conditions, field) => {
    expect(refusal(await save(conditions))).toEqual({ code: 'BAD_USER_INPUT', field });
  });

  test('is read by readers and written by writers', async () => {
    expect(refusal(await save({ regions: ['EU'] }, user('READ')))).toMatchObject({ code: 'FORBIDDEN' });
    expect(refusal(await save({ regions: ['EU'] }, user('SAFETY')))).toMatchObject({ code: 'FORBIDDEN' });
    expect((await flags.ask(user('READ'), '{ segments { key } }', {})).errors).toEqual([]);
    expect(
      refusal(
        await flags.ask(
          { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging' },
          '{ segments { key } }',
          {},
        ),
      ),
    ).toMatchObject({ code: 'FORBIDDEN' });
  });
});

test('who has seen a segment as it was, or none of its key, does not overwrite what somebody else has saved', async () => {
  const READ = 'query ($key: String!) { segment(key: $key) { updatedAt } }';
  const updatedAt = async () => (await flags.ok<{ segment: { updatedAt: string } }>(READ, { key })).segment.updatedAt;
  const refused = async (conditions: unknown, more: object) => refusal(await save(conditions, flags.writer, more));
  expect(await refused({ regions: ['EU'] }, { isNew: true })).toBeNull();
  const seen = await updatedAt();
  expect(await refused({ regions: ['KR'] }, { isNew: true })).toEqual({ code: 'CONFLICT', field: 'key' });
  expect(await refused({ regions: ['EU', 'KR'] }, { seen })).toBeNull();
  for (const conditions of [{ regions: ['NA'] }, { regions: ['EU', 'KR'] }])
    expect(await refused(conditions, { seen })).toEqual({ code: 'CONFLICT' });
  const latest = await updatedAt();
  await remove();
  expect(await refused({ regions: ['NA'] }, { seen: latest })).toEqual({ code: 'CONFLICT' });
});

test('a segment of more flags than one partition holds changes them all at once', async () => {
  await saved({ regions: ['EU'] });
  const changes = createFlagChanges(flags.prisma, flags.signer, flags.bus, silent);
  const by = identityOf(flags.writer);
  const from = await flags.revision('production');
  await changes.applySet(
    by,
    {
      environment: 'production',
      changes: Array.from({ length: MANY }, (_, index) => ({
        place: { path: `flags.${index}`, hasMembers: true },
        newFlag: (at) => oneOfMany(index, at),
      })),
    },
    limitsOf(MANY),
  );
  const set = await saved({ regions: ['KR'] });
  expect(set.revision).toBe(from + 2 * MANY);
  const written = await flags.prisma.flag.findMany({
    where: { environment: 'production', revision: { gt: from + MANY } },
  });
  expect(new Set(written.map(({ revision }) => revision)).size).toBe(MANY);
  for (const index of [0, MANY - 1])
    expect(await signedRules(`many_${index}`)).toEqual([{ type: 'vehicle_target', conditions: { regions: ['KR'] } }]);
}, 240_000);

/** More flags than one partition may have. */
const MANY = 1_000;
const PARTITION = 100;

function oneOfMany(index: number, at: Date): Flag {
  const dates = { createdAt: at, updatedAt: at };
  return {
    ...{ ...dates, id: randomUUID(), key: `many_${index}`, name: 'One of many', description: null, type: 'boolean' },
    ...{ defaultValue: false, enabled: true, safetyLevel: 'Non-Critical', environment: 'production', revision: 0 },
    ...{
      scope: [`Model ${Math.floor(index / PARTITION)}`],
      requires: [],
      excludes: [],
      valueSchema: null,
      activation: 'IMMEDIATE',
      killActivation: 'IMMEDIATE',
      noReturnBelow: 0,
      release: null,
      signedDefinition: '',
    },
    ...{ totalEvaluations: 0, activeVehicles: 0, lastEvaluationAt: null, archivedAt: null, draft: false },
    ...{ createdById: flags.writer.userId, updatedById: flags.writer.userId },
    rules: [
      {
        ...{ ...dates, id: randomUUID(), type: 'vehicle_target', priority: 100, enabled: true },
        ...{ conditions: { segment: key }, value: null, variant: null },
      },
    ],
  };
}

test('a change of a segment pauses the rollouts of the rules that name it, as a change of their conditions does', async () => {
  await saved({ regions: ['EU'] });
  const flag = await flags.create({ enabled: true });
  const { id: ruleId } = (
    await flags.addRule(flag.key, {
      type: 'PERCENTAGE_ROLLOUT',
      conditions: { rollout_percentage: 5, segment: key },
    })
  ).rules[0]!;
  const at = new Date(Date.now() + 86_400_000).toISOString();
  const { scheduleRollout } = await flags.ok<{ scheduleRollout: { rollout: { id: string; status: string } } }>(
    `mutation ($key: String!, $ruleId: ID!, $at: DateTime!) {
      scheduleRollout(flagKey: $key, ruleId: $ruleId, steps: [{ at: $at, percentage: 50 }]) { rollout { id status } }
    }`,
    { key: flag.key, ruleId, at },
  );
  const { id, status } = scheduleRollout.rollout;
  expect(status).toBe('RUNNING');
  const rollout = () =>
    flags.prisma.rollout.findUniqueOrThrow({ where: { id }, select: { status: true, pausedReason: true } });
  // The name alone is nothing that vehicles get.
  await flags.ok(SAVE, { key, name: 'Another name', conditions: { regions: ['EU'] } });
  expect(await rollout()).toEqual({ status: 'running', pausedReason: null });
  await saved({ regions: ['KR'] });
  expect(await rollout()).toEqual({ status: 'paused', pausedReason: "its rule's regions changed by hand" });
});

describe('tags in a segment', () => {
  const VINS = ['KMHK281HGNU000101', 'KMHK281HGNU000102'] as const;

  test('select vehicles by digests, and a tagged vehicle joins without any announcement', async () => {
    const name = `tag_${key}`;
    await addVehicle(VINS[0]);
    await addVehicle(VINS[1]);
    await saved({ tags: [name] });
    const flag = await flags.addRule((await flags.create({ enabled: true })).key, target());
    const id = flag.rules[0]?.id ?? '';
    expect(await signedRules(flag.key)).toEqual([{ type: 'vehicle_whitelist', conditions: { digests: [] } }]);
    const from = await flags.revision();
    await tag(VINS[0], name);
    await eventually(async () => (await flags.revision()) > from);
    expect(await signedRules(flag.key)).toEqual([
      { type: 'vehicle_whitelist', conditions: { digests: [whitelistDigest(id, VINS[0])] } },
    ]);
    expect(await flags.revision()).toBe(from + 1);
    expect(await evaluateFor(flag.key, { vin: VINS[0] })).toBe(true);
    expect(await evaluateFor(flag.key, { vin: VINS[1] })).toBe(false);
    await tag(VINS[1], name);
    await eventually(async () => (await flags.revision()) > from + 1);
    expect((await signedRules(flag.key))[0]?.conditions).toEqual({
      digests: VINS.map((vin) => whitelistDigest(id, vin)).sort(),
    });
    // A change that makes no difference to what is signed takes no revision.
    const last = await flags.revision();
    await tag(VINS[1], name);
    await eventually(async () => (await flags.prisma.segment.findUniqueOrThrow({ where: { key } })).tagChanges === 3n);
    expect(await flags.revision()).toBe(last);
  });
});
