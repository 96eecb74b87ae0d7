/** Segments: a change of one is one change of every flag that names it. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../../../core/testing/eventually.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { whitelistDigest } from '../../../core/evaluation/rules/whitelist-digest.ts';
import { identityOf, refusal, silent, user } from '../../shared/testing/asking.ts';
import { createFlagChanges, limitsOf } from '../changes/change.ts';
import type { Flag } from '../flags/flag.ts';
import { definitionIn } from '../signing/signing.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';

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

interface ChangeSet {
  readonly applied: boolean;
  readonly revision: number | null;
  readonly flags: readonly { readonly key: string; readonly revision: number }[];
  readonly changeRequest: { readonly id: string; readonly action: string } | null;
}
const SAVE = `mutation ($key: String!, $name: String!, $conditions: JSON!, $force: Boolean, $isNew: Boolean, $seen: DateTime) {
  saveSegment(key: $key, name: $name, conditions: $conditions, force: $force, isNew: $isNew, expectedUpdatedAt: $seen) {
    applied revision flags { key revision } changeRequest { id action }
  }
}`;
const save = (conditions: unknown, caller: Caller = flags.writer, more: object = {}) =>
  flags.ask<{ saveSegment: ChangeSet }>(caller, SAVE, { key, name: 'A fleet', conditions, ...more });
const saved = async (conditions: unknown) => {
  const { data, errors } = await save(conditions);
  expect(errors).toEqual([]);
  return data.saveSegment;
};
const DELETE = `mutation ($key: String!) { deleteSegment(key: $key) { key name conditions } }`;
const remove = () => flags.ask(flags.writer, DELETE, { key });

const target = (more: object = {}) => ({ type: 'VEHICLE_TARGET', conditions: { segment: key }, ...more });
async function signedRules(flagKey: string) {
  const { signedDefinition } = await flags.prisma.flag.findUniqueOrThrow({ where: { key: flagKey } });
  return definitionIn(signedDefinition ?? '').rules.map(({ type, conditions }) => ({ type, conditions }));
}
const evaluateFor = async (flagKey: string, context: object) =>
  (
    await flags.ok<{ evaluateFlag: { value: unknown } }>(
      `query ($key: String!, $context: EvaluationContext!) { evaluateFlag(key: $key, context: $context) { value } }`,
      { key: flagKey, context },
    )
  ).evaluateFlag.value;

async function addVehicle(vin: string, tags: readonly string[] = []): Promise<void> {
  await flags.prisma.vehicle.create({
    data: { vin, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline', tags: [...tags] },
  });
}
/** Tags a vehicle as the vehicles subgraph does, with the count in the same transaction. */
const tag = (vin: string, name: string) =>
  flags.prisma.$transaction([
    flags.prisma.vehicle.update({ where: { vin }, data: { tags: [name] } }),
    flags.prisma
      .$executeRaw`INSERT INTO vehicle_tags AS known (tag, changes) VALUES (${name}, 1) ON CONFLICT (tag) DO UPDATE SET changes = known.changes + 1`,
  ]);

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
