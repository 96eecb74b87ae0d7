import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { eventually } from '../../../core/testing/eventually.ts';
import { refusal } from '../../shared/testing/asking.ts';
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

describe('steps', () => {
  test.each(['killed', 'disabled'])('wait while a flag that is required through another is %s', async (how) => {
    const { flags } = rollouts;
    const [base, between] = [await rollouts.target(), await rollouts.target()];
    const target = await rollouts.target();
    const require = (key: string, flagKey: string) =>
      flags.ok(`mutation { updateFlag(key: "${key}", input: { requires: [{ flagKey: "${flagKey}" }] }) { applied } }`);
    await require(between.key, base.key);
    await require(target.key, between.key);
    const { rollout } = await rollouts.scheduleHourly(target);
    const stop =
      how === 'killed'
        ? `killSwitch(flagKey: "${base.key}", reason: "Smoke in the cabin")`
        : `disableFlag(key: "${base.key}")`;
    await flags.ok(`mutation { ${stop} { applied } }`);
    expect(await rollouts.after(HOUR_MS)).toBe(0);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'PAUSED',
      pausedReason: `the required flag ${base.key} is ${how}`,
      currentPercentage: 5,
    });
    const [row] = (await rollouts.trail(target)).slice(-1);
    expect(row).toMatchObject({ action: 'PAUSE_ROLLOUT', afterValue: { rollout: rollout.id, automatic: true } });
  });

  test("are applied when they are due and not before, signed, each with its revision and an audit row in its author's name", async () => {
    const target = await rollouts.target();
    const { rollout } = await rollouts.scheduleHourly(target);
    const before = await rollouts.flags.revision();
    expect(await rollouts.after(HOUR_MS - 1)).toBe(0);
    expect(await rollouts.after(1)).toBe(1);
    const appliedAt = rollouts.at(0);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'RUNNING',
      currentPercentage: 10,
      nextStepAt: rollouts.at(HOUR_MS),
      steps: [
        { appliedAt, revision: before + 1 },
        { appliedAt: null, at: rollouts.at(HOUR_MS) },
        { appliedAt: null, at: rollouts.at(HOUR_MS + DAY) },
      ],
    });

    const flag = await rollouts.flags.prisma.flag.findUniqueOrThrow({ where: { key: target.key } });
    expect(decodeJwt(flag.signedDefinition ?? '')).toMatchObject({
      revision: before + 1,
      flag: { rules: [{ id: target.ruleId, conditions: { rollout_percentage: 10, regions: ['EU'] } }] },
    });
    const [row] = (await rollouts.trail(target)).slice(-1);
    expect(row).toMatchObject({
      action: 'UPDATE_RULE',
      userId: rollouts.flags.writer.userId,
      userAgent: 'FleetFlag rollout scheduler',
      beforeValue: { id: target.ruleId, conditions: { rollout_percentage: 5 } },
      afterValue: {
        conditions: { rollout_percentage: 10, regions: ['EU'] },
        rollout: { id: rollout.id, step: 1, of: 3 },
      },
    });

    expect([await rollouts.after(HOUR_MS), await rollouts.after(DAY), await rollouts.after(DAY)]).toEqual([1, 1, 0]);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'COMPLETED',
      currentPercentage: 100,
      nextStepAt: null,
      steps: [{ revision: before + 1 }, { revision: before + 2 }, { revision: before + 3 }],
    });
    expect(await rollouts.flags.revision()).toBe(before + 3);
    // Another rollout of the rule could follow, if there were anything left to raise.
    expect(refusal(await rollouts.ask(target, [{ percentage: 100, after: 'PT1H' }]))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'steps.0.percentage',
    });
  });

  test('are applied exactly once when several instances poll at once', async () => {
    const targets = await Promise.all(Array.from({ length: 4 }, () => rollouts.target()));
    for (const target of targets)
      await rollouts.schedule(target, [
        { percentage: 10, at: rollouts.at(HOUR_MS) },
        { percentage: 20, at: rollouts.at(2 * HOUR_MS) },
        { percentage: 30, at: rollouts.at(3 * HOUR_MS) },
      ]);
    const before = await rollouts.flags.revision();
    rollouts.clock.now += 3 * HOUR_MS;
    const instances = Array.from({ length: 4 }, () => rollouts.newScheduler());
    let applied = 0;
    // A flag that another instance has locked is left to the next poll, so more than one may be needed.
    while (applied < 12)
      for (const count of await Promise.all(instances.map((instance) => instance.runDue()))) applied += count;
    expect(applied).toBe(12);
    expect(await rollouts.flags.revision()).toBe(before + 12);
    for (const target of targets) {
      expect((await rollouts.actions(target)).filter((action) => action === 'UPDATE_RULE')).toHaveLength(3);
      expect(await rollouts.percentage(target)).toBe(30);
    }
    expect(await rollouts.after(DAY)).toBe(0);
  });

  test('with a delay are not applied early by an instance that read the list before another applied the previous step', async () => {
    const targets = await Promise.all(Array.from({ length: 10 }, () => rollouts.target()));
    for (const target of targets) await rollouts.scheduleHourly(target);
    rollouts.clock.now += HOUR_MS;
    // Both instances read the same list of due steps; when the second reaches an entry, the first may have applied it.
    const instances = Array.from({ length: 4 }, () => rollouts.newScheduler());
    let applied = 0;
    while (applied < 10)
      for (const count of await Promise.all(instances.map((instance) => instance.runDue()))) applied += count;
    expect(applied).toBe(10);
    for (const target of targets) expect(await rollouts.percentage(target)).toBe(10);
  });

  test('that fail anywhere in their transaction leave nothing behind, and the next instance applies them', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    rollouts.clock.now += HOUR_MS;
    const everything = async () => ({
      ...((await rollouts.flags.everything()) as object),
      steps: await rollouts.flags.prisma.rolloutStep.findMany({ orderBy: [{ rolloutId: 'asc' }, { position: 'asc' }] }),
    });
    const before = await everything();
    const dying = (at: 'before' | 'after') => {
      const transitions = Object.create(rollouts.transitions) as typeof rollouts.transitions;
      transitions.advance = async (...args) => {
        if (at === 'after') await rollouts.transitions.advance(...args);
        throw new Error('The power went');
      };
      return rollouts.newScheduler(transitions);
    };
    for (const at of ['before', 'after'] as const) {
      expect(await dying(at).runDue()).toBe(0);
      expect(await everything()).toEqual(before);
    }
    expect(await rollouts.newScheduler().runDue()).toBe(1);
    expect(await rollouts.percentage(target)).toBe(10);
  });

  test('that fail do not stop other rollouts', async () => {
    const [broken, sound] = [await rollouts.target(), await rollouts.target()];
    await rollouts.scheduleHourly(broken);
    rollouts.clock.now += 1;
    await rollouts.scheduleHourly(sound);
    const transitions = Object.create(rollouts.transitions) as typeof rollouts.transitions;
    transitions.advance = (tx, rollout, ...rest) => {
      if (rollout.ruleId === broken.ruleId) throw new Error('This one is broken');
      return rollouts.transitions.advance(tx, rollout, ...rest);
    };
    rollouts.clock.now += HOUR_MS;
    expect(await rollouts.newScheduler(transitions).runDue()).toBe(1);
    expect([await rollouts.percentage(broken), await rollouts.percentage(sound)]).toEqual([5, 10]);
    expect(await rollouts.scheduler.runDue()).toBe(1);
  });

  test('and a concurrent pause, kill switch or edit run one after another, whichever comes first', async () => {
    for (const [index, stop] of ['pause', 'kill', 'lower', 'pause', 'kill', 'lower'].entries()) {
      const target = await rollouts.target();
      const { id } = (await rollouts.scheduleHourly(target)).rollout;
      rollouts.clock.now += HOUR_MS;
      const stopping =
        stop === 'pause'
          ? rollouts.to('pause', id)
          : stop === 'kill'
            ? rollouts.change(`killSwitch(flagKey: "${target.key}", reason: "Brakes")`)
            : rollouts.setPercentage(target, 1);
      const [stopped, applied] = await Promise.all([stopping, rollouts.newScheduler().runDue()]);
      if ('errors' in stopped) expect(stopped.errors).toEqual([]);
      const { status, steps } = await rollouts.shown(target);
      expect([index, status, steps.filter((step) => step.appliedAt !== null).length]).toEqual([
        index,
        'PAUSED',
        applied,
      ]);
    }
  });

  test('of a flag that another transaction has locked are left to the next poll', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    rollouts.clock.now += HOUR_MS;
    await rollouts.flags.prisma.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT id FROM flags WHERE key = ${target.key} FOR UPDATE`;
      expect(await rollouts.newScheduler().runDue()).toBe(0);
    });
    expect(await rollouts.newScheduler().runDue()).toBe(1);
  });

  test('at fixed times that were missed are applied in order, each with its revision', async () => {
    const target = await rollouts.target();
    await rollouts.schedule(
      target,
      [1, 2, 3].map((hours) => ({ percentage: hours * 10, at: rollouts.at(hours * HOUR_MS) })),
    );
    const before = await rollouts.flags.revision();
    expect(await rollouts.after(2 * HOUR_MS)).toBe(2);
    expect(await rollouts.shown(target)).toMatchObject({
      currentPercentage: 20,
      steps: [{ revision: before + 1 }, { revision: before + 2 }, { revision: null, at: rollouts.at(HOUR_MS) }],
    });
    const raised = (await rollouts.trail(target))
      .filter((row) => row.action === 'UPDATE_RULE')
      .map((row) => row.afterValue);
    expect(raised).toMatchObject([
      { conditions: { rollout_percentage: 10 } },
      { conditions: { rollout_percentage: 20 } },
    ]);
  });

  test('with delays keep their distances, however long nothing ran', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    expect(await rollouts.after(30 * DAY)).toBe(1);
    expect(await rollouts.shown(target)).toMatchObject({
      currentPercentage: 10,
      nextStepAt: rollouts.at(HOUR_MS),
      steps: [{}, { at: rollouts.at(HOUR_MS) }, { at: rollouts.at(HOUR_MS + DAY) }],
    });
    expect([await rollouts.after(HOUR_MS - 1), await rollouts.after(1), await rollouts.after(DAY)]).toEqual([0, 1, 1]);
  });

  test('whose percentage was already set by hand are marked as applied, without a revision', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    await rollouts.setPercentage(target, 12.5);
    const before = await rollouts.flags.revision();
    expect(await rollouts.after(HOUR_MS)).toBe(1);
    expect(await rollouts.flags.revision()).toBe(before);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'RUNNING',
      currentPercentage: 12.5,
      steps: [{ appliedAt: rollouts.at(0), revision: null }, {}, {}],
    });
    expect(await rollouts.after(HOUR_MS)).toBe(1);
    expect(await rollouts.percentage(target)).toBe(25);
  });

  test("that became due while nothing ran are applied when a new instance starts, and later ones by that instance's own polls", async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    rollouts.clock.now += HOUR_MS;
    const restarted = rollouts.newScheduler();
    restarted.start();
    try {
      await eventually(async () => (await rollouts.percentage(target)) >= 10, 'the first step is applied');
      rollouts.clock.now += HOUR_MS;
      await eventually(async () => (await rollouts.percentage(target)) >= 25, 'the second step is applied');
    } finally {
      await restarted.close();
    }
    rollouts.clock.now += DAY;
    expect(await restarted.runDue()).toBe(0);
  });
});

describe('a change of the flag', () => {
  test.each<[string, (key: string, rule: string) => string, string, string | null]>([
    ['a kill switch pauses', (key) => `killSwitch(flagKey: "${key}", reason: "Brakes")`, 'PAUSED', 'kill switch'],
    [
      'a lowering by hand pauses',
      (_key, rule) => `updateRule(id: "${rule}", input: { conditions: { rollout_percentage: 7 } })`,
      'PAUSED',
      'lowered to 7 % by hand',
    ],
    ['disabling the flag pauses', (key) => `disableFlag(key: "${key}")`, 'PAUSED', 'flag disabled'],
    [
      'disabling the rule pauses',
      (_key, rule) => `updateRule(id: "${rule}", input: { enabled: false })`,
      'PAUSED',
      'rule disabled',
    ],
    [
      'another audience of its rule pauses',
      (_key, rule) =>
        `updateRule(id: "${rule}", input: { conditions: { rollout_percentage: 10, regions: ["NA"], models: ["EV9"] } })`,
      'PAUSED',
      "its rule's models, regions changed by hand",
    ],
    [
      'another value of its rule pauses',
      (_key, rule) => `updateRule(id: "${rule}", input: { value: false, variant: "off" })`,
      'PAUSED',
      "its rule's value, variant changed by hand",
    ],
    ['archiving the flag cancels', (key) => `archiveFlag(key: "${key}")`, 'CANCELLED', null],
    [
      'moving the flag cancels',
      (key) => `updateFlag(key: "${key}", input: { environment: PRODUCTION })`,
      'CANCELLED',
      null,
    ],
  ])('%s it, in the same transaction and with an audit row', async (_what, mutation, status, pausedReason) => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    await rollouts.after(HOUR_MS);
    await rollouts.change(mutation(target.key, target.ruleId));
    expect(await rollouts.shown(target)).toMatchObject({ status, pausedReason, nextStepAt: null });
    expect(await rollouts.after(30 * DAY)).toBe(0);
    expect((await rollouts.actions(target)).slice(-1)).toEqual([
      status === 'PAUSED' ? 'PAUSE_ROLLOUT' : 'CANCEL_ROLLOUT',
    ]);
  });

  test('to ASIL-D pauses it when that change is approved, and not before', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    await rollouts.after(HOUR_MS);
    const { changeRequest } = await rollouts.change(`updateFlag(key: "${target.key}", input: { safetyLevel: ASIL_D })`);
    expect((await rollouts.shown(target)).status).toBe('RUNNING');
    await rollouts.flags.approve(changeRequest?.id ?? '');
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'PAUSED',
      pausedReason: 'flag raised to ASIL-D: a second person must approve',
      nextStepAt: null,
    });
    expect(await rollouts.after(30 * DAY)).toBe(0);
    expect((await rollouts.actions(target)).slice(-1)).toEqual(['PAUSE_ROLLOUT']);
  });

  test('deleting the rule ends it', async () => {
    const target = await rollouts.target();
    const { id } = (await rollouts.scheduleHourly(target)).rollout;
    await rollouts.change(`deleteRule(id: "${target.ruleId}")`);
    const [row] = (await rollouts.trail(target)).slice(-1);
    expect(row).toMatchObject({ action: 'CANCEL_ROLLOUT', afterValue: { rollout: id, reason: 'rule deleted' } });
    expect(await rollouts.after(30 * DAY)).toBe(0);
    expect(refusal(await rollouts.to('pause', id))).toEqual({ code: 'NOT_FOUND', field: 'id' });
  });

  test('that does not concern it lets it run', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    await rollouts.change(`updateFlag(key: "${target.key}", input: { name: "Another" })`);
    await rollouts.setPercentage(target, 6);
    expect(await rollouts.after(HOUR_MS)).toBe(1);
    expect(await rollouts.percentage(target)).toBe(10);
  });

  test('by a kill switch prevents resuming until its release, and then only a person resumes it', async () => {
    const target = await rollouts.target();
    const { id } = (await rollouts.scheduleHourly(target)).rollout;
    await rollouts.change(`killSwitch(flagKey: "${target.key}", reason: "Brakes")`, rollouts.safety);
    expect(refusal(await rollouts.to('resume', id))).toEqual({ code: 'CONFLICT' });
    await rollouts.change(`releaseKillSwitch(flagKey: "${target.key}", reason: "Fixed")`);
    expect(await rollouts.after(HOUR_MS)).toBe(0);
    expect((await rollouts.to('resume', id)).data.rollout.status).toBe('RUNNING');
    expect(await rollouts.after(0)).toBe(1);
  });

  test('outside the service is noticed before the next step', async () => {
    const target = await rollouts.target();
    await rollouts.scheduleHourly(target);
    await rollouts.flags.prisma.flag.update({ where: { key: target.key }, data: { environment: 'production' } });
    expect(await rollouts.after(HOUR_MS)).toBe(0);
    expect(await rollouts.shown(target)).toMatchObject({ status: 'CANCELLED', currentPercentage: 5 });
    await rollouts.flags.prisma.flag.update({ where: { key: target.key }, data: { environment: 'staging' } });
  });
});
