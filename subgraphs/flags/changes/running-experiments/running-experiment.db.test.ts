import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { refusal } from '../../../shared/testing/asking.ts';
import { HOUR_MS, RolloutsUnderTest, type Target } from '../../testing/rollouts-under-test.ts';

const REFUSED = { code: 'CONFLICT', field: 'force' };
const CONFLICT = { code: 'CONFLICT' };

let rollouts: RolloutsUnderTest;
let target: Target;
let experimentId: string;

async function startExperiment({ flagId }: Target): Promise<string> {
  const data = {
    flagId,
    name: 'Faster charging',
    status: 'running',
    startDate: new Date(),
    sampleSize: 100,
    primaryMetric: 'minutes',
    treatmentShare: 0.05,
  };
  return (await rollouts.flags.prisma.experiment.create({ data })).id;
}

const ask = (mutation: string) =>
  rollouts.flags.ask(rollouts.flags.writer, `mutation { ${mutation} { applied changeRequest { id force } } }`);
const noted = async (id = experimentId) =>
  (
    await rollouts.flags.prisma.experimentDisturbance.findMany({
      where: { experimentId: id },
      orderBy: { createdAt: 'asc' },
    })
  ).map(({ action, userId }) => [action, userId]);
const to = (percentage: number) => `conditions: { rollout_percentage: ${percentage}, regions: ["EU"] }`;

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
});

beforeEach(async () => {
  target = await rollouts.target();
  experimentId = await startExperiment(target);
});

afterAll(() => rollouts.flags.remove());

describe('a change that moves vehicles between the arms of a running experiment', () => {
  const CHANGES: [string, (target: Target) => string, string][] = [
    ['another percentage', ({ ruleId }) => `updateRule(id: "${ruleId}", input: { ${to(50)} }`, 'UPDATE_RULE'],
    [
      'another audience',
      ({ ruleId }) => `updateRule(id: "${ruleId}", input: { conditions: { rollout_percentage: 5 } }`,
      'UPDATE_RULE',
    ],
    ['another value', ({ ruleId }) => `updateRule(id: "${ruleId}", input: { value: false }`, 'UPDATE_RULE'],
    ['another priority', ({ ruleId }) => `updateRule(id: "${ruleId}", input: { priority: 7 }`, 'UPDATE_RULE'],
    ['the rule disabled', ({ ruleId }) => `updateRule(id: "${ruleId}", input: { enabled: false }`, 'UPDATE_RULE'],
    ['the rule deleted', ({ ruleId }) => `deleteRule(id: "${ruleId}"`, 'DELETE_RULE'],
    [
      'a rollout before it',
      ({ key }) => `createRule(flagKey: "${key}", input: { type: PERCENTAGE_ROLLOUT, priority: 500, ${to(1)} }`,
      'CREATE_RULE',
    ],
    [
      'a rule that picks vehicles for the treatment',
      ({ key }) =>
        `createRule(flagKey: "${key}", input: { type: VEHICLE_TARGET, conditions: { regions: ["KR"] }, variant: "treatment" }`,
      'CREATE_RULE',
    ],
    [
      'a rule that picks vehicles for control',
      ({ key }) =>
        `createRule(flagKey: "${key}", input: { type: VEHICLE_WHITELIST, conditions: { vins: ["KMHK281HGNU000001"] }, variant: "control" }`,
      'CREATE_RULE',
    ],
    [
      'another environment',
      ({ key }) => `updateFlag(key: "${key}", input: { environment: DEVELOPMENT }`,
      'UPDATE_FLAG',
    ],
    ['another scope', ({ key }) => `updateFlag(key: "${key}", input: { scope: ["EV9"] }`, 'UPDATE_FLAG'],
    ['the flag archived', ({ key }) => `archiveFlag(key: "${key}"`, 'ARCHIVE_FLAG'],
  ];

  test.each(CHANGES)('is refused and leaves nothing behind: %s', async (_, change) => {
    const before = await rollouts.flags.everything();
    for (const force of ['', ', force: false', ', force: null']) {
      const answer = await ask(`${change(target)}${force})`);
      expect(refusal(answer)).toEqual(REFUSED);
      expect(answer.errors[0]?.message).toContain('"Faster charging"');
    }
    expect(await rollouts.flags.everything()).toEqual(before);
    expect(await noted()).toEqual([]);
  });

  test.each(CHANGES)('is made and recorded with its author when it is forced: %s', async (_, change, action) => {
    const { errors, data } = await ask(`change: ${change(target)}, force: true)`);
    expect(errors).toEqual([]);
    expect(data).toMatchObject({ change: { applied: true } });
    expect(await noted()).toEqual([[action, rollouts.flags.writer.userId]]);
  });

  test.each(CHANGES)(
    'is refused, forced or not, where it would reach its arms stage by stage: %s',
    async (_, change) => {
      const { prisma } = rollouts.flags;
      const stages = [1, 100].map((percentage) => ({ percentage, soakMs: HOUR_MS, minimumVehicles: 0 }));
      const policy = { environment: 'staging', safetyLevels: ['ASIL-B'], stages };
      await prisma.releasePolicy.create({ data: policy });
      try {
        const before = await rollouts.flags.everything();
        expect(refusal(await ask(`change: ${change(target)}, force: true)`))).toMatchObject(CONFLICT);
        expect(await rollouts.flags.everything()).toEqual(before);
        expect((await ask(`killSwitch(flagKey: "${target.key}", reason: "smoke")`)).errors).toEqual([]);
        await prisma.experiment.update({ where: { id: experimentId }, data: { status: 'cancelled' } });
      } finally {
        await prisma.releasePolicy.deleteMany();
      }
    },
  );

  test('is none where a release brings the arms another default value', async () => {
    const { prisma } = rollouts.flags;
    const stages = [1, 100].map((percentage) => ({ percentage, soakMs: HOUR_MS, minimumVehicles: 0 }));
    await prisma.releasePolicy.create({ data: { environment: 'staging', safetyLevels: ['ASIL-B'], stages } });
    const { errors } = await ask(`updateFlag(key: "${target.key}", input: { defaultValue: true })`);
    await prisma.releasePolicy.deleteMany();
    expect(errors).toEqual([]);
    expect(await prisma.release.count({ where: { flagId: target.flagId, endedAt: null } })).toBe(1);
    expect(await noted()).toEqual([]);
  });

  test.each(CHANGES)('needs no force once the experiment has ended: %s', async (_, change) => {
    await rollouts.flags.prisma.experiment.update({ where: { id: experimentId }, data: { status: 'cancelled' } });
    expect((await ask(`${change(target)})`)).errors).toEqual([]);
    expect(await noted()).toEqual([]);
  });

  test('is not recorded when it fails for another reason', async () => {
    expect(
      refusal(await ask(`updateRule(id: "${target.ruleId}", input: { ${to(50)} }, expectedRevision: 1, force: true)`)),
    ).toEqual(CONFLICT);
    expect(await noted()).toEqual([]);
  });
});

test.each<[string, (target: Target) => string]>([
  ['a new name', ({ key }) => `updateFlag(key: "${key}", input: { name: "Other" })`],
  ['the percentage that it has', ({ ruleId }) => `updateRule(id: "${ruleId}", input: { ${to(5)} })`],
  [
    'a rollout that is not enabled',
    ({ key }) =>
      `createRule(flagKey: "${key}", input: { type: PERCENTAGE_ROLLOUT, priority: 500, enabled: false, ${to(1)} })`,
  ],
  [
    'a rule of another type',
    ({ key }) => `createRule(flagKey: "${key}", input: { type: VEHICLE_TARGET, conditions: { regions: ["KR"] } })`,
  ],
])('a change that leaves the arms as they are needs no force: %s', async (_, change) => {
  expect((await ask(change(target))).errors).toEqual([]);
  expect(await noted()).toEqual([]);
});

test('pulling and releasing the kill switch, disabling and enabling are never refused, and recorded', async () => {
  for (const change of [
    `killSwitch(flagKey: "${target.key}", reason: "Smoke")`,
    `releaseKillSwitch(flagKey: "${target.key}", reason: "Fixed")`,
    `disableFlag(key: "${target.key}")`,
    `enableFlag(key: "${target.key}")`,
  ]) {
    expect((await ask(change)).errors).toEqual([]);
  }
  expect((await noted()).map(([action]) => action)).toEqual([
    'KILL_SWITCH',
    'RELEASE_KILL_SWITCH',
    'DISABLE_FLAG',
    'ENABLE_FLAG',
  ]);
});

describe("of an ASIL-D flag's", () => {
  let critical: Target;
  let id: string;
  const change = (more: string) => ask(`change: updateRule(id: "${critical.ruleId}", input: { ${to(50)} }${more})`);
  const approve = (request: string) => rollouts.decide(`approveChangeRequest(id: "${request}")`);
  const requested = async (more: string) =>
    ((await change(more)).data as { change: { changeRequest: { id: string; force: boolean } } }).change.changeRequest;

  beforeEach(async () => {
    critical = await rollouts.asilD();
    id = await startExperiment(critical);
  });

  test('running experiment, a change is refused before it waits for approval', async () => {
    expect(refusal(await change(''))).toEqual(REFUSED);
    expect(
      await rollouts.flags.prisma.changeRequest.count({ where: { flagId: critical.flagId, status: 'pending' } }),
    ).toBe(0);
  });

  test('running experiment, a forced change is shown as forced, and recorded when it is approved', async () => {
    const request = await requested(', force: true');
    expect(request.force).toBe(true);
    expect(await noted(id)).toEqual([]);
    expect((await approve(request.id)).errors).toEqual([]);
    expect(await noted(id)).toEqual([['UPDATE_RULE', rollouts.flags.writer.userId]]);
  });

  test('experiment that was started while an unforced change waited, that change cannot be approved', async () => {
    await rollouts.flags.prisma.experiment.update({ where: { id }, data: { status: 'draft' } });
    const request = await requested('');
    expect(request.force).toBe(false);
    await rollouts.flags.prisma.experiment.update({ where: { id }, data: { status: 'running' } });
    expect(refusal(await approve(request.id))).toEqual({ ...REFUSED, field: 'id' });
    expect(await rollouts.percentage(critical)).toBe(5);
    expect(await noted(id)).toEqual([]);
  });
});

describe('rollouts and a running experiment', () => {
  test('a rollout cannot be scheduled', async () => {
    expect(refusal(await rollouts.ask(target, [{ percentage: 10, after: 'PT1H' }]))).toEqual(CONFLICT);
  });

  test('a scheduled rollout pauses at its next step, and can be resumed once the experiment has ended', async () => {
    const scheduled = await rollouts.target();
    const { rollout } = await rollouts.scheduleHourly(scheduled);
    const running = await startExperiment(scheduled);
    expect(await rollouts.after(HOUR_MS)).toBe(0);
    expect(await rollouts.shown(scheduled)).toMatchObject({
      status: 'PAUSED',
      pausedReason: 'experiment "Faster charging" is running',
    });
    expect(await rollouts.percentage(scheduled)).toBe(5);
    expect(await rollouts.actions(scheduled)).toContain('PAUSE_ROLLOUT');
    expect(refusal(await rollouts.to('resume', rollout.id))).toEqual(CONFLICT);
    await rollouts.flags.prisma.experiment.update({ where: { id: running }, data: { status: 'cancelled' } });
    expect((await rollouts.to('resume', rollout.id)).errors).toEqual([]);
    expect(await rollouts.after(0)).toBe(1);
    expect(await rollouts.percentage(scheduled)).toBe(10);
    expect(await noted(running)).toEqual([]);
  });
});
