import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
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

const approve = (request: string | undefined) =>
  rollouts.decide(`approveChangeRequest(id: "${request}", comment: "Reviewed")`);
const running = async () => {
  const target = await rollouts.asilD();
  const { rollout, changeRequest } = await rollouts.scheduleHourly(target);
  expect((await approve(changeRequest?.id)).errors).toEqual([]);
  return { target, id: rollout.id };
};

describe('the rollout of an ASIL-D flag', () => {
  test('waits for a second person, whose approval starts it; its steps need no further approval, and name both people', async () => {
    const target = await rollouts.asilD();
    const { rollout, applied, changeRequest } = await rollouts.scheduleHourly(target);
    expect({ applied, changeRequest }).toMatchObject({
      applied: false,
      changeRequest: {
        status: 'PENDING',
        action: 'SCHEDULE_ROLLOUT',
        after: { from: 5, steps: [{ percentage: 10, afterSeconds: 3_600 }, { percentage: 25 }, { percentage: 100 }] },
      },
    });
    expect(rollout).toMatchObject({
      status: 'WAITING_FOR_APPROVAL',
      nextStepAt: null,
      changeRequest: { id: changeRequest?.id },
    });
    expect(await rollouts.after(5 * HOUR_MS)).toBe(0);
    expect(refusal(await rollouts.to('pause', rollout.id))?.code).toBe('CONFLICT');
    expect(
      refusal(await rollouts.decide(`approveChangeRequest(id: "${changeRequest?.id}")`, rollouts.flags.writer)),
    ).toEqual({ code: 'FORBIDDEN' });

    const before = await rollouts.flags.revision();
    expect((await approve(changeRequest?.id)).data).toMatchObject({ approveChangeRequest: { status: 'APPROVED' } });
    expect(await rollouts.flags.revision()).toBe(before);
    // Delays count from the start, which is the approval.
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'RUNNING',
      approvedBy: { id: rollouts.safety.userId },
      nextStepAt: rollouts.at(HOUR_MS),
      steps: [{ at: rollouts.at(HOUR_MS) }, { at: rollouts.at(2 * HOUR_MS) }, {}],
    });
    expect(await rollouts.after(HOUR_MS)).toBe(1);
    expect(await rollouts.percentage(target)).toBe(10);

    const people = { requestedBy: rollouts.flags.writer.userId, approvedBy: rollouts.safety.userId };
    const trail = (await rollouts.trail(target)).slice(-4);
    expect(trail.map((row) => [row.action, row.userId])).toEqual([
      ['REQUEST_CHANGE', rollouts.flags.writer.userId],
      ['APPROVE_CHANGE', rollouts.safety.userId],
      ['SCHEDULE_ROLLOUT', rollouts.flags.writer.userId],
      ['UPDATE_RULE', rollouts.flags.writer.userId],
    ]);
    expect(trail[2]?.afterValue).toMatchObject({
      rollout: rollout.id,
      changeRequest: { id: changeRequest?.id, ...people },
    });
    expect(trail[3]?.afterValue).toMatchObject({
      rollout: { id: rollout.id, step: 1, of: 3, approvedBy: people.approvedBy },
    });
  });

  test.each(['reject', 'cancel'] as const)('ends when its request is %sed', async (what) => {
    const target = await rollouts.asilD();
    const { changeRequest } = await rollouts.scheduleHourly(target);
    const decision =
      what === 'reject'
        ? rollouts.decide(`rejectChangeRequest(id: "${changeRequest?.id}", comment: "Too fast")`)
        : rollouts.decide(`cancelChangeRequest(id: "${changeRequest?.id}")`, rollouts.flags.writer);
    expect((await decision).errors).toEqual([]);
    expect(await rollouts.shown(target)).toMatchObject({ status: 'CANCELLED', approvedBy: null });
    expect((await rollouts.scheduleHourly(target)).rollout.status).toBe('WAITING_FOR_APPROVAL');
  });

  test('cancels its request when it is cancelled, even by a user who may only stop rollouts', async () => {
    const target = await rollouts.asilD();
    const { rollout, changeRequest } = await rollouts.scheduleHourly(target);
    expect(
      (await rollouts.to('cancel', rollout.id, ', reason: "Wrong rule"', rollouts.safety)).data.rollout,
    ).toMatchObject({ status: 'CANCELLED', changeRequest: { status: 'CANCELLED' } });
    expect(refusal(await approve(changeRequest?.id))?.code).toBe('CONFLICT');
    expect((await rollouts.actions(target)).slice(-2)).toEqual(['CANCEL_CHANGE', 'CANCEL_ROLLOUT']);
  });

  test('ends cancelled when it is approved and cancelled at once, without a deadlock', async () => {
    for (let round = 0; round < 5; round++) {
      const target = await rollouts.asilD();
      const { rollout, changeRequest } = await rollouts.scheduleHourly(target);
      const [approved, cancelled] = await Promise.all([approve(changeRequest?.id), rollouts.to('cancel', rollout.id)]);
      expect([undefined, 'CONFLICT']).toContain(refusal(approved)?.code);
      expect(cancelled.errors).toEqual([]);
      expect((await rollouts.shown(target)).status).toBe('CANCELLED');
    }
  });

  test('cannot be approved once a fixed time has passed, or when delays would collapse into one step', async () => {
    const [passed, squeezed] = [await rollouts.asilD(), await rollouts.asilD()];
    const requests = [
      await rollouts.schedule(passed, [
        { percentage: 10, at: rollouts.at(HOUR_MS) },
        { percentage: 25, after: 'PT1H' },
      ]),
      await rollouts.schedule(squeezed, [
        { percentage: 10, after: 'PT2H' },
        { percentage: 25, at: rollouts.at(3 * HOUR_MS) },
      ]),
    ];
    rollouts.clock.now += HOUR_MS;
    for (const { changeRequest } of requests) expect(refusal(await approve(changeRequest?.id))?.code).toBe('CONFLICT');
    for (const target of [passed, squeezed]) expect((await rollouts.shown(target)).status).toBe('WAITING_FOR_APPROVAL');
  });

  test('cannot be approved when the flag has changed since', async () => {
    const target = await rollouts.asilD();
    const { changeRequest } = await rollouts.scheduleHourly(target);
    await rollouts.change(`killSwitch(flagKey: "${target.key}", reason: "Brakes")`, rollouts.safety);
    expect(refusal(await approve(changeRequest?.id))?.code).toBe('CONFLICT');
    expect((await rollouts.shown(target)).status).toBe('WAITING_FOR_APPROVAL');
  });

  test('causes conflicts for requests that were made before one of its steps', async () => {
    const { target } = await running();
    const { changeRequest } = await rollouts.change(`updateFlag(key: "${target.key}", input: { name: "Another" })`);
    expect(await rollouts.after(HOUR_MS)).toBe(1);
    expect(refusal(await approve(changeRequest?.id))?.code).toBe('CONFLICT');
  });

  test('is paused when a change that lowers the percentage is approved', async () => {
    const { target } = await running();
    await rollouts.after(HOUR_MS);
    const { changeRequest } = await rollouts.setPercentage(target, 6);
    expect((await rollouts.shown(target)).status).toBe('RUNNING');
    expect((await approve(changeRequest?.id)).errors).toEqual([]);
    expect(await rollouts.shown(target)).toMatchObject({ status: 'PAUSED', pausedReason: 'lowered to 6 % by hand' });
    const [last] = (await rollouts.trail(target)).slice(-1);
    expect(last).toMatchObject({ action: 'PAUSE_ROLLOUT', userId: rollouts.safety.userId });
  });
});

describe('resuming the rollout of an ASIL-D flag', () => {
  test('waits for a second person: it stays paused until approved', async () => {
    const { target, id } = await running();
    // Pausing needs no approval.
    expect((await rollouts.to('pause', id)).data.rollout.status).toBe('PAUSED');
    const asked = (await rollouts.to('resume', id)).data.rollout;
    expect(asked).toMatchObject({ status: 'PAUSED', changeRequest: { status: 'PENDING' } });
    expect(refusal(await rollouts.to('resume', id))?.code).toBe('CONFLICT');
    expect(await rollouts.after(5 * HOUR_MS)).toBe(0);
    expect((await approve(asked.changeRequest?.id)).errors).toEqual([]);
    expect(await rollouts.shown(target)).toMatchObject({ status: 'RUNNING', nextStepAt: rollouts.at(0) });
    expect([await rollouts.after(0), await rollouts.percentage(target)]).toEqual([1, 10]);
    expect((await rollouts.actions(target)).slice(-4)).toEqual([
      'REQUEST_CHANGE',
      'APPROVE_CHANGE',
      'RESUME_ROLLOUT',
      'UPDATE_RULE',
    ]);
  });

  test('leaves it paused when it is rejected, and can be requested again', async () => {
    const { target, id } = await running();
    await rollouts.to('pause', id, ', reason: "Look at the logs"');
    const asked = (await rollouts.to('resume', id)).data.rollout;
    expect(
      (await rollouts.decide(`rejectChangeRequest(id: "${asked.changeRequest?.id}", comment: "Not yet")`)).errors,
    ).toEqual([]);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'PAUSED',
      pausedReason: 'Look at the logs',
      changeRequest: { status: 'REJECTED' },
    });
    const again = (await rollouts.to('resume', id)).data.rollout;
    expect(again.changeRequest).toMatchObject({ status: 'PENDING' });
    expect((await rollouts.to('cancel', id)).data.rollout).toMatchObject({
      status: 'CANCELLED',
      changeRequest: { status: 'CANCELLED' },
    });
    expect(refusal(await approve(again.changeRequest?.id))?.code).toBe('CONFLICT');
  });

  test('also needs approval when the flag became ASIL-D during the rollout', async () => {
    const target = await rollouts.target();
    const { id } = (await rollouts.scheduleHourly(target)).rollout;
    await rollouts.raise(target);
    expect(await rollouts.after(HOUR_MS)).toBe(0);
    const asked = (await rollouts.to('resume', id)).data.rollout;
    expect((await approve(asked.changeRequest?.id)).errors).toEqual([]);
    expect(await rollouts.after(0)).toBe(1);
    expect(await rollouts.shown(target)).toMatchObject({
      status: 'RUNNING',
      currentPercentage: 10,
      approvedBy: { id: rollouts.safety.userId },
    });
  });
});
