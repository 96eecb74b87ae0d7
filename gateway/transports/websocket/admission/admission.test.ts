import { beforeEach, describe, expect, test } from '@jest/globals';
import { HandshakeAdmission } from './admission.ts';

let now: number;
let used: { idle: number; active: number };
let admission: HandshakeAdmission;
beforeEach(() => {
  now = 0;
  used = { idle: 0, active: 0 };
  admission = new HandshakeAdmission({ clock: () => now, utilization: () => ({ ...used }) });
});

/** Lets time pass in which the process is busy, or is not, and finishes `perTick` handshakes at each tick. */
function pass(milliseconds: number, isBusy: boolean, perTick = 0): void {
  for (let at = 0; at < milliseconds; at += 250) {
    now += 250;
    used[isBusy ? 'active' : 'idle'] += 250;
    for (let count = 0; count < perTick; count++) admission.finish(-1_000, true);
    admission.tick();
  }
}

/** Asks `count` times. */
function ask(count: number) {
  const answers = Array.from({ length: count }, () => admission.admit());
  return {
    admitted: answers.filter((answer) => typeof answer !== 'number').length,
    waits: answers.filter((answer) => typeof answer === 'number'),
  };
}

describe('who comes while many do', () => {
  test('is admitted up to three seconds of work, and further vehicles get the time of their retry', () => {
    const { admitted, waits } = ask(20_000);
    expect(admitted).toBe(12_000);
    // 4,000 for each second.
    expect([waits[0], waits[3_999], waits[4_000], waits[7_999]]).toEqual([1, 1, 2, 2]);
  });

  test('is admitted again when others are finished or gone', () => {
    const first = admission.admit();
    expect(ask(20_000).admitted).toBe(11_999);
    admission.finish(typeof first === 'number' ? NaN : first.admittedAt, true);
    expect(ask(10).admitted).toBe(1);
  });

  test('is not kept out by those who say nothing, once they could have been heard', () => {
    expect(ask(20_000).admitted).toBe(12_000);
    for (let tick = 0; tick < 3; tick++) admission.tick();
    expect(ask(10).admitted).toBe(0);
    admission.tick();
    expect(ask(10).admitted).toBe(10);
  });

  test('is admitted at the pace that was seen, and at the first one again when that is over', () => {
    for (let round = 0; round < 10; round++) {
      ask(500);
      pass(500, true, 100);
    }
    expect(admission.pace).toBeGreaterThan(390);
    expect(admission.pace).toBeLessThan(450);
    expect(ask(20_000).admitted).toBeLessThan(1_400);
    for (let at = 0; at < 60; at++) pass(500, false);
    expect(admission.pace).toBeGreaterThan(3_900);
  });

  test('does not make the pace seem slow when they are few, or the process is not busy', () => {
    for (let round = 0; round < 10; round++) {
      ask(5);
      pass(500, true, 1);
      ask(500);
      pass(1_000, false, 1);
    }
    expect(admission.pace).toBe(4_000);
  });

  test('is admitted at some pace, however slow it was seen', () => {
    for (let round = 0; round < 40; round++) {
      ask(500);
      pass(500, true);
    }
    expect(admission.pace).toBe(50);
  });
});
