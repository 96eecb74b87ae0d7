import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ANONYMOUS, refusal, user } from '../../shared/testing/asking.ts';
import { HOUR_MS, RolloutsUnderTest } from '../testing/rollouts-under-test.ts';

let rollouts: RolloutsUnderTest;

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
}, 60_000);

afterAll(async () => {
  await rollouts?.flags.remove();
});

beforeEach(() => rollouts.endAll());

const DAY = 24 * HOUR_MS;

describe('scheduling', () => {
  const FIRST = { percentage: 10, after: 'PT1H' };
  test.each<[string, unknown, { code: string; field?: string }]>([
    ['no steps', [], { code: 'BAD_USER_INPUT', field: 'steps' }],
    [
      '51 steps',
      Array.from({ length: 51 }, (_, index) => ({ percentage: 6 + index, after: 'PT1S' })),
      { code: 'LIMIT_EXCEEDED', field: 'steps' },
    ],
    ['a step at no time', [{ percentage: 10 }], { code: 'BAD_USER_INPUT', field: 'steps.0' }],
    [
      'a step at two times',
      [FIRST, { percentage: 20, after: 'PT1H', at: '2027-02-01T00:00:00Z' }],
      { code: 'BAD_USER_INPUT', field: 'steps.1' },
    ],
    [
      'the present percentage',
      [{ percentage: 5, after: 'PT1H' }],
      { code: 'BAD_USER_INPUT', field: 'steps.0.percentage' },
    ],
    [
      'a lower percentage',
      [FIRST, { percentage: 9, after: 'PT1H' }],
      { code: 'BAD_USER_INPUT', field: 'steps.1.percentage' },
    ],
    [
      'more than 100 %',
      [FIRST, { percentage: 101, after: 'PT1H' }],
      { code: 'BAD_USER_INPUT', field: 'steps.1.percentage' },
    ],
    [
      'a time that has passed',
      [{ percentage: 10, at: '2027-01-01T00:00:00Z' }],
      { code: 'BAD_USER_INPUT', field: 'steps.0.at' },
    ],
    [
      'a time before the step before',
      [
        { percentage: 10, at: '2027-02-02T00:00:00Z' },
        { percentage: 20, at: '2027-02-01T00:00:00Z' },
      ],
      { code: 'BAD_USER_INPUT', field: 'steps.1.at' },
    ],
    [
      'a time more than a year ahead',
      [{ percentage: 10, at: '2028-02-01T00:00:00Z' }],
      { code: 'BAD_USER_INPUT', field: 'steps.0.at' },
    ],
    [
      'a text that is not a duration',
      [{ percentage: 10, after: 'an hour' }],
      { code: 'BAD_USER_INPUT', field: 'steps.0.after' },
    ],
  ])('refuses %s at its path, and leaves nothing behind', async (_what, steps, expected) => {
    const target = await rollouts.target();
    expect(refusal(await rollouts.ask(target, steps))).toEqual(expected);
    expect(await rollouts.flags.prisma.rollout.count({ where: { ruleId: target.ruleId } })).toBe(0);
    expect(await rollouts.actions(target)).toEqual(['CREATE_FLAG', 'CREATE_RULE']);
  });

  test('refuses unknown rules, other types of rules, a changed flag, a killed one and a second rollout', async () => {
    const target = await rollouts.target();
    const other = await rollouts.target();
    const steps = [FIRST];
    const { rules } = await rollouts.flags.addRule(target.key, {
      type: 'VEHICLE_TARGET',
      conditions: { models: ['Ioniq 6'] },
    });
    const wrong = rules.find((rule) => rule.type === 'VEHICLE_TARGET')?.id ?? '';
    for (const key of ['no_such_flag', 'a\0b'])
      expect(refusal(await rollouts.ask({ ...target, key }, steps))).toEqual({ code: 'NOT_FOUND', field: 'flagKey' });
    for (const ruleId of [other.ruleId, 'x'])
      expect(refusal(await rollouts.ask({ ...target, ruleId }, steps))).toEqual({ code: 'NOT_FOUND', field: 'ruleId' });
    expect(refusal(await rollouts.ask({ ...target, ruleId: wrong }, steps))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'ruleId',
    });

    const { revision } = await rollouts.flags.prisma.flag.findUniqueOrThrow({ where: { key: target.key } });
    const stale = await rollouts.ask(target, steps, undefined, { expected: Number(revision) - 1 });
    expect(stale.errors[0]?.extensions).toMatchObject({ code: 'CONFLICT', currentRevision: Number(revision) });
    expect((await rollouts.ask(target, steps, undefined, { expected: Number(revision) })).errors).toEqual([]);
    expect(refusal(await rollouts.ask(target, steps))).toEqual({ code: 'CONFLICT' });

    await rollouts.change(`killSwitch(flagKey: "${other.key}", reason: "Stop")`);
    expect(refusal(await rollouts.ask(other, steps))).toEqual({ code: 'CONFLICT' });
    await rollouts.change(`archiveFlag(key: "${other.key}")`);
    expect(refusal(await rollouts.ask(other, steps))).toEqual({ code: 'CONFLICT' });
  });

  test('of two requests at once succeeds once, and the database would refuse a second rollout, too', async () => {
    const target = await rollouts.target();
    const answers = await Promise.all([rollouts.ask(target, [FIRST]), rollouts.ask(target, [FIRST])]);
    expect(answers.map((answer) => refusal(answer)?.code).sort()).toEqual(['CONFLICT', undefined]);
    const row = await rollouts.flags.prisma.rollout.findFirstOrThrow({ where: { ruleId: target.ruleId } });
    const { id: _id, ...columns } = row;
    await expect(rollouts.flags.prisma.rollout.create({ data: columns })).rejects.toMatchObject({ code: 'P2002' });
  });

  test('is for people who may write; SAFETY may also pause and cancel', async () => {
    const target = await rollouts.target();
    const { id } = (await rollouts.scheduleHourly(target)).rollout;
    const reader = user('READ', rollouts.flags.writer.userId);
    expect(refusal(await rollouts.ask(target, [FIRST], ANONYMOUS))).toEqual({ code: 'UNAUTHENTICATED' });
    for (const caller of [
      reader,
      rollouts.safety,
      { kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: null } as const,
    ]) {
      expect(refusal(await rollouts.ask(target, [FIRST], caller))).toEqual({ code: 'FORBIDDEN' });
      expect(refusal(await rollouts.to('resume', id, '', caller))).toEqual({ code: 'FORBIDDEN' });
    }
    expect(refusal(await rollouts.to('pause', id, '', reader))).toEqual({ code: 'FORBIDDEN' });
    expect((await rollouts.to('pause', id, '', rollouts.safety)).data.rollout.status).toBe('PAUSED');
    expect((await rollouts.to('cancel', id, '', rollouts.safety)).data.rollout.status).toBe('CANCELLED');
  });

  test('shows the rollout at its rule, to people and not to vehicles', async () => {
    const target = await rollouts.target();
    const { applied, changeRequest, flag, rollout } = await rollouts.scheduleHourly(target);
    expect({ applied, changeRequest, key: flag.key }).toEqual({ applied: true, changeRequest: null, key: target.key });
    const step = (percentage: number, at: number) => ({
      percentage,
      at: rollouts.at(at),
      appliedAt: null,
      revision: null,
    });
    expect(await rollouts.shown(target)).toEqual({
      id: rollout.id,
      status: 'RUNNING',
      currentPercentage: 5,
      nextStepAt: rollouts.at(HOUR_MS),
      pausedReason: null,
      scheduledBy: { id: rollouts.flags.writer.userId },
      approvedBy: null,
      changeRequest: null,
      steps: [step(10, HOUR_MS), step(25, 2 * HOUR_MS), step(100, 2 * HOUR_MS + DAY)],
    });
    const asked = await rollouts.flags.ask(
      { kind: 'vehicle', vin: null, environment: 'staging' },
      'query ($key: String!) { _entities(representations: [{ __typename: "Flag", key: $key }]) { ... on Flag { rules { rollout { id } } } } }',
      { key: target.key },
    );
    expect(refusal(asked)).toEqual({ code: 'FORBIDDEN' });
    const [row] = (await rollouts.trail(target)).slice(-1);
    expect(row).toMatchObject({
      action: 'SCHEDULE_ROLLOUT',
      userId: rollouts.flags.writer.userId,
      afterValue: { rollout: rollout.id, rule: target.ruleId, from: 5 },
    });
  });
});

describe('people', () => {
  test('pause; when they resume, missed steps are due at once, and later ones keep their distances', async () => {
    const target = await rollouts.target();
    const { id } = (
      await rollouts.schedule(
        target,
        [1, 2, 3].map((hours) => ({ percentage: hours * 10, at: rollouts.at(hours * HOUR_MS) })),
      )
    ).rollout;
    expect(await rollouts.after(HOUR_MS)).toBe(1);
    expect((await rollouts.to('pause', id, ', reason: "Complaints"')).data.rollout).toMatchObject({
      status: 'PAUSED',
      pausedReason: 'Complaints',
      nextStepAt: null,
    });
    expect((await rollouts.to('pause', id, ', reason: "Again"')).data.rollout.pausedReason).toBe('Complaints');
    expect(await rollouts.after(DAY)).toBe(0);
    expect((await rollouts.to('resume', id)).data.rollout).toMatchObject({
      status: 'RUNNING',
      pausedReason: null,
      nextStepAt: rollouts.at(0),
      steps: [{}, { at: rollouts.at(0) }, { at: rollouts.at(HOUR_MS) }],
    });
    expect([await rollouts.after(0), await rollouts.after(HOUR_MS - 1), await rollouts.after(1)]).toEqual([1, 0, 1]);
    expect(await rollouts.actions(target)).toEqual([
      'CREATE_FLAG',
      'CREATE_RULE',
      'SCHEDULE_ROLLOUT',
      'UPDATE_RULE',
      'PAUSE_ROLLOUT',
      'RESUME_ROLLOUT',
      'UPDATE_RULE',
      'UPDATE_RULE',
    ]);
    for (const what of ['pause', 'resume', 'cancel'] as const)
      expect(refusal(await rollouts.to(what, id))).toEqual({ code: 'CONFLICT' });
  });

  test('cancel; the percentage stays, and a new rollout may follow, which is then shown', async () => {
    const target = await rollouts.target();
    const { id } = (await rollouts.scheduleHourly(target)).rollout;
    await rollouts.after(HOUR_MS);
    expect((await rollouts.to('cancel', id, ', reason: "Not now"')).data.rollout).toMatchObject({
      status: 'CANCELLED',
      currentPercentage: 10,
      nextStepAt: null,
    });
    expect(await rollouts.after(30 * DAY)).toBe(0);
    expect(await rollouts.shown(target)).toMatchObject({ id, status: 'CANCELLED' });
    for (const what of ['pause', 'resume'] as const)
      expect(refusal(await rollouts.to(what, id))).toEqual({ code: 'CONFLICT' });
    expect((await rollouts.to('cancel', id)).errors).toEqual([]);
    const { rollout } = await rollouts.schedule(target, [{ percentage: 50, after: 'PT1H' }]);
    expect(await rollouts.shown(target)).toMatchObject({ id: rollout.id, status: 'RUNNING' });
    expect(
      (await rollouts.trail(target)).filter((row) => row.action === 'CANCEL_ROLLOUT').map((row) => row.afterValue),
    ).toEqual([{ rollout: id, rule: target.ruleId, reason: 'Not now' }]);
  });

  test('get an error for an unknown rollout, and for a reason that cannot be stored', async () => {
    for (const id of ['x', '00000000-0000-4000-8000-000000000000']) {
      for (const what of ['pause', 'resume', 'cancel'] as const)
        expect(refusal(await rollouts.to(what, id))).toEqual({ code: 'NOT_FOUND', field: 'id' });
    }
    expect(refusal(await rollouts.to('pause', 'x', `, reason: "${'a'.repeat(1_001)}"`))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'reason',
    });
    expect(refusal(await rollouts.to('cancel', 'x', ', reason: "a\\u0000b"'))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'reason',
    });
  });
});
