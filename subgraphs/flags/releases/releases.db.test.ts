import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { bucketing } from '../../../core/evaluation/bucket.ts';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import type { JsonValue } from '../../../core/model.ts';
import { refusal } from '../../shared/testing/asking.ts';
import { advanceRevision } from '../signing/advance-revision.ts';
import { definitionIn } from '../signing/signing.ts';
import type { FlagJson } from '../testing/flags-under-test.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());
beforeEach(async () => {
  await releases.flags.prisma.vehicle.deleteMany();
  await releases.flags.prisma.release.updateMany({
    where: { endedAt: null },
    data: { status: 'halted', endedAt: new Date() },
  });
  await releases.setPolicy('staging', THREE_STAGES);
});

const RELEASE =
  'id status percentage reason content endedAt flag { key } startedBy { id } stages { percentage soak minimumVehicles }';

interface ReleaseJson {
  readonly id: string;
  readonly status: string;
  readonly percentage: number;
  readonly reason: string | null;
  readonly content: { readonly defaultValue: JsonValue };
  readonly endedAt: string | null;
}

/** Gives a flag whose content all vehicles have, and which is on. */
async function released(over: Record<string, unknown> = {}): Promise<FlagJson> {
  await releases.setPolicy('staging', []);
  const flag = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true, ...over });
  await releases.setPolicy('staging', THREE_STAGES);
  return flag;
}

const update = (key: string, input: Record<string, unknown>) => {
  // Releases are listed by the time of their beginning.
  releases.clock.now += 1;
  return releases.flags.ok<{ updateFlag: { applied: boolean; changeRequest: { id: string } | null } }>(
    'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied changeRequest { id } } }',
    { key, input },
  );
};

const releasing = async (key: string) =>
  (
    await releases.flags.ok<{ flag: { release: ReleaseJson | null } }>(
      `query ($key: String!) { flag(key: $key) { release { ${RELEASE} } } }`,
      { key },
    )
  ).flag.release;

const listed = async (key: string) =>
  (
    await releases.flags.ok<{ releases: { nodes: ReleaseJson[]; totalCount: number } }>(
      `query ($key: String!) { releases(flagKey: $key) { nodes { ${RELEASE} } totalCount } }`,
      { key },
    )
  ).releases;

const auditOf = async (key: string, action: string) =>
  (
    await releases.flags.prisma.auditLog.findMany({
      where: { flag: { key }, action },
      orderBy: { chainPosition: 'asc' },
    })
  ).map(({ beforeValue: before, afterValue: after }) => ({ before, after }));

/** Moves the clock past the soak of a stage and runs the job. */
async function soak(ms = 60_000): Promise<number> {
  releases.clock.now += ms;
  return releases.job.runDue();
}

const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
/** Gives VINs in the ring of a percentage, and VINs outside of it. */
function ringOf(ring: string, percentage: number): { readonly inside: string[]; readonly outside: string[] } {
  const bucketOf = bucketing(`release:${ring}`);
  const all = Array.from({ length: 2_000 }, (_, n) => vinOf(n));
  const isIn = (vin: string) => bucketOf(vin) < percentage * 1_000;
  return { inside: all.filter(isIn), outside: all.filter((vin) => !isIn(vin)) };
}

const served = async (key: string, vin: string) => {
  const { signedDefinition } = await releases.stored(key);
  return evaluateFlag(compileFlag(definitionIn(signedDefinition)), { vin }).value;
};

const addVehicles = (
  vins: readonly string[],
  over: { appliedRevision?: number; lastSeenAt?: Date; evaluatedFlags?: string[] } = {},
) =>
  releases.flags.prisma.vehicle.createMany({
    data: vins.map((vin) => ({
      ...{ vin, model: 'EV9', swVersion: '1', region: 'KR', environment: 'staging', status: 'online' },
      ...over,
    })),
  });

describe('a change under a policy', () => {
  test('reaches the first ring, moves on by the soak of each stage, and is completed at all vehicles', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    const under = await releasing(key);
    expect(under).toMatchObject({
      ...{ status: 'RUNNING', percentage: 1, reason: null, content: { defaultValue: 'new', rules: [] }, flag: { key } },
      startedBy: { id: releases.flags.writer.userId },
      stages: [{ percentage: 1 }, { percentage: 10 }, { percentage: 100, soak: 'PT1M', minimumVehicles: 0 }],
    });
    const { release } = await releases.stored(key);
    const { inside, outside } = ringOf(release!.id, 1);
    expect([await served(key, inside[0]!), await served(key, outside[0]!)]).toEqual(['new', 'old']);
    expect(await releases.job.runDue()).toBe(0);
    expect(await soak()).toBe(1);
    expect(await releasing(key)).toMatchObject({ id: under?.id, status: 'RUNNING', percentage: 10 });
    expect(await served(key, ringOf(release!.id, 10).outside[0]!)).toBe('old');
    expect(await soak()).toBe(1);
    expect(await served(key, outside[0]!)).toBe('new');
    expect(await soak()).toBe(1);
    expect(await releasing(key)).toBeNull();
    expect(definitionIn((await releases.stored(key)).signedDefinition)).not.toHaveProperty('release');
    expect(await listed(key)).toMatchObject({ totalCount: 1, nodes: [{ status: 'COMPLETED', percentage: 100 }] });
    expect(await auditOf(key, 'UPDATE_FLAG')).toMatchObject([
      { after: { release: { id: release!.id, percentage: 1 } } },
    ]);
    expect(await auditOf(key, 'ADVANCE_RELEASE')).toMatchObject([
      { before: { percentage: 1 }, after: { release: under?.id, percentage: 10 } },
      { before: { percentage: 10 }, after: { percentage: 100 } },
    ]);
    expect(await auditOf(key, 'COMPLETE_RELEASE')).toHaveLength(1);
  });

  test('catches up after a downtime without skipping a stage or its soak', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    expect(await soak(3_600_000)).toBe(1);
    expect(await releasing(key)).toMatchObject({ percentage: 10 });
    expect(await releases.job.runDue()).toBe(0);
  });

  test('is moved on exactly once by several instances', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    const { revision } = await releases.stored(key);
    releases.clock.now += 60_000;
    const made = await Promise.all([releases.job, releases.newJob(), releases.newJob()].map((job) => job.runDue()));
    expect(made.reduce((sum, one) => sum + one, 0)).toBe(1);
    expect(await releases.stored(key)).toMatchObject({ revision: revision + 1, release: { percentage: 10 } });
  });

  test('is evaluated by the control plane as by each vehicle, and explained by the rules that it has', async () => {
    const { key } = await released();
    await releases.flags.addRule(key, {
      ...{ type: 'VEHICLE_TARGET', priority: 5, value: 'korea', conditions: { regions: ['KR'] } },
    });
    const { release } = await releases.stored(key);
    const { inside, outside } = ringOf(release!.id, 1);
    const ask = async (vin: string) => {
      const context = { vin, region: 'KR' };
      const { evaluateFlag: one, explainEvaluation } = await releases.flags.ok<{
        evaluateFlag: { value: unknown };
        explainEvaluation: { evaluation: { value: unknown }; rules: unknown[] };
      }>(
        `query ($key: String!, $context: EvaluationContext!) {
          evaluateFlag(key: $key, context: $context) { value }
          explainEvaluation(key: $key, context: $context) { evaluation { value } rules { outcome } }
        }`,
        { key, context },
      );
      return [one.value, explainEvaluation.evaluation.value, explainEvaluation.rules.length];
    };
    expect(await ask(inside[0]!)).toEqual(['korea', 'korea', 1]);
    expect(await ask(outside[0]!)).toEqual(['old', 'old', 0]);
    const { flag } = await releases.flags.ok<{ flag: { evaluatedContent: unknown } }>(
      'query ($key: String!) { flag(key: $key) { evaluatedContent } }',
      { key },
    );
    expect(flag.evaluatedContent).toMatchObject({
      ...{ defaultValue: 'old', rules: [] },
      release: { percentage: 1, next: { rules: [{ value: 'korea' }] } },
    });
  });

  test('is none for names, for another level than the policy covers, and without a policy', async () => {
    const { key } = await released();
    await update(key, { name: 'Another name' });
    expect(await releasing(key)).toBeNull();
    await releases.flags.prisma.releasePolicy.update({
      where: { environment: 'staging' },
      data: { safetyLevels: ['ASIL-B'] },
    });
    await update(key, { defaultValue: 'at once' });
    expect(await releasing(key)).toBeNull();
    await releases.flags.prisma.releasePolicy.update({
      where: { environment: 'staging' },
      data: { safetyLevels: ['Non-Critical'] },
    });
    await update(key, { defaultValue: 'staged' });
    expect(await releasing(key)).toMatchObject({ percentage: 1 });
    await releases.setPolicy('staging', []);
    await update(key, { defaultValue: 'at once again' });
    expect(await releasing(key)).toBeNull();
    expect((await listed(key)).nodes).toMatchObject([{ status: 'SUPERSEDED' }]);
  });

  test('is one for each flag of a set', async () => {
    const [one, two] = [await released(), await released()];
    await releases.flags.ok(
      'mutation ($changes: [ChangeInput!]!) { applyChanges(environment: STAGING, changes: $changes) { applied } }',
      { changes: [one, two].map(({ key }) => ({ updateFlag: { key, input: { defaultValue: 'set' } } })) },
    );
    for (const { key } of [one, two]) expect(await releasing(key)).toMatchObject({ content: { defaultValue: 'set' } });
  });

  test('waits for approval first where two people decide, and becomes a release then', async () => {
    const { key } = await released({ safetyLevel: 'ASIL_D' });
    const { updateFlag } = await update(key, { defaultValue: 'new' });
    expect(await releasing(key)).toBeNull();
    await releases.flags.approve(updateFlag.changeRequest?.id ?? '');
    expect(await releasing(key)).toMatchObject({ status: 'RUNNING', percentage: 1 });
  });
});

describe('a later change', () => {
  test('takes the place of a release in the same ring, and starts at the first stage', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    await soak();
    const first = await releases.stored(key);
    await update(key, { defaultValue: 'newer' });
    const second = await releases.stored(key);
    expect(second.release).toMatchObject({ id: first.release?.id, percentage: 1, stable: { defaultValue: 'old' } });
    expect((await listed(key)).nodes).toMatchObject([
      { status: 'RUNNING', content: { defaultValue: 'newer' } },
      { status: 'SUPERSEDED', percentage: 10, content: { defaultValue: 'new' } },
    ]);
  });

  test('leaves to all vehicles what had reached them, and ends the release where it brings the stable content back', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    await soak();
    await soak();
    await update(key, { defaultValue: 'newer' });
    expect((await releases.stored(key)).release).toMatchObject({ percentage: 1, stable: { defaultValue: 'new' } });
    await update(key, { defaultValue: 'new' });
    expect(await releasing(key)).toBeNull();
  });
});

test('another activation starts a release, whose new content has it, and a halt brings the old one back', async () => {
  const { key } = await released({ activation: 'NEXT_DRIVE' });
  await update(key, { defaultValue: 'new', activation: 'PARKED' });
  const { signedDefinition } = await releases.stored(key);
  expect(definitionIn(signedDefinition)).toMatchObject({
    ...{ defaultValue: 'old', activation: 'NEXT_DRIVE', killActivation: 'IMMEDIATE' },
    release: { percentage: 1, next: { defaultValue: 'new', activation: 'PARKED' } },
  });
  await releases.flags.ok('mutation ($key: String!) { haltRelease(flagKey: $key, reason: "slower") { applied } }', {
    key,
  });
  expect(await releases.stored(key)).toMatchObject({ activation: 'NEXT_DRIVE', release: null, defaultValue: 'old' });
});

describe('a stage', () => {
  const withMinimum = (minimumVehicles: number) =>
    releases.setPolicy(
      'staging',
      THREE_STAGES.map((stage) => ({ ...stage, minimumVehicles })),
    );

  test('holds while too few vehicles of the ring report the content, and goes on once they do', async () => {
    const { key } = await released();
    await withMinimum(3);
    await update(key, { defaultValue: 'new' });
    const { release, revision } = await releases.stored(key);
    const { inside, outside } = ringOf(release!.id, 1);
    const now = new Date(releases.clock.now + 1);
    await addVehicles(inside.slice(0, 3), { appliedRevision: revision - 1, lastSeenAt: now });
    await addVehicles(outside.slice(0, 50), { appliedRevision: revision, lastSeenAt: now });
    // It has the revision, but has said nothing since the stage began.
    await addVehicles(inside.slice(3, 6), { appliedRevision: revision, lastSeenAt: new Date(0) });
    expect(await soak()).toBe(0);
    expect(await releasing(key)).toMatchObject({
      ...{ status: 'HOLDING', percentage: 1, reason: '0 of 3 vehicles report the new content' },
    });
    await releases.flags.prisma.vehicle.updateMany({
      where: { vin: { in: inside.slice(0, 3) } },
      data: { appliedRevision: revision, pendingFlags: [`${key}:${revision}`] },
    });
    // What waits for the end of a drive is stored, and not active.
    expect(await soak(5_000)).toBe(0);
    await releases.flags.prisma.vehicle.updateMany({ data: { pendingFlags: ['other:1'] } });
    expect(await soak(5_000)).toBe(1);
    expect(await releasing(key)).toMatchObject({ status: 'RUNNING', percentage: 10, reason: null });
  });

  test('holds while the new content is active in the ring and too few programs have evaluated it', async () => {
    const { key } = await released();
    await withMinimum(3);
    await update(key, { defaultValue: 'new' });
    const { release, revision } = await releases.stored(key);
    const { inside, outside } = ringOf(release!.id, 1);
    const active = { appliedRevision: revision, lastSeenAt: new Date(releases.clock.now + 1) };
    const evaluated = [`${key}:${revision}`];
    await addVehicles(inside.slice(0, 5), { ...active, evaluatedFlags: [] });
    await addVehicles(outside.slice(0, 5), { ...active, evaluatedFlags: evaluated });
    const sayEvaluated = (vin: string | undefined, evaluatedFlags: string[]) =>
      releases.flags.prisma.vehicle.update({ where: { vin: vin! }, data: { evaluatedFlags } });
    await sayEvaluated(inside[0], evaluated);
    // Other content of the flag, and another flag.
    await sayEvaluated(inside[1], [`${key}:${revision - 1}`]);
    await sayEvaluated(inside[2], [`${key}2:${revision}`]);
    expect(await soak()).toBe(0);
    const reason = async () => (await releasing(key))?.reason;
    expect(await releasing(key)).toMatchObject({
      ...{ status: 'HOLDING', percentage: 1, reason: '1 of 3 vehicles have evaluated the new content' },
    });
    await sayEvaluated(inside[2], ['a:1', ...evaluated]);
    expect(await soak(5_000)).toBe(0);
    expect(await reason()).toBe('2 of 3 vehicles have evaluated the new content');
    await sayEvaluated(inside[4], [`${key}:${revision + 1}`]);
    expect(await soak(5_000)).toBe(1);
    expect(await releasing(key)).toMatchObject({ status: 'RUNNING', percentage: 10, reason: null });
  });

  test('counts a vehicle whose agent reports no evaluations by its revision, and asks the others beside it', async () => {
    const { key } = await released();
    await withMinimum(3);
    await update(key, { defaultValue: 'new' });
    const { release, revision } = await releases.stored(key);
    const { inside } = ringOf(release!.id, 1);
    const active = { appliedRevision: revision, lastSeenAt: new Date(releases.clock.now + 1) };
    await addVehicles(inside.slice(0, 2), active);
    await addVehicles(inside.slice(2, 4), { ...active, evaluatedFlags: [] });
    expect(await soak()).toBe(0);
    expect(await releasing(key)).toMatchObject({ reason: '2 of 3 vehicles have evaluated the new content' });
    await addVehicles(inside.slice(4, 5), active);
    expect(await soak(5_000)).toBe(1);
  });

  test('asks for no more vehicles than the ring has', async () => {
    const { key } = await released();
    await withMinimum(1_000);
    await update(key, { defaultValue: 'new' });
    const { release, revision } = await releases.stored(key);
    const [vin] = ringOf(release!.id, 1).inside;
    await addVehicles([vin!], { appliedRevision: revision, lastSeenAt: new Date(releases.clock.now + 1) });
    expect(await soak()).toBe(1);
  });

  test('holds while the flag is killed or disabled, which acts at once', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    const ring = (await releases.stored(key)).release!.id;
    await releases.flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', {
      key,
    });
    expect(await served(key, ringOf(ring, 1).inside[0]!)).toBe('old');
    expect(await soak()).toBe(0);
    expect(await releasing(key)).toMatchObject({ status: 'HOLDING', reason: 'The kill switch is pulled' });
    await releases.flags.ok(
      'mutation ($key: String!) { releaseKillSwitch(flagKey: $key, reason: "clear") { applied } }',
      { key },
    );
    const { release } = await releases.stored(key);
    expect(release).toMatchObject({ percentage: 1, stable: { disabled: true, defaultValue: 'old' } });
    expect(release?.id).not.toBe(ring);
    expect((await listed(key)).nodes).toMatchObject([{ status: 'RUNNING' }, { status: 'HALTED' }]);
    await releases.flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key });
    expect(await soak()).toBe(0);
    expect(await releasing(key)).toMatchObject({ status: 'HOLDING', reason: 'The flag is disabled' });
  });
});

const halt = (key: string, reason = 'by hand') =>
  releases.flags.ask<{ haltRelease: { flag: FlagJson } }>(
    releases.flags.writer,
    'mutation ($key: String!, $reason: String!) { haltRelease(flagKey: $key, reason: $reason) { applied flag { defaultValue enabled } } }',
    { key, reason },
  );
const promote = (key: string, percentage: number) =>
  releases.flags.ask<{ promoteRelease: { applied: boolean; changeRequest: { id: string } | null } }>(
    releases.flags.writer,
    'mutation ($key: String!, $percentage: Float!) { promoteRelease(flagKey: $key, percentage: $percentage, reason: "seen enough") { applied changeRequest { id } } }',
    { key, percentage },
  );

describe('a halt', () => {
  test('brings the stable content back for everybody, and keeps the halted one', async () => {
    const { key } = await released();
    const { rules: before } = await releases.flags.addRule(key, {
      ...{ type: 'VEHICLE_TARGET', priority: 5, value: 'korea', conditions: { regions: ['KR'] } },
    });
    await soak();
    await soak();
    await soak();
    await releases.flags.ok('mutation ($id: ID!) { deleteRule(id: $id) { applied } }', { id: before[0]?.id });
    await update(key, { defaultValue: 'new' });
    const { revision } = await releases.stored(key);
    expect((await halt(key)).data.haltRelease.flag).toMatchObject({ defaultValue: 'old', enabled: true });
    expect(await releases.stored(key)).toMatchObject({
      ...{ release: null, revision: revision + 1, rules: [{ id: before[0]?.id, value: 'korea' }] },
    });
    expect((await listed(key)).nodes[0]).toMatchObject({
      ...{
        status: 'HALTED',
        reason: 'by hand',
        content: { defaultValue: 'new', rules: [] },
        endedAt: expect.any(String),
      },
    });
    expect(await auditOf(key, 'HALT_RELEASE')).toMatchObject([{ after: { reason: 'by hand', enabled: true } }]);
    expect(refusal(await halt(key))).toMatchObject({ code: 'CONFLICT' });
  });

  test('keeps the kill switches that are pulled', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    await releases.flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', {
      key,
    });
    await halt(key);
    const { rules, defaultValue } = await releases.stored(key);
    expect({ defaultValue, types: rules.map(({ type }) => type) }).toEqual({
      ...{ defaultValue: 'old', types: ['kill_switch'] },
    });
  });

  test('of a release that switched the flag on disables it', async () => {
    const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'safe', enabled: true });
    expect((await releases.stored(key)).release?.stable.disabled).toBe(true);
    expect((await halt(key)).data.haltRelease.flag).toMatchObject({ defaultValue: 'safe', enabled: false });
  });

  test('needs no second person, and ends with the flag that is archived or moved', async () => {
    const { key } = await released({ safetyLevel: 'ASIL_D' });
    const { updateFlag } = await update(key, { defaultValue: 'new' });
    await releases.flags.approve(updateFlag.changeRequest?.id ?? '');
    expect((await halt(key)).errors).toEqual([]);
    const moving = await released();
    await update(moving.key, { defaultValue: 'new' });
    await releases.flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key: moving.key });
    await releases.flags.move(moving.key, 'DEVELOPMENT');
    expect((await listed(moving.key)).nodes).toMatchObject([
      { status: 'HALTED', reason: 'The flag was moved to development' },
    ]);
  });

  test('is refused for an unknown flag, and without a reason', async () => {
    expect(refusal(await halt('no_flag'))).toEqual({ code: 'NOT_FOUND', field: 'flagKey' });
    expect(refusal(await halt((await released()).key, ' '))).toEqual({ code: 'BAD_USER_INPUT', field: 'reason' });
  });
});

describe('a promotion', () => {
  test('moves the release on at once, between stages too, and its soak begins again', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    releases.clock.now += 59_000;
    expect((await promote(key, 55.5)).data.promoteRelease).toEqual({ applied: true, changeRequest: null });
    expect(await soak(1_000)).toBe(0);
    expect(await releasing(key)).toMatchObject({ percentage: 55.5, status: 'RUNNING' });
    expect(await soak(59_000)).toBe(1);
    expect(await releasing(key)).toMatchObject({ percentage: 100 });
    expect(await auditOf(key, 'PROMOTE_RELEASE')).toMatchObject([
      { before: { percentage: 1 }, after: { percentage: 55.5, reason: 'seen enough' } },
    ]);
  });

  test('of an ASIL-D flag needs a second person', async () => {
    const { key } = await released({ safetyLevel: 'ASIL_D' });
    const { updateFlag } = await update(key, { defaultValue: 'new' });
    await releases.flags.approve(updateFlag.changeRequest?.id ?? '');
    const { data } = await promote(key, 100);
    expect(data.promoteRelease).toEqual({ applied: false, changeRequest: { id: expect.any(String) } });
    expect(await releasing(key)).toMatchObject({ percentage: 1 });
    await releases.flags.approve(data.promoteRelease.changeRequest?.id ?? '');
    expect(await releasing(key)).toMatchObject({ percentage: 100 });
    expect(await auditOf(key, 'PROMOTE_RELEASE')).toMatchObject([
      { after: { percentage: 100, changeRequest: { approvedBy: releases.flags.reviewer.userId } } },
    ]);
  });

  test('that waited is refused once its release has ended', async () => {
    const { key } = await released({ safetyLevel: 'ASIL_D' });
    const { updateFlag } = await update(key, { defaultValue: 'new' });
    await releases.flags.approve(updateFlag.changeRequest?.id ?? '');
    const id = (await promote(key, 100)).data.promoteRelease.changeRequest?.id;
    await halt(key);
    const answer = await releases.flags.ask(
      releases.flags.reviewer,
      'mutation ($id: ID!) { approveChangeRequest(id: $id) { id } }',
      { id },
    );
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT' });
  });

  test('of a flag that is off is refused, and what is released then reaches nobody by a later change', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    await soak();
    await soak();
    await releases.flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key });
    await update(key, { defaultValue: 'newer' });
    expect((await releases.stored(key)).release).toMatchObject({ percentage: 1, stable: { defaultValue: 'old' } });
    expect(refusal(await promote(key, 100))).toMatchObject({ code: 'CONFLICT' });
  });

  test.each([1, 0.5, 101, 10.0001, -1])('to %s %% is refused', async (percentage) => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    expect(refusal(await promote(key, percentage))).toEqual({ code: 'BAD_USER_INPUT', field: 'percentage' });
  });
});

describe('beside a release', () => {
  test('an enabled flag cannot be archived under a policy', async () => {
    const { key } = await released();
    const archive = () =>
      releases.flags.ask(releases.flags.writer, 'mutation ($key: String!) { archiveFlag(key: $key) { applied } }', {
        key,
      });
    expect(refusal(await archive())).toMatchObject({ code: 'CONFLICT' });
    await update(key, { defaultValue: 'new' });
    await releases.flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key });
    expect((await archive()).errors).toEqual([]);
    expect((await listed(key)).nodes).toMatchObject([{ status: 'HALTED', reason: 'The flag was archived' }]);
  });

  test('no rollout can be scheduled', async () => {
    const { key } = await released();
    const { rules } = await releases.flags.addRule(key, {
      ...{ type: 'PERCENTAGE_ROLLOUT', value: 'new', conditions: { rollout_percentage: 1 } },
    });
    const answer = await releases.flags.ask(
      releases.flags.writer,
      'mutation ($key: String!, $rule: ID!) { scheduleRollout(flagKey: $key, ruleId: $rule, steps: [{ percentage: 5, after: "PT1H" }]) { applied } }',
      { key, rule: rules[0]?.id },
    );
    expect(refusal(answer)).toMatchObject({ code: 'CONFLICT' });
  });

  test('the steps of a rollout that runs already reach both contents, and stay after a halt', async () => {
    await releases.setPolicy('staging', []);
    const { key, id } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
    const { rules } = await releases.flags.addRule(key, {
      ...{ type: 'PERCENTAGE_ROLLOUT', value: 'new', conditions: { rollout_percentage: 5 } },
    });
    await releases.flags.ok(
      'mutation ($key: String!, $rule: ID!) { scheduleRollout(flagKey: $key, ruleId: $rule, steps: [{ percentage: 10, after: "PT1H" }, { percentage: 100, after: "P1D" }]) { applied } }',
      { key, rule: rules[0]?.id },
    );
    await releases.setPolicy('staging', THREE_STAGES);
    await update(key, { defaultValue: 'newer' });
    releases.clock.now += 3_600_000;
    await releases.newScheduler().runDue();
    const conditions = [expect.objectContaining({ conditions: expect.objectContaining({ rollout_percentage: 10 }) })];
    const stored = await releases.stored(key);
    expect(stored).toMatchObject({ rules: conditions, release: { percentage: 1, stable: { rules: conditions } } });
    expect(definitionIn(stored.signedDefinition)).toMatchObject({
      ...{ rules: conditions, release: { next: { rules: conditions } } },
    });
    await halt(key);
    expect(await releases.stored(key)).toMatchObject({ release: null, defaultValue: 'old', rules: conditions });
    expect(await releases.flags.prisma.rollout.findFirst({ where: { flagId: id } })).toMatchObject({
      status: 'running',
    });
  });

  test('a segment is what it says now in both contents, and stays while only the stable one names it', async () => {
    const saveSegment = (region: string) =>
      releases.flags.ok(
        'mutation ($key: String!, $conditions: JSON!) { saveSegment(key: $key, name: "Yard", conditions: $conditions) { applied } }',
        { key: segment, conditions: { regions: [region] } },
      );
    const segment = releases.flags.newKey();
    await saveSegment('KR');
    await releases.setPolicy('staging', []);
    const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
    const { rules } = await releases.flags.addRule(key, {
      ...{ type: 'VEHICLE_TARGET', priority: 5, value: 'yard', conditions: { segment } },
    });
    await releases.setPolicy('staging', THREE_STAGES);
    await releases.flags.ok('mutation ($id: ID!) { deleteRule(id: $id) { applied } }', { id: rules[0]?.id });
    const signed = async () => definitionIn((await releases.stored(key)).signedDefinition);
    expect(await signed()).toMatchObject({
      ...{ rules: [{ conditions: { regions: ['KR'] } }], release: { percentage: 1, next: { rules: [] } } },
    });
    await saveSegment('EU');
    expect(await signed()).toMatchObject({ rules: [{ conditions: { regions: ['EU'] } }], release: { percentage: 1 } });
    const removed = await releases.flags.ask(
      releases.flags.writer,
      'mutation ($key: String!) { deleteSegment(key: $key) { key } }',
      { key: segment },
    );
    expect(refusal(removed)).toMatchObject({ code: 'CONFLICT' });
    await halt(key);
    expect(await releases.stored(key)).toMatchObject({ rules: [{ conditions: { segment } }] });
  });

  test('signing an environment again keeps both contents', async () => {
    const { key } = await released();
    await update(key, { defaultValue: 'new' });
    const { release, revision } = await releases.stored(key);
    const { prisma, signer } = releases.flags;
    const options = { environment: 'staging', beyond: 0, reason: 'restored' } as const;
    await advanceRevision(prisma, signer, releases.writer, options);
    const stored = await releases.stored(key);
    expect(stored.revision).toBeGreaterThan(revision);
    expect(stored.release).toEqual(release);
    expect(definitionIn(stored.signedDefinition)).toMatchObject({
      ...{ defaultValue: 'old', revision: stored.revision },
      release: { id: release?.id, percentage: 1, next: { defaultValue: 'new' } },
    });
  });

  test('a dependency that only the two contents of different flags would make a circle of is refused', async () => {
    const [one, two] = [await released(), await released()];
    await releases.setPolicy('staging', []);
    await update(one.key, { requires: [{ flagKey: two.key }] });
    await releases.setPolicy('staging', THREE_STAGES);
    await update(one.key, { requires: [] });
    const answer = await releases.flags.ask(
      releases.flags.writer,
      'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }',
      { key: two.key, input: { requires: [{ flagKey: one.key }] } },
    );
    expect(refusal(answer)).toEqual({ code: 'BAD_USER_INPUT', field: 'input.requires.0.flagKey' });
  });
});

test('releases of an unknown flag are none, and a page is refused like others', async () => {
  expect(await listed('\0')).toEqual({ nodes: [], totalCount: 0 });
  expect(await listed('no_flag')).toEqual({ nodes: [], totalCount: 0 });
  const answer = await releases.flags.ask(releases.flags.writer, '{ releases(first: 101) { totalCount } }');
  expect(refusal(answer)).toEqual({ code: 'BAD_USER_INPUT', field: 'first' });
});
