/** Guards of rollouts: what may be one, and what is shown of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { refusal } from '../../shared/testing/asking.ts';
import { HOUR_MS, type RolloutsUnderTest, type Target } from '../testing/rollouts-under-test.ts';
import { GUARD, STEPS, guardedRolloutSteps, startGuardedRollouts } from '../testing/guarded-rollout-steps.ts';

let rollouts: RolloutsUnderTest;

beforeAll(async () => {
  rollouts = await startGuardedRollouts();
}, 60_000);

afterAll(async () => {
  await rollouts?.flags.remove();
});

beforeEach(() => rollouts.endAll());

const { shown, guarded, lastRows } = guardedRolloutSteps(() => rollouts);

describe('a guard', () => {
  test('is stored with its rollout, shown, and recorded in the audit log; a rollout without a guard has none', async () => {
    const { target } = await guarded();
    expect(await shown(target)).toMatchObject({
      guard: {
        ...GUARD,
        bound: null,
        confidenceLevel: 0.95,
        minimumVehicles: 50,
        silenceSeconds: 1_800,
        watchForSeconds: 86_400,
        initialPercentage: 5,
        watchedSince: rollouts.at(0),
      },
      guardStatus: null,
      watchedUntil: null,
      nextStepAt: rollouts.at(HOUR_MS),
    });
    const [row] = await lastRows(target, 1);
    expect(row).toMatchObject({
      action: 'SCHEDULE_ROLLOUT',
      afterValue: {
        guard: {
          metric: 'charge_minutes',
          worse: 'higher',
          maxWorsePercent: 5,
          minimumVehicles: 50,
          silenceSeconds: 1_800,
          watchForSeconds: 86_400,
        },
      },
    });
    const { target: bare } = await guarded(rollouts.target(), {
      metric: 'range_km',
      worse: 'LOWER',
      bound: 300,
      watchFor: 'PT1H',
    });
    expect((await shown(bare)).guard).toMatchObject({
      worse: 'LOWER',
      maxWorsePercent: null,
      bound: 300,
      watchForSeconds: 3_600,
    });
    const other = await rollouts.target();
    await rollouts.schedule(other, STEPS);
    expect(await shown(other)).toMatchObject({ guard: null, guardStatus: null });
  });

  test('is refused at the path of its fault, and on a rule whose vehicles could not be distinguished', async () => {
    const target = await rollouts.target();
    const ask = async (guard: object) => refusal(await rollouts.ask(target, STEPS, rollouts.flags.writer, { guard }));
    expect(await ask({ ...GUARD, bound: 3 })).toEqual({ code: 'BAD_USER_INPUT', field: 'guard' });
    expect(await ask({ ...GUARD, minimumVehicles: 1 })).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'guard.minimumVehicles',
    });
    const conflict = { code: 'CONFLICT', field: 'guard' };
    await rollouts.change(
      `createRule(flagKey: "${target.key}", input: { type: PERCENTAGE_ROLLOUT, priority: 7, conditions: { rollout_percentage: 1 } })`,
    );
    expect(await ask(GUARD)).toEqual(conflict);
    const picked = await rollouts.target();
    await rollouts.change(
      `createRule(flagKey: "${picked.key}", input: { type: VEHICLE_TARGET, conditions: { models: ["A"] }, variant: "treatment" })`,
    );
    expect(refusal(await rollouts.ask(picked, STEPS, rollouts.flags.writer, { guard: GUARD }))).toEqual(conflict);
    for (const edit of ['variant: "blue"', 'conditions: { rollout_percentage: 5, sticky: false }']) {
      const odd = await rollouts.target();
      await rollouts.change(`updateRule(id: "${odd.ruleId}", input: { ${edit} })`);
      expect(refusal(await rollouts.ask(odd, STEPS, rollouts.flags.writer, { guard: GUARD }))).toEqual(conflict);
    }
  });

  test('of a metric that nobody declared is refused on an ASIL flag, and a bound without the end that its test needs everywhere', async () => {
    const ask = async (target: Target, guard: object) =>
      refusal(await rollouts.ask(target, STEPS, rollouts.flags.writer, { guard }));
    const [asil, other] = [await rollouts.target(), await rollouts.target({ safetyLevel: 'NON_CRITICAL' })];
    const undeclared = { ...GUARD, metric: 'wear' };
    expect(await ask(asil, undeclared)).toEqual({ code: 'BAD_USER_INPUT', field: 'guard.metric' });
    expect(await ask(other, { metric: 'wear', worse: 'LOWER', bound: 3 })).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'guard.bound',
    });
    // What is below 0 would have to be left out, and the mean of the rest is higher.
    expect(await ask(other, { metric: 'cell_celsius', worse: 'HIGHER', bound: 3 })).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'guard.bound',
    });
    await rollouts.schedule(other, STEPS, undeclared);
    expect(await shown(other)).toMatchObject({ guard: { metric: 'wear' } });
  });

  test('of a metric that nobody declared stops when its flag becomes ASIL, until the metric is declared', async () => {
    const target = await rollouts.target({ safetyLevel: 'NON_CRITICAL' });
    const { id } = (await rollouts.schedule(target, STEPS, { ...GUARD, metric: 'tyre_noise' })).rollout;
    await rollouts.change(`updateFlag(key: "${target.key}", input: { safetyLevel: SAFETY_RELEVANT })`);
    expect(await rollouts.shown(target)).toMatchObject({ status: 'RUNNING' });
    await rollouts.change(`updateFlag(key: "${target.key}", input: { safetyLevel: ASIL_B })`);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'PAUSED',
      pausedReason: "flag raised to ASIL-B: the guard's metric tyre_noise must be declared first",
    });
    expect(refusal(await rollouts.to('resume', id))).toMatchObject({ code: 'CONFLICT' });
    await rollouts.flags.prisma.metricDefinition.create({ data: { key: 'tyre_noise', kind: 'mean' } });
    expect(refusal(await rollouts.to('resume', id))).toBeNull();
    expect(await rollouts.shown(target)).toMatchObject({ status: 'RUNNING' });
  });

  test('of an ASIL-D flag is reviewed with its rollout, and watches from the approval on', async () => {
    const target = await rollouts.asilD();
    const { changeRequest } = await rollouts.schedule(target, STEPS, GUARD);
    expect(changeRequest?.after).toMatchObject({ guard: { metric: 'charge_minutes', maxWorsePercent: 5 } });
    expect((await shown(target)).guard['watchedSince']).toBeNull();
    rollouts.clock.now += HOUR_MS;
    await rollouts.decide(`approveChangeRequest(id: "${changeRequest?.id}")`);
    expect((await shown(target)).guard['watchedSince']).toBe(rollouts.at(0));
  });
});
