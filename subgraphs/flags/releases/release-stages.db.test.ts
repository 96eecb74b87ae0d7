/** The stages of a release: how it moves on, is held, is halted and is promoted. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { refusal } from '../../shared/testing/asking.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';
import { releaseTestSteps } from '../testing/release-steps.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());
beforeEach(async () => {
  await releases.flags.prisma.vehicle.deleteMany();
  await releases.endAll();
  await releases.setPolicy('staging', THREE_STAGES);
});

const { released, update, releasing, listed, auditOf, soak, ringOf, served, addVehicles, halt, promote } =
  releaseTestSteps(() => releases);

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
    // A change that waits for the end of a drive is stored, and not active.
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
