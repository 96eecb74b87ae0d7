import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { GuardVerdict } from '../../../core/rollouts/rollout-guard.ts';
import { HOUR_MS, RolloutsUnderTest } from '../testing/rollouts-under-test.ts';
import { addPerson } from '../testing/flags-under-test.ts';
import { newWebhookSeed } from '../../../core/credentials/webhook-secret.ts';
import { WEBHOOK_KINDS, WEBHOOK_PAYLOADS, type WebhookKind } from '../../shared/webhooks/webhook-event.ts';

const FIGURES = {
  ...{ controlVehicles: 61, treatmentVehicles: 54, vehiclesInBothArms: 1, controlMean: 40, treatmentMean: 46 },
  ...{ worsePercent: 15, worsePercentAtLeast: 10, detectablePercent: 9.5, pValue: 0.0004, significance: 0.05 },
  outOfRange: { control: 2, treatment: 0 },
  neverReported: { control: 1, treatment: 0 },
  lastMeasurementAt: '2027-01-04T08:59:00.000Z',
};

let rollouts: RolloutsUnderTest;
const prisma = () => rollouts.flags.prisma;
const seen = new Set<string>();

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
  await prisma().metricDefinition.create({
    data: { key: 'charge_minutes', kind: 'mean', minimum: 0, maximum: 600 },
  });
}, 60_000);
beforeEach(async () => {
  await rollouts.endAll();
  await prisma().webhook.deleteMany();
  await webhook();
});
afterAll(() => rollouts.flags.remove());

const webhook = (data: object = {}) =>
  prisma().webhook.create({
    data: {
      ...{ name: 'W', url: 'https://receiver.invalid', kinds: [...WEBHOOK_KINDS], offlinePercent: 50 },
      ...{ secretSeed: newWebhookSeed(), ...data },
    },
  });

/** Takes the events that were written since the last call. Each has exactly the members of its kind. */
async function events(webhookId?: string): Promise<{ kind: string; payload: object }[]> {
  const rows = await prisma().webhookDelivery.findMany({
    where: webhookId === undefined ? {} : { webhookId },
    orderBy: { createdAt: 'asc' },
  });
  await prisma().webhookDelivery.deleteMany();
  for (const { kind, payload } of rows) {
    seen.add(kind);
    expect(Object.keys(payload as object).sort()).toEqual(Object.keys(WEBHOOK_PAYLOADS[kind as WebhookKind]).sort());
    for (const [name, type] of Object.entries(WEBHOOK_PAYLOADS[kind as WebhookKind])) {
      const value = (payload as Record<string, unknown>)[name];
      if (type === 'uuid') expect([name, value]).toEqual([name, expect.stringMatching(/^[0-9a-f-]{36}$/)]);
    }
  }
  return rows.map(({ kind, payload }) => ({ kind, payload: payload as object }));
}

/** Writes a guard's verdict, as the experiments subgraph would. */
async function judge(rolloutId: string, verdict: GuardVerdict): Promise<void> {
  const { watch } = await prisma().rolloutGuard.findUniqueOrThrow({ where: { rolloutId } });
  const computedAt = new Date(rollouts.clock.now);
  const columns = { watch, verdict, figures: FIGURES, computedAt };
  await prisma().rolloutVerdict.upsert({ where: { rolloutId }, create: { rolloutId, ...columns }, update: columns });
}

const flagOf = (key: string, safetyLevel = 'ASIL-D') => ({ flagKey: key, environment: 'staging', safetyLevel });

test('a change request is announced when it waits, and when it is approved, rejected or cancelled', async () => {
  const { flags } = rollouts;
  const requestedById = flags.writer.userId;
  const create = async () => {
    const key = flags.newKey();
    const { changeRequest } = await rollouts.change(
      `createFlag(input: { key: "${key}", name: "F", type: BOOLEAN, defaultValue: false, safetyLevel: ASIL_D, environment: STAGING })`,
    );
    const set = { flagKeys: [key], flagCount: 1, environments: ['staging'] };
    const about = { ...flagOf(key), ...set, changeRequestId: changeRequest?.id, action: 'CREATE_FLAG', requestedById };
    expect(await events()).toEqual([{ kind: 'change_request.waiting', payload: about }]);
    return { id: changeRequest?.id ?? '', about };
  };
  const approved = await create();
  await flags.approve(approved.id);
  const userId = flags.reviewer.userId;
  expect(await events()).toEqual([
    { kind: 'change_request.approved', payload: { ...approved.about, userId, comment: null } },
  ]);
  // Rejecting and cancelling end the draft, whose key is free again; the event has the key all the same.
  const rejected = await create();
  await rollouts.decide(`rejectChangeRequest(id: "${rejected.id}", comment: "Not now")`, flags.reviewer);
  expect(await events()).toEqual([
    { kind: 'change_request.rejected', payload: { ...rejected.about, userId, comment: 'Not now' } },
  ]);
  const cancelled = await create();
  await rollouts.decide(`cancelChangeRequest(id: "${cancelled.id}")`, flags.writer);
  expect(await events()).toEqual([
    { kind: 'change_request.cancelled', payload: { ...cancelled.about, userId: requestedById, comment: null } },
  ]);
});

test('a request of a set is announced with all of its flags, and to the webhooks of each of their environments', async () => {
  const { flags } = rollouts;
  const segment = flags.newKey();
  const save = (region: string) =>
    flags.ok<{ saveSegment: { changeRequest: { id: string } | null } }>(
      `mutation { saveSegment(key: "${segment}", name: "S", conditions: { regions: ["${region}"] }) { changeRequest { id } } }`,
    );
  await save('EU');
  const plain = await flags.create({ environment: 'DEVELOPMENT' });
  const safe = await flags.create({ safetyLevel: 'ASIL_D' });
  const rule = { type: 'VEHICLE_TARGET', conditions: { segment } };
  await flags.addRule(plain.key, rule);
  const { createRule } = await flags.ok<{ createRule: { changeRequest: { id: string } } }>(
    'mutation ($key: String!, $rule: RuleInput!) { createRule(flagKey: $key, input: $rule) { changeRequest { id } } }',
    { key: safe.key, rule },
  );
  await flags.approve(createRule.changeRequest.id);
  const [development, staging, production] = [
    await webhook({ environments: ['development'] }),
    await webhook({ environments: ['staging'] }),
    await webhook({ environments: ['production'] }),
  ];
  await events();
  const { saveSegment } = await save('KR');
  const rows = await prisma().webhookDelivery.findMany({ where: { kind: 'change_request.waiting' } });
  const receivers = rows.map(({ webhookId }) => webhookId);
  expect(receivers).toEqual(expect.arrayContaining([development.id, staging.id]));
  expect(receivers).not.toContain(production.id);
  for (const { payload } of await events())
    expect(payload).toEqual({
      ...{ flagKey: plain.key, environment: 'development', safetyLevel: 'ASIL-D' },
      ...{ flagKeys: [plain.key, safe.key], flagCount: 2, environments: ['development', 'staging'] },
      ...{ changeRequestId: saveSegment.changeRequest?.id, action: 'SAVE_SEGMENT' },
      requestedById: flags.writer.userId,
    });
  await prisma().webhook.deleteMany({ where: { id: { in: [development.id, staging.id, production.id] } } });
});

test('a kill switch is announced when it is pulled and when it is released, whichever mutation does it', async () => {
  const { flags } = rollouts;
  const { key } = await flags.create();
  const by = { ...flagOf(key, 'Non-Critical'), userId: flags.writer.userId, apiKeyId: null };
  await rollouts.change(`killSwitch(flagKey: "${key}", reason: "Smoke")`);
  expect(await events()).toEqual([{ kind: 'kill_switch.pulled', payload: { ...by, reason: 'Smoke' } }]);
  await rollouts.change(`releaseKillSwitch(flagKey: "${key}", reason: "Mended")`);
  expect(await events()).toMatchObject([{ kind: 'kill_switch.released', payload: by }]);
  await flags.addRule(key, { type: 'KILL_SWITCH', conditions: { force_disabled: true, reason: 'Fire' } });
  expect(await events()).toMatchObject([{ kind: 'kill_switch.pulled', payload: { reason: 'Fire' } }]);
});

test('a change that is refused announces nothing', async () => {
  const { key, revision } = await rollouts.flags.create();
  await expect(
    rollouts.change(`updateFlag(key: "${key}", input: { name: "B" }, expectedRevision: ${revision + 7})`),
  ).rejects.toThrow('CONFLICT');
  expect(await events()).toEqual([]);
});

test('only the webhooks that want the environment get an event of a flag', async () => {
  await prisma().webhook.deleteMany();
  const staging = await webhook({ environments: ['staging', 'development'] });
  await webhook({ environments: ['production'] });
  await webhook({ enabled: false });
  await webhook({ kinds: ['rollout.finished'] });
  await webhook({ deletedAt: new Date() });
  const { key } = await rollouts.flags.create();
  await rollouts.change(`killSwitch(flagKey: "${key}", reason: "Smoke")`);
  const written = await prisma().webhookDelivery.findMany();
  expect(written.map(({ webhookId }) => webhookId)).toEqual([staging.id]);
});

test('a rollout is announced when its last step is applied', async () => {
  const target = await rollouts.target();
  const { rollout } = await rollouts.schedule(target, [
    { percentage: 10, after: 'PT1H' },
    { percentage: 40, after: 'PT1H' },
  ]);
  await rollouts.after(HOUR_MS);
  expect(await events()).toEqual([]);
  await rollouts.after(HOUR_MS);
  const about = { ...flagOf(target.key, 'ASIL-B'), rolloutId: rollout.id, ruleId: target.ruleId };
  expect(await events()).toEqual([{ kind: 'rollout.finished', payload: { ...about, percentage: 40 } }]);
});

test('a guarded rollout is announced when it was watched for long enough, and when its guard halts it', async () => {
  const guard = { metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 5 };
  const start = async () => {
    const target = await rollouts.target();
    const { rollout } = await rollouts.schedule(target, [{ percentage: 10, after: 'PT1H' }], guard);
    rollouts.clock.now += HOUR_MS;
    await judge(rollout.id, 'holding');
    expect(await rollouts.after(0)).toBe(1);
    return { ...flagOf(target.key, 'ASIL-B'), rolloutId: rollout.id, ruleId: target.ruleId };
  };
  const ended = await start();
  expect(await events()).toEqual([]);
  rollouts.clock.now += 48 * HOUR_MS;
  await judge(ended.rolloutId, 'holding');
  await rollouts.after(0);
  expect(await events()).toEqual([{ kind: 'rollout.finished', payload: { ...ended, percentage: 10 } }]);

  const crossed = await start();
  await judge(crossed.rolloutId, 'crossed');
  await rollouts.after(0);
  const [halted, killed, ...others] = await events();
  expect(others).toEqual([]);
  expect(halted).toMatchObject({ kind: 'rollout.halted', payload: { ...crossed, outcome: 'pulled_back' } });
  expect(killed).toMatchObject({ kind: 'kill_switch.pulled', payload: { flagKey: crossed.flagKey } });
  const { reason } = halted?.payload as { reason: string };
  expect(reason).toContain('charge_minutes is 46 under treatment');

  const silent = await start();
  await judge(silent.rolloutId, 'silent');
  await rollouts.after(0);
  expect(await events()).toMatchObject([{ kind: 'rollout.halted', payload: { ...silent, outcome: 'paused' } }]);
  // A person's own pause is no halt.
  const paused = await start();
  await rollouts.to('pause', paused.rolloutId);
  expect(await events()).toEqual([]);
});

test('a rollout that something else stops is announced with the reason, and one that a person ends is not', async () => {
  const start = async () => {
    const target = await rollouts.target();
    const { rollout } = await rollouts.schedule(target, [{ percentage: 10, after: 'PT1H' }]);
    return { ...target, about: { rolloutId: rollout.id, ruleId: target.ruleId } };
  };
  const disabled = await start();
  await rollouts.change(`disableFlag(key: "${disabled.key}")`);
  const deleted = await start();
  await rollouts.change(`deleteRule(id: "${deleted.ruleId}")`);
  const orphaned = await start();
  const where = { id: rollouts.flags.writer.userId ?? '' };
  await rollouts.flags.prisma.user.update({ where, data: { isActive: false } });
  await rollouts.after(HOUR_MS);
  await rollouts.flags.prisma.user.update({ where, data: { isActive: true } });
  const cancelled = await start();
  await rollouts.to('cancel', cancelled.about.rolloutId);
  expect(await events()).toMatchObject([
    { kind: 'rollout.halted', payload: { ...disabled.about, outcome: 'paused', reason: 'flag disabled' } },
    { kind: 'rollout.halted', payload: { ...deleted.about, outcome: 'cancelled', reason: 'rule deleted' } },
    {
      kind: 'rollout.halted',
      payload: { ...orphaned.about, outcome: 'paused', reason: 'The user who scheduled it may no longer do this' },
    },
  ]);
});

test('a halted release is announced with its reason, and who halted it', async () => {
  const { flags } = rollouts;
  await prisma().releasePolicy.create({
    data: { environment: 'staging', stages: [{ percentage: 100, soakMs: 60_000, minimumVehicles: 0 }] },
  });
  const { key } = await flags.create({ enabled: true });
  await rollouts.change(`updateFlag(key: "${key}", input: { defaultValue: true })`);
  expect(await events()).toEqual([]);
  await rollouts.change(`haltRelease(flagKey: "${key}", reason: "Seats get hot")`);
  const releaseId = expect.any(String);
  const payload = { ...flagOf(key, 'Non-Critical'), userId: flags.writer.userId, apiKeyId: null, releaseId };
  expect(await events()).toEqual([{ kind: 'release.halted', payload: { ...payload, reason: 'Seats get hot' } }]);
  await prisma().releasePolicy.deleteMany();
});

test('a looser release policy that waits is announced to webhooks of its environment', async () => {
  const { flags } = rollouts;
  const admin = await addPerson(prisma(), 'ADMIN');
  await prisma().webhook.deleteMany();
  const here = await webhook({ environments: ['production'] });
  await webhook({ environments: ['staging'] });
  const set = (maximumFaultyVehicles: number) =>
    flags.ok<{ setReleasePolicy: { proposal: { id: string } | null } }>(
      `mutation { setReleasePolicy(input: { environment: PRODUCTION, maximumFaultyVehicles: ${maximumFaultyVehicles}
        stages: [{ percentage: 100, soak: "P1D" }] }) { proposal { id } } }`,
      {},
      admin,
    );
  await set(3);
  expect(await events()).toEqual([]);
  const { proposal } = (await set(4)).setReleasePolicy;
  const written = await prisma().webhookDelivery.findMany();
  expect(written.map(({ webhookId }) => webhookId)).toEqual([here.id]);
  expect(await events()).toEqual([
    {
      kind: 'release_policy.waiting',
      payload: {
        environment: 'production',
        proposalId: proposal?.id,
        proposedById: admin.userId,
        loosens: ['higher-fault-limit'],
      },
    },
  ]);
  await prisma().releasePolicy.deleteMany();
});

test('every kind of event about a flag or a policy was announced above', () => {
  const ofFlags = WEBHOOK_KINDS.filter((kind) => 'flagKey' in WEBHOOK_PAYLOADS[kind]);
  expect([...seen].sort()).toEqual([...ofFlags, 'release_policy.waiting'].sort());
});
