/** Releases: the changes that become one, the vehicles that they reach, and the changes that go on beside them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { refusal } from '../../shared/testing/asking.ts';
import { advanceRevision } from '../signing/advance-revision.ts';
import { definitionIn } from '../signing/signing.ts';
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

const { released, update, releasing, listed, auditOf, soak, ringOf, served, halt } = releaseTestSteps(() => releases);

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
