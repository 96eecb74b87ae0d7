/** Guards of releases: what follows the verdicts on them, and those that are added to one release. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/access/caller.ts';
import { newWebhookSeed } from '../../../core/credentials/webhook-secret.ts';
import type { ReleaseGuard } from '../../../core/releases/release-guard.ts';
import type { CanaryGroup } from '../../../core/releases/release-policy.ts';
import type { GuardFigures } from '../../../core/rollouts/rollout-guard.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { addPerson } from '../testing/flags-under-test.ts';
import { ReleasesUnderTest } from '../testing/releases-under-test.ts';

let releases: ReleasesUnderTest;
let prisma: PrismaClient;
let admin: Caller & { kind: 'user'; userId: string };

beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
  ({ prisma } = releases.flags);
  admin = await addPerson(prisma, 'ADMIN');
  await prisma.metricDefinition.createMany({
    data: [
      { key: 'charge_minutes', kind: 'mean', minimum: 0, maximum: 60 },
      { key: 'range_km', kind: 'mean', minimum: 0 },
      { key: 'drift', kind: 'mean' },
    ],
  });
});
afterAll(() => releases.flags.remove());
beforeEach(async () => {
  await prisma.releasePolicy.deleteMany();
  await releases.endAll();
});

const GUARD = { metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 5, action: 'HALT' };

const FIGURES: GuardFigures = {
  ...{ controlVehicles: 80, treatmentVehicles: 50, vehiclesInBothArms: 0, controlMean: 20, treatmentMean: 25.5 },
  ...{ worsePercent: 27.5, worsePercentAtLeast: 10, detectablePercent: 8, pValue: 0.01, significance: 0.05 },
  outOfRange: { control: 0, treatment: 0 },
  neverReported: { control: 0, treatment: 0 },
  lastMeasurementAt: null,
};

const POLICY_GUARD: ReleaseGuard = {
  ...{ metric: 'charge_minutes', worse: 'higher', maxWorsePercent: 5, bound: null, confidenceLevel: 0.95 },
  ...{ minimumVehicles: 50, silence: 1_800_000, action: 'halt' },
};
const CHANGE =
  'mutation ($key: String!, $value: JSON!) { updateFlag(key: $key, input: { defaultValue: $value }) { applied } }';

/** Gives a flag with a release at its first stage, whose soak is over. */
async function under(
  guards: readonly Partial<ReleaseGuard>[],
  { percentage = 10, canary = null }: { percentage?: number; canary?: CanaryGroup | null } = {},
): Promise<{ readonly key: string; readonly id: string }> {
  const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'old', enabled: true });
  const stages = [percentage, 100].map((share) => ({ percentage: share, soakMs: 60_000, minimumVehicles: 0 }));
  await releases.setPolicy('staging', percentage === 100 ? stages.slice(1) : stages, canary);
  await prisma.releasePolicy.update({
    where: { environment: 'staging' },
    data: { guards: guards.map((guard) => ({ ...POLICY_GUARD, ...guard })) },
  });
  await releases.flags.ok(CHANGE, { key, value: 'new' });
  releases.clock.now += 60_001;
  const release = await releases.release(key);
  if (release === null) throw new Error('No release is under way');
  return { key, id: release.id };
}

/** Stores a verdict as the experiments subgraph does: by default a fresh one on the present stage. */
async function found(
  { key, id }: { key: string; id: string },
  verdict: string,
  over: { watch?: number; guard?: number; secondsAgo?: number; figures?: Partial<GuardFigures> } = {},
): Promise<void> {
  const { watch = (await releases.release(key))?.revision ?? 0, guard = 0, secondsAgo = 1 } = over;
  const data = {
    ...{ watch: BigInt(watch), verdict, computedAt: new Date(releases.clock.now - secondsAgo * 1000) },
    figures: { ...FIGURES, ...over.figures } as object,
  };
  await prisma.releaseVerdict.upsert({
    where: { releaseId_guard: { releaseId: id, guard } },
    create: { releaseId: id, guard, ...data },
    update: data,
  });
}

const shown = async (key: string) => {
  const { status, percentage, reason } = (await releases.release(key)) ?? {};
  return { status, percentage, reason };
};

describe('a release whose guard is crossed', () => {
  const CROSSED =
    'The guard of charge_minutes is crossed: 25.5 in 50 vehicles with the new content, 20 in 80 of the others, where 5% worse is the limit';

  test('is halted where the guard halts, once, with the figures in the audit log and to webhooks', async () => {
    const release = await under([{}]);
    await prisma.webhook.create({
      data: { name: 'W', url: 'https://receiver.invalid', kinds: ['release.halted'], secretSeed: newWebhookSeed() },
    });
    await found(release, 'crossed');
    const jobs = [releases.newHealthJob(), releases.newHealthJob(), releases.newHealthJob()];
    const halted = await Promise.all(jobs.map((job) => job.run()));
    expect(halted.reduce((sum, count) => sum + count)).toBe(1);
    expect(await releases.release(release.key)).toBeNull();
    expect((await releases.stored(release.key)).defaultValue).toBe('old');
    const { status, reason } = await prisma.release.findUniqueOrThrow({ where: { id: release.id } });
    expect({ status, reason }).toEqual({ status: 'halted', reason: CROSSED });
    const announced = await prisma.webhookDelivery.findMany();
    expect(announced.map(({ payload }) => payload)).toMatchObject([{ releaseId: release.id, reason, userId: null }]);
    const [row] = await prisma.auditLog.findMany({ where: { action: 'HALT_RELEASE' }, orderBy: { createdAt: 'desc' } });
    expect(row!.afterValue).toMatchObject({
      release: release.id,
      reason,
      guard: { metric: 'charge_minutes', maxWorsePercent: 5, action: 'halt' },
      figures: { treatmentMean: 25.5, controlMean: 20, pValue: 0.01 },
    });
    expect(await releases.newHealthJob().run()).toBe(0);
  });

  test('is halted though the stage has changed since, and though another guard holds', async () => {
    const release = await under([{ action: 'hold' }, {}]);
    await found(release, 'crossed', { guard: 0 });
    expect(await releases.newHealthJob().run()).toBe(0);
    await found(release, 'crossed', { guard: 1, watch: 1 });
    expect(await releases.newHealthJob().run()).toBe(1);
  });

  test('holds where the guard holds, also at a later stage, until a person decides', async () => {
    const release = await under([{ action: 'hold' }]);
    await found(release, 'crossed');
    expect(await releases.newHealthJob().run()).toBe(0);
    expect(await releases.job.runDue()).toBe(0);
    expect(await shown(release.key)).toEqual({ status: 'holding', percentage: 10, reason: CROSSED });
    await releases.service.promote(releases.writer, release.key, 50, 'Charging is fine');
    releases.clock.now += 60_001;
    expect(await releases.job.runDue()).toBe(0);
    expect(await shown(release.key)).toEqual({ status: 'holding', percentage: 50, reason: CROSSED });
  });

  test('does not become the stable content at 100 % by another change', async () => {
    const release = await under([{ action: 'hold' }], { percentage: 100 });
    await found(release, 'crossed');
    await releases.flags.ok(CHANGE, { key: release.key, value: 'newer' });
    expect((await releases.stored(release.key)).release?.stable.defaultValue).toBe('old');
  });

  test('says so in the API, with the numbers', async () => {
    const release = await under([{ action: 'hold', maxWorsePercent: null, bound: 22 }, { action: 'hold' }]);
    await found(release, 'crossed');
    await releases.job.runDue();
    const { flag } = await releases.flags.ok<{ flag: { release: object } }>(
      `query ($key: String!) { flag(key: $key) { release { reason guards {
        guard { metric bound action } status { verdict treatmentMean treatmentVehicles outOfRange { control } computedAt } } } } }`,
      { key: release.key },
    );
    expect(flag.release).toEqual({
      reason: 'The guard of charge_minutes is crossed: 25.5 in 50 vehicles with the new content, where 22 is the bound',
      guards: [
        {
          guard: { metric: 'charge_minutes', bound: 22, action: 'HOLD' },
          status: {
            ...{ verdict: 'CROSSED', treatmentMean: 25.5, treatmentVehicles: 50, outOfRange: { control: 0 } },
            computedAt: expect.any(String),
          },
        },
        { guard: { metric: 'charge_minutes', bound: null, action: 'HOLD' }, status: null },
      ],
    });
  });
});

describe('a release whose guard is not crossed', () => {
  const waits =
    'The guard of charge_minutes counts 12 vehicles with the new content and 40 of the others, and needs 50';

  test.each<[string, string, Parameters<typeof found>[2], string]>([
    ['an old verdict', 'holding', { secondsAgo: 61 }, 'The guard of charge_minutes has no fresh verdict'],
    ['a verdict on another stage', 'holding', { watch: 1 }, 'The guard of charge_minutes has no fresh verdict'],
    ['silence', 'silent', {}, 'No vehicle with the new content measures charge_minutes'],
    ['too few vehicles', 'waiting', { figures: { treatmentVehicles: 12, controlVehicles: 40 } }, waits],
  ])('holds at %s, and goes on once the guard has a fresh verdict', async (_, verdict, over, reason) => {
    const release = await under([{}]);
    await found(release, verdict, over);
    expect(await releases.job.runDue()).toBe(0);
    expect(await shown(release.key)).toEqual({ status: 'holding', percentage: 10, reason });
    await found(release, 'holding');
    releases.clock.now += 5_001;
    expect(await releases.job.runDue()).toBe(1);
    expect(await shown(release.key)).toEqual({ status: 'running', percentage: 100, reason: null });
  });

  test('holds without any verdict, of the second guard as well', async () => {
    const release = await under([{}, { metric: 'range_km' }]);
    await found(release, 'holding');
    expect(await releases.job.runDue()).toBe(0);
    expect((await shown(release.key)).reason).toBe('The guard of range_km has no fresh verdict');
  });

  test('needs its verdict at 100 % and in a stage of the canary group, but nobody to compare with', async () => {
    const nobody = { figures: { treatmentVehicles: 0, controlVehicles: 0 } };
    const canary = { vins: [], models: ['EV9'], regions: [] };
    for (const [percentage, next] of [
      [0, 100],
      [100, undefined],
    ] as const) {
      const release = await under([{}], { percentage, canary });
      expect(await releases.job.runDue()).toBe(0);
      expect((await shown(release.key)).status).toBe('holding');
      await found(release, 'waiting', nobody);
      releases.clock.now += 5_001;
      expect(await releases.job.runDue()).toBe(1);
      expect((await shown(release.key)).percentage).toBe(next);
    }
  });

  test('waits at 100 % for the vehicles of a bound, which needs no others', async () => {
    const release = await under([{ maxWorsePercent: null, bound: 30 }], { percentage: 100 });
    await found(release, 'waiting', { figures: { treatmentVehicles: 12, controlVehicles: 40 } });
    expect(await releases.job.runDue()).toBe(0);
    expect((await shown(release.key)).reason).toBe(waits);
  });

  test('keeps the guards with which it began', async () => {
    const release = await under([{}]);
    await releases.setPolicy('staging', []);
    expect((await releases.release(release.key))?.guards).toEqual([POLICY_GUARD]);
  });
});

describe('guards that are added to a release', () => {
  const ADD = `mutation ($key: String!, $guards: [ReleaseGuardInput!]!, $reason: String!) {
    addReleaseGuards(flagKey: $key, guards: $guards, reason: $reason) { id guards { guard { metric action } reason status { verdict } } } }`;
  const REASON = 'Two complaints about the range';
  const RANGE = { metric: 'range_km', worse: 'LOWER', maxWorsePercent: 3, action: 'HALT' };
  const add = (key: string, guards: readonly object[], reason = REASON, caller: Caller = admin) =>
    releases.flags.ask<{ addReleaseGuards: { id: string; guards: object[] } }>(caller, ADD, { key, guards, reason });
  const codeOf = async (asked: ReturnType<typeof add>) =>
    (await asked).errors.map(({ extensions }) => [extensions?.['code'], extensions?.['field']]);

  test('stand beside those of the policy, with the reason, in the audit log, and without a new revision', async () => {
    const release = await under([{ action: 'hold' }]);
    const { revision } = await releases.stored(release.key);
    await found(release, 'holding');
    const { data, errors } = await add(release.key, [RANGE, { ...GUARD, maxWorsePercent: 2 }]);
    expect(errors).toEqual([]);
    expect(data.addReleaseGuards).toEqual({
      id: release.id,
      guards: [
        { guard: { metric: 'charge_minutes', action: 'HOLD' }, reason: null, status: { verdict: 'HOLDING' } },
        { guard: { metric: 'range_km', action: 'HALT' }, reason: REASON, status: null },
        { guard: { metric: 'charge_minutes', action: 'HALT' }, reason: REASON, status: null },
      ],
    });
    expect((await releases.stored(release.key)).revision).toBe(revision);
    const row = await prisma.auditLog.findFirstOrThrow({ orderBy: { chainPosition: 'desc' } });
    expect(row).toMatchObject({
      ...{ action: 'ADD_RELEASE_GUARDS', userId: admin.userId },
      beforeValue: { release: release.id, guards: [{ metric: 'charge_minutes', action: 'hold' }] },
      afterValue: {
        ...{ release: release.id, reason: REASON },
        guards: [
          { action: 'hold' },
          { metric: 'range_km', maxWorsePercent: 3 },
          { maxWorsePercent: 2, action: 'halt' },
        ],
      },
    });
  });

  test('let no stage begin without a verdict of their own, and halt the release where they are crossed', async () => {
    const release = await under([]);
    await add(release.key, [RANGE]);
    expect(await releases.job.runDue()).toBe(0);
    expect((await shown(release.key)).reason).toBe('The guard of range_km has no fresh verdict');
    await found(release, 'crossed');
    expect(await releases.newHealthJob().run()).toBe(1);
    expect((await releases.stored(release.key)).defaultValue).toBe('old');
  });

  test('stay with a release that takes its place, beside the guards of the policy by then', async () => {
    const release = await under([{}]);
    await add(release.key, [RANGE]);
    await prisma.releasePolicy.update({
      where: { environment: 'staging' },
      data: { guards: [{ ...POLICY_GUARD, action: 'hold' }] },
    });
    await releases.flags.ok(CHANGE, { key: release.key, value: 'newer' });
    const after = await releases.release(release.key);
    expect(after?.id).not.toBe(release.id);
    expect(after?.guards).toMatchObject([{ action: 'hold' }, { metric: 'range_km', reason: REASON }]);
  });

  test('end with a release whose content has become the stable one, or was halted', async () => {
    const everywhere = await under([], { percentage: 100 });
    await add(everywhere.key, [RANGE]);
    await releases.flags.ok(CHANGE, { key: everywhere.key, value: 'newer' });
    expect((await releases.stored(everywhere.key)).release?.stable.defaultValue).toBe('new');
    expect((await releases.release(everywhere.key))?.guards).toEqual([]);
    const halted = await under([]);
    await add(halted.key, [RANGE]);
    await releases.service.halt(releases.writer, halted.key, 'It is worse');
    await releases.flags.ok(CHANGE, { key: halted.key, value: 'newer' });
    expect((await releases.release(halted.key))?.guards).toEqual([]);
  });

  test.each<[string, object[], string, string]>([
    ['none', [], 'BAD_USER_INPUT', 'guards'],
    [
      'a metric that nobody has declared',
      [RANGE, { ...GUARD, metric: 'unheard' }],
      'BAD_USER_INPUT',
      'guards.1.metric',
    ],
    [
      'a bound that no test could find crossed',
      [{ ...GUARD, metric: 'drift', maxWorsePercent: null, bound: 5 }],
      'BAD_USER_INPUT',
      'guards.0.bound',
    ],
    ['a guard that the policy has', [GUARD], 'BAD_USER_INPUT', 'guards.0'],
    ['six', Array.from({ length: 6 }, (_, index) => ({ ...GUARD, metric: `m${index}` })), 'LIMIT_EXCEEDED', 'guards'],
  ])('are not %s', async (_, guards, code, field) => {
    const release = await under([{}]);
    expect(await codeOf(add(release.key, guards))).toEqual([[code, field]]);
    expect((await releases.release(release.key))?.guards).toHaveLength(1);
  });

  test('need a reason, a release under way, and somebody who may halt it', async () => {
    const { key } = await under([]);
    expect(await codeOf(add(key, [RANGE], ' '))).toEqual([['BAD_USER_INPUT', 'reason']]);
    expect(await codeOf(add('nobody_has_it', [RANGE]))).toEqual([['NOT_FOUND', 'flagKey']]);
    expect(await codeOf(add(key, [RANGE], REASON, await addPerson(prisma, 'SAFETY')))).toEqual([]);
    await releases.service.halt(releases.writer, key, 'It is worse');
    expect(await codeOf(add(key, [RANGE]))).toEqual([['CONFLICT', undefined]]);
  });
});
