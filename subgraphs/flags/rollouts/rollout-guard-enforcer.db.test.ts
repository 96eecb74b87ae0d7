/** The effects of verdicts: steps that wait, rollouts that are pulled back, and rollouts that pause. */
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { refusal, silent } from '../../shared/testing/asking.ts';
import { createFlagChanges } from '../changes/change.ts';
import { RolloutGuardEnforcer } from './rollout-guard-enforcer.ts';
import { VERDICT_TTL_MS } from './rollout-guard.ts';
import { dueRollouts } from './rollout.ts';
import { HOUR_MS, type RolloutsUnderTest, type Target } from '../testing/rollouts-under-test.ts';
import { GUARD, STEPS, FIGURES, guardedRolloutSteps, startGuardedRollouts } from '../testing/guarded-rollout-steps.ts';

const REASON =
  'Rollout guard: charge_minutes is 46 under treatment (54 vehicles) and 40 under control (61 vehicles): worse by 15 %, where 5 % is the limit.';

let rollouts: RolloutsUnderTest;

beforeAll(async () => {
  rollouts = await startGuardedRollouts();
}, 60_000);

afterAll(async () => {
  await rollouts?.flags.remove();
});

beforeEach(() => rollouts.endAll());

const { shown, guarded, judge, flagOf, signedBound, lastRows } = guardedRolloutSteps(() => rollouts);

describe('a guarded step', () => {
  test('waits for a verdict that the limit is kept: on the current percentage, and from the last minute', async () => {
    const { target, id } = await guarded();
    expect(await rollouts.after(HOUR_MS)).toBe(0);
    for (const [verdict, more] of [
      ['waiting', {}],
      ['holding', { watch: 0 }],
      ['holding', { age: VERDICT_TTL_MS + 1 }],
    ] as const) {
      await judge(id, verdict, more);
      expect([verdict, more, await rollouts.after(0)]).toEqual([verdict, more, 0]);
    }
    expect(await shown(target)).toMatchObject({ status: 'RUNNING', guardStatus: { verdict: 'HOLDING' } });
    await judge(id, 'holding', { age: VERDICT_TTL_MS });
    expect([await rollouts.after(0), await rollouts.percentage(target)]).toEqual([1, 10]);
    // The next step needs a new verdict: this one concerned 5 %.
    expect(await shown(target)).toMatchObject({
      guard: { watchedSince: rollouts.at(0) },
      guardStatus: null,
      nextStepAt: rollouts.at(HOUR_MS),
    });
    rollouts.clock.now += HOUR_MS;
    await judge(id, 'holding', { watch: 1 });
    expect(await rollouts.after(0)).toBe(0);
    await judge(id, 'holding');
    expect([await rollouts.after(0), await rollouts.percentage(target)]).toEqual([1, 25]);
  });

  test('from 0 % needs no verdict: no vehicle has the feature yet', async () => {
    const made = rollouts.target();
    await rollouts.setPercentage(await made, 0);
    const { target } = await guarded(made);
    expect([await rollouts.after(HOUR_MS), await rollouts.percentage(target)]).toEqual([1, 10]);
    expect(await rollouts.after(HOUR_MS)).toBe(0);
  });

  test('that waits does not stop other rollouts', async () => {
    const waiting = await Promise.all(Array.from({ length: 3 }, () => guarded()));
    const sound = await rollouts.target();
    const { rollout } = await rollouts.scheduleHourly(sound);
    rollouts.clock.now += HOUR_MS;
    // However many wait, they take no places in the list of due rollouts.
    expect(await dueRollouts(rollouts.flags.prisma, new Date(rollouts.clock.now))).toEqual([
      { id: rollout.id, flagId: sound.flagId },
    ]);
    expect(await rollouts.after(0)).toBe(1);
    expect(await rollouts.percentage(sound)).toBe(10);
    for (const { target } of waiting) expect(await rollouts.percentage(target)).toBe(5);
  });

  test('that is the last is watched, too: the rollout completes only after that watch', async () => {
    const { target, id } = await guarded(rollouts.target(), { ...GUARD, watchFor: 'PT2H' }, [
      { percentage: 100, after: 'PT1H' },
    ]);
    rollouts.clock.now += HOUR_MS;
    await judge(id, 'holding');
    expect(await rollouts.after(0)).toBe(1);
    expect(await shown(target)).toMatchObject({
      status: 'RUNNING',
      nextStepAt: null,
      watchedUntil: rollouts.at(2 * HOUR_MS),
    });
    await judge(id, 'holding');
    await rollouts.after(2 * HOUR_MS - 1);
    expect((await shown(target)).status).toBe('RUNNING');
    // There is no verdict on the end of it.
    await rollouts.after(1);
    expect((await shown(target)).status).toBe('RUNNING');
    // At 100 % there is no control to compare with.
    await judge(id, 'waiting');
    await rollouts.after(0);
    expect(await shown(target)).toMatchObject({ status: 'COMPLETED', watchedUntil: null });
    expect(await rollouts.percentage(target)).toBe(100);
  });

  test('that is the last can be paused and resumed during its watch, which then starts again', async () => {
    const { target, id } = await guarded(rollouts.target(), { ...GUARD, watchFor: 'PT2H' }, [
      { percentage: 100, after: 'PT1H' },
    ]);
    rollouts.clock.now += HOUR_MS;
    await judge(id, 'holding');
    await rollouts.after(0);
    await rollouts.to('pause', id);
    expect(await shown(target)).toMatchObject({ status: 'PAUSED', watchedUntil: null });
    rollouts.clock.now += HOUR_MS;
    await rollouts.to('resume', id);
    expect(await shown(target)).toMatchObject({
      status: 'RUNNING',
      watchedUntil: rollouts.at(2 * HOUR_MS),
      guard: { watchedSince: rollouts.at(0) },
    });
  });
});

describe('a crossed limit', () => {
  const reached = async (made?: Promise<Target>) => {
    const it = await guarded(made);
    rollouts.clock.now += HOUR_MS;
    await judge(it.id, 'holding');
    expect(await rollouts.after(0)).toBe(1);
    return it;
  };

  test('pulls the rollout back and kills the flag, as one revision, with the figures in the audit log', async () => {
    const { target, id } = await reached();
    const before = await rollouts.flags.revision();
    await judge(id, 'crossed');
    await rollouts.after(0);
    expect(await rollouts.flags.revision()).toBe(before + 1);
    expect(await signedBound(target)).toBe(before + 1);
    expect(await flagOf(target)).toMatchObject({
      killed: true,
      rules: [
        { type: 'KILL_SWITCH', conditions: { force_disabled: true, reason: REASON } },
        { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5, regions: ['EU'] } },
      ],
    });
    expect(await shown(target)).toMatchObject({
      status: 'PULLED_BACK',
      nextStepAt: null,
      watchedUntil: null,
      guardStatus: {
        verdict: 'CROSSED',
        treatmentVehicles: 54,
        controlMean: 40,
        worsePercentInterval: null,
        worsePercentAtLeast: 10,
        outOfRange: { control: 2, treatment: 0 },
        pValue: 0.0004,
        significance: 0.05,
        lastMeasurementAt: '2027-01-04T08:59:00.000Z',
        computedAt: rollouts.at(0),
      },
    });
    const by = { userId: rollouts.flags.writer.userId, userAgent: 'FleetFlag rollout guard' };
    expect(await lastRows(target, 3)).toMatchObject([
      { action: 'UPDATE_RULE' },
      {
        ...by,
        action: 'GUARD_ROLLOUT',
        beforeValue: { conditions: { rollout_percentage: 10 } },
        afterValue: {
          conditions: { rollout_percentage: 5 },
          rollout: id,
          rule: target.ruleId,
          guard: { metric: 'charge_minutes', maxWorsePercent: 5 },
          verdict: 'crossed',
          figures: FIGURES,
          computedAt: rollouts.at(0),
          reason: REASON,
        },
      },
      {
        ...by,
        action: 'KILL_SWITCH',
        beforeValue: { killSwitches: [] },
        afterValue: { killSwitches: [{ enabled: true }], reason: REASON },
      },
    ]);
    // The decision is final: nothing is done or undone later.
    await rollouts.after(24 * HOUR_MS);
    expect(await rollouts.flags.revision()).toBe(before + 1);
    for (const what of ['resume', 'pause', 'cancel'] as const)
      expect(refusal(await rollouts.to(what, id))?.code).toBe('CONFLICT');
    await rollouts.change(`releaseKillSwitch(flagKey: "${target.key}", reason: "Fixed")`);
    expect((await rollouts.schedule(target, STEPS, GUARD)).rollout.status).toBe('RUNNING');
  });

  test('needs no second person on an ASIL-D flag', async () => {
    const { target, id } = await reached(rollouts.asilD());
    await judge(id, 'crossed');
    await rollouts.after(0);
    expect(await flagOf(target)).toMatchObject({ killed: true });
    expect([(await shown(target)).status, await rollouts.percentage(target)]).toEqual(['PULLED_BACK', 5]);
    expect((await rollouts.actions(target)).slice(-2)).toEqual(['GUARD_ROLLOUT', 'KILL_SWITCH']);
  });

  test('also pulls back a paused rollout, and one whose flag was already killed, whose reason stays', async () => {
    const [paused, killed] = [await reached(), await reached()];
    await rollouts.to('pause', paused.id);
    await rollouts.change(`killSwitch(flagKey: "${killed.target.key}", reason: "Brakes")`);
    for (const { id } of [paused, killed]) await judge(id, 'crossed');
    await rollouts.after(0);
    for (const { target } of [paused, killed]) {
      expect([(await shown(target)).status, await rollouts.percentage(target), (await flagOf(target)).killed]).toEqual([
        'PULLED_BACK',
        5,
        true,
      ]);
      const { revision } = await rollouts.flags.prisma.flag.findUniqueOrThrow({ where: { id: target.flagId } });
      expect(await signedBound(target)).toBe(Number(revision));
    }
    expect((await flagOf(killed.target)).rules[0]?.conditions).toEqual({ force_disabled: true, reason: 'Brakes' });
    expect((await rollouts.actions(killed.target)).slice(-2)).toEqual(['PAUSE_ROLLOUT', 'GUARD_ROLLOUT']);
  });

  test('never raises a percentage that a user has lowered below the start', async () => {
    const { target, id } = await reached();
    await rollouts.setPercentage(target, 1);
    await judge(id, 'crossed');
    await rollouts.after(0);
    expect([(await shown(target)).status, await rollouts.percentage(target)]).toEqual(['PULLED_BACK', 1]);
  });

  test('is not stopped by a running experiment, which records it', async () => {
    const { target, id } = await reached();
    const { prisma, writer } = rollouts.flags;
    const experiment = await prisma.experiment.create({
      data: {
        flagId: target.flagId,
        name: 'E',
        status: 'running',
        startDate: new Date(),
        sampleSize: 100,
        primaryMetric: 'm',
        treatmentShare: 0.1,
      },
    });
    await judge(id, 'crossed');
    await rollouts.after(0);
    expect((await shown(target)).status).toBe('PULLED_BACK');
    expect(await prisma.experimentDisturbance.findMany({ where: { experimentId: experiment.id } })).toMatchObject([
      { action: 'GUARD_ROLLOUT', userId: writer.userId },
    ]);
  });

  test("pauses the flag's other rollouts, as a kill switch does", async () => {
    const { target, id } = await reached();
    const { rules } = await rollouts.flags.addRule(target.key, {
      type: 'PERCENTAGE_ROLLOUT',
      priority: 3,
      conditions: { rollout_percentage: 0 },
    });
    const other = {
      ...target,
      ruleId: rules.find((rule) => rule.type === 'PERCENTAGE_ROLLOUT' && rule.id !== target.ruleId)?.id ?? '',
    };
    await rollouts.schedule(other, STEPS);
    await judge(id, 'crossed');
    await rollouts.after(0);
    expect(await rollouts.shown(other)).toMatchObject({ status: 'PAUSED', pausedReason: 'kill switch' });
  });

  test('of an earlier watch has no effect', async () => {
    const { target, id } = await reached();
    await judge(id, 'crossed', { watch: 1 });
    await rollouts.after(0);
    expect((await shown(target)).status).toBe('RUNNING');
  });

  test('is acted on once when several instances poll at once, and by the next instance when one dies on the way', async () => {
    const all = [await reached(), await reached(), await reached()];
    const before = await rollouts.flags.revision();
    for (const { id } of all) await judge(id, 'crossed');
    const dying = Object.create(rollouts.transitions) as typeof rollouts.transitions;
    dying.stop = async (...args) => {
      await rollouts.transitions.stop(...args);
      throw new Error('The power went');
    };
    await rollouts.newScheduler(dying).runDue();
    expect(await rollouts.flags.revision()).toBe(before);
    for (const { target } of all) expect((await shown(target)).status).toBe('RUNNING');

    const instances = Array.from({ length: 4 }, () => rollouts.newScheduler());
    while ((await rollouts.flags.revision()) < before + all.length)
      await Promise.all(instances.map((instance) => instance.runDue()));
    await Promise.all(instances.map((instance) => instance.runDue()));
    expect(await rollouts.flags.revision()).toBe(before + all.length);
    for (const { target } of all) {
      expect((await shown(target)).status).toBe('PULLED_BACK');
      expect(
        (await rollouts.actions(target)).filter((action) => action === 'GUARD_ROLLOUT' || action === 'KILL_SWITCH'),
      ).toHaveLength(2);
    }
  });
});

describe('a metric that has stopped arriving', () => {
  test('is announced as an entry of the audit log, and as no kill', async () => {
    const { id } = await guarded();
    await judge(id, 'silent');
    const { prisma, signer, bus } = rollouts.flags;
    const changes = createFlagChanges(prisma, signer, bus, silent, rollouts.transitions);
    const announce = jest.spyOn(changes, 'announce');
    const enforcer = new RolloutGuardEnforcer(prisma, changes, rollouts.transitions, silent);
    expect([await enforcer.enforce(), announce.mock.calls]).toEqual([1, [[[]]]]);
  });

  test('pauses the rollout once, with the figures; after a person resumes it, the guard starts its watch again', async () => {
    const { target, id } = await guarded();
    await judge(id, 'silent', { figures: { ...FIGURES, treatmentVehicles: 0 } });
    await rollouts.after(HOUR_MS);
    const reason = 'no measurement of charge_minutes under treatment for 30 minutes';
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'PAUSED',
      pausedReason: reason,
      currentPercentage: 5,
    });
    expect(await lastRows(target, 1)).toMatchObject([
      {
        action: 'PAUSE_ROLLOUT',
        userAgent: 'FleetFlag rollout guard',
        afterValue: { rollout: id, reason, verdict: 'silent', figures: { treatmentVehicles: 0 } },
      },
    ]);
    await rollouts.after(HOUR_MS);
    expect((await rollouts.actions(target)).filter((action) => action === 'PAUSE_ROLLOUT')).toHaveLength(1);
    expect((await flagOf(target)).killed).toBe(false);

    await rollouts.to('resume', id);
    expect(await rollouts.after(0)).toBe(0);
    expect(await shown(target)).toMatchObject({
      status: 'RUNNING',
      guard: { watchedSince: rollouts.at(0) },
      guardStatus: null,
    });
    await judge(id, 'holding');
    expect([await rollouts.after(0), await rollouts.percentage(target)]).toEqual([1, 10]);
  });
});
