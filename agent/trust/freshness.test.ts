/** Each test is a sentence of design.md, "Time". */
import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isNonce } from '../../core/wire/vehicle/proof.ts';
import type { VerifiedProof } from '../state.ts';
import { Backoff } from '../../core/async/backoff.ts';
import { AgeingClock } from './ageing-clock.ts';
import { Freshness } from './freshness.ts';

const MINUTE_MS = 60_000;
const HOUR = 60 * MINUTE_MS;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const TRUTH = Date.UTC(2026, 5, 15);

/** Milliseconds: the true time, how wrong the vehicle's clock and the control plane's are. */
let truth: number;
let vehicleError: number;
let planeError: number;
let drawn: number;
let clock: AgeingClock;
let freshness: Freshness;

beforeEach(() => begin());

function begin(): void {
  [truth, vehicleError, planeError, drawn] = [TRUTH, 0, 0, 0];
  clock = new AgeingClock(
    () => truth + vehicleError,
    () => truth,
  );
  freshness = new Freshness({
    clock,
    random: () => drawn,
    unanswered: new Backoff({ baseMs: MINUTE_MS, capMs: HOUR, random: () => drawn }),
    reassignments: new Backoff({ baseMs: MINUTE_MS, capMs: HOUR, random: () => drawn }),
    assignmentSpreadMs: 5_000,
  });
}

const issuedNow = () => Math.floor((truth + planeError) / 1000);
const proof = (issuedAt = issuedNow(), nonce: string | null = null): VerifiedProof => ({
  jws: '',
  revision: 1,
  issuedAt,
  set: '',
  nonce,
  partition: '*',
  vin: null,
});

/** The age, in seconds, that flags have after `accepted` counted. */
const age = (accepted: VerifiedProof) => clock.seconds() - accepted.issuedAt;

/** Asks, and accepts the answer that comes `delayMs` later. */
function ask(delayMs = 100): VerifiedProof {
  const nonce = freshness.ask();
  expect(isNonce(nonce)).toBe(true);
  const answer = proof(issuedNow(), nonce);
  truth += delayMs;
  expect(freshness.judge(answer, 0)).toBe('fresh');
  freshness.accept(answer);
  return answer;
}

describe('a question for the partition', () => {
  const SECOND = 1_000;
  const assigning = (nonce: string | null): VerifiedProof => ({
    ...proof(issuedNow(), nonce),
    vin: 'KMHL14JA5PA000001',
  });

  test('gives the time as well, and does not use up the one question an hour', () => {
    planeError = 3 * DAY;
    freshness.assignment.unassigned();
    ask();
    freshness.assignment.proven(true);
    expect(freshness.judge(proof(), 0)).toBe('fresh');
    vehicleError = -30 * DAY;
    planeError = 40 * DAY;
    freshness.want(true);
    expect(freshness.due).toBe(true);
  });

  test('can be answered for twelve minutes, and after one of them the clock says how old the answer is', () => {
    freshness.assignment.unassigned();
    const nonce = freshness.ask();
    const answer = assigning(nonce);
    truth += 11 * MINUTE_MS;
    expect(freshness.isOpen(nonce!)).toBe(true);
    expect(freshness.judge(answer, 0)).toBe('fresh');
    expect(freshness.judge(answer, answer.issuedAt + 1)).toBe('not-newer');
    freshness.accept(answer);
    expect(age(answer)).toBe(11 * 60);
    truth += MINUTE_MS + SECOND;
    expect(freshness.isOpen(nonce!)).toBe(false);
    expect(freshness.judge(answer, 0)).toBe('out-of-time');
  });

  test('is not asked where answers cannot assign one, and is void where the control plane knows none', () => {
    freshness.assignment.unassigned();
    expect(freshness.ask(false)).toBeNull();
    const nonce = freshness.ask();
    expect(freshness.isOpen(nonce!)).toBe(true);
    freshness.withdraw();
    expect(freshness.isOpen(nonce!)).toBe(false);
    expect(freshness.ask(false)).toBeNull();
  });
});

describe('where the own clock is within a day', () => {
  test('of a proof, age counts from its issue, however late it arrives', () => {
    const kept = proof();
    truth += 5 * HOUR;
    expect(freshness.judge(kept, 0)).toBe('fresh');
    freshness.accept(kept);
    expect(age(kept)).toBe(5 * 3_600);
    expect(freshness.ask()).toBeNull();
  });

  test.each([-DAY, -HOUR, HOUR, DAY])('by %i ms, a proof is fresh and no nonce is sent', (error) => {
    vehicleError = error;
    expect(freshness.judge(proof(), 0)).toBe('fresh');
  });

  test('the time of proofs goes forward only', () => {
    expect(freshness.judge(proof(issuedNow() - 10), issuedNow())).toBe('not-newer');
    expect(freshness.judge(proof(issuedNow()), issuedNow())).toBe('fresh');
  });
});

describe('where the clocks are more than a day apart', () => {
  const errors: [string, number, number][] = [
    ['a vehicle in 1976', -50 * YEAR, 0],
    ['a vehicle two days behind', -2 * DAY, 0],
    ['a vehicle eight days ahead', 8 * DAY, 0],
    ['a vehicle ten years ahead', 10 * YEAR, 0],
    ['a control plane two days ahead', 0, 2 * DAY],
    ['a control plane two years behind', 0, -2 * YEAR],
  ];

  test.each(errors)(
    '%s: no proof counts until a nonce is answered, and all later ones do',
    (_what, ofVehicle, ofPlane) => {
      [vehicleError, planeError] = [ofVehicle, ofPlane];
      expect(freshness.judge(proof(), 0)).toBe('out-of-time');
      expect(freshness.want(true)).toBe(true);
      const answer = ask(200);
      expect(age(answer)).toBeLessThanOrEqual(1);
      expect(clock.differenceSeconds! * 1000).toBeCloseTo(ofPlane - ofVehicle, -4);
      truth += 3 * DAY;
      expect(age(answer)).toBe(3 * 86_400);
      const later = proof();
      expect(freshness.judge(later, answer.issuedAt)).toBe('fresh');
      freshness.accept(later);
      expect(age(later)).toBeLessThanOrEqual(1);
      expect(freshness.due).toBe(false);
    },
  );

  test('age counts from the sending of the nonce, not from the arrival of its answer', () => {
    vehicleError = -YEAR;
    freshness.want(true);
    const answer = ask(59_000);
    expect(age(answer)).toBe(59);
  });

  test('an answer no longer counts after a minute, and neither does one to another nonce', () => {
    vehicleError = -YEAR;
    freshness.want(true);
    const nonce = freshness.ask()!;
    const answer = proof(issuedNow(), nonce);
    expect(freshness.judge(proof(issuedNow(), 'A'.repeat(22)), 0)).toBe('out-of-time');
    truth += MINUTE_MS;
    expect(freshness.judge(answer, 0)).toBe('fresh');
    truth += 1;
    expect(freshness.judge(answer, 0)).toBe('out-of-time');
    expect(freshness.ask()).toBeNull();
  });

  test('a proof that was signed for another vehicle does not count even where the clocks agree', () => {
    expect(freshness.judge(proof(issuedNow(), 'A'.repeat(22)), 0)).toBe('out-of-time');
  });

  test('an answer replaces a later proof: the control plane was ahead by two years for five minutes', () => {
    freshness.accept(proof());
    planeError = 2 * YEAR;
    expect(freshness.judge(proof(), issuedNow())).toBe('out-of-time');
    freshness.want(true);
    const ahead = ask();
    truth += 5 * MINUTE_MS;
    planeError = 0;
    expect(freshness.judge(proof(), ahead.issuedAt)).toBe('out-of-time');
    freshness.want(true);
    expect(freshness.due).toBe(false);
    truth += HOUR;
    expect(age(ahead)).toBeLessThan(2 * 3_600);
    const answer = ask();
    expect(answer.issuedAt).toBeLessThan(ahead.issuedAt);
    expect(age(answer)).toBeLessThanOrEqual(1);
    expect(freshness.judge(proof(), answer.issuedAt)).toBe('fresh');
  });
});

describe('nonces are rare:', () => {
  beforeEach(() => void (vehicleError = -YEAR));

  test('at most one an hour, at random over ten minutes more', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            waitMs: fc.integer({ min: 0, max: HOUR }),
            urgent: fc.boolean(),
            drawn: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
          }),
          { maxLength: 60 },
        ),
        (steps) => {
          begin();
          vehicleError = -YEAR;
          const asked: number[] = [];
          for (const step of steps) {
            truth += step.waitMs;
            drawn = step.drawn;
            freshness.want(step.urgent);
            if (!freshness.due) continue;
            ask(0);
            asked.push(truth);
          }
          for (const [index, at] of asked.slice(1).entries()) expect(at - asked[index]!).toBeGreaterThanOrEqual(HOUR);
        },
      ),
    );
  });

  test('at once where flags are stale, and over ten minutes where there is no hurry', () => {
    drawn = 0.5;
    freshness.want(false);
    truth += 5 * MINUTE_MS - 1;
    expect(freshness.due).toBe(false);
    freshness.want(true);
    expect(freshness.due).toBe(true);
  });

  test('a fleet of 1,900 whose control plane has a wrong clock asks for seven signatures a second at most, and never twice in an hour', () => {
    let seed = 1;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    const fleet = Array.from({ length: 1_900 }, () => {
      const rare = () => new Backoff({ baseMs: MINUTE_MS, capMs: HOUR, random });
      return new Freshness({ clock, random, unanswered: rare(), reassignments: rare(), assignmentSpreadMs: 5_000 });
    });
    const asked: number[] = [];
    for (let second = 0; second < 4_200; second += 5) {
      truth = TRUTH + second * 1_000;
      for (const each of fleet) {
        each.want(false);
        const nonce = each.due ? each.ask() : null;
        if (nonce === null) continue;
        asked.push(second);
        each.accept(proof(issuedNow(), nonce));
      }
    }
    const firstRound = asked.filter((second) => second < 3_600);
    expect(firstRound).toHaveLength(1_900);
    const perStep = new Map<number, number>();
    for (const second of asked) perStep.set(second, (perStep.get(second) ?? 0) + 1);
    expect(Math.max(...perStep.values())).toBeLessThan(7 * 5);
  });

  test('at the time that a refusal names', () => {
    freshness.want(true);
    freshness.ask();
    drawn = 0.5;
    freshness.refused(100);
    truth += 149_000;
    expect([freshness.due, freshness.ask()]).toEqual([false, null]);
    truth += 1_000;
    expect(freshness.due).toBe(true);
  });

  test.each([3_600, 1e9, Number.MAX_VALUE])(
    'after at most ten minutes where a refusal, which is not signed, names %d seconds',
    (retryAfter) => {
      freshness.want(true);
      freshness.ask();
      drawn = 0.9;
      freshness.refused(retryAfter);
      truth += 10 * MINUTE_MS;
      expect(freshness.due).toBe(true);
    },
  );

  test('after a minute, two, and so on after an answer that proves nothing; the hour is for real answers', () => {
    freshness.want(true);
    const waits: number[] = [];
    for (let n = 0; n < 4; n++) {
      const nonce = freshness.ask();
      expect(freshness.judge(proof(), 0)).toBe('out-of-time');
      freshness.answeredInVain();
      freshness.want(true);
      // The right answer may still come, and what else comes in its place changes nothing.
      expect(freshness.ask()).toBe(nonce);
      freshness.answeredInVain();
      const from = truth;
      while (!freshness.due) {
        truth += 30_000;
        freshness.want(true);
      }
      waits.push((truth - from) / MINUTE_MS);
    }
    expect(waits).toEqual([1, 2, 4, 8]);
  });

  test('after a minute, and then ever later, where no answer comes', () => {
    freshness.want(true);
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      freshness.ask();
      freshness.refused(undefined);
      const from = truth;
      while (!freshness.due) truth += 30_000;
      waits.push((truth - from) / MINUTE_MS);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test('in the same way where the answer comes too late', () => {
    freshness.want(true);
    freshness.ask();
    truth += MINUTE_MS;
    freshness.want(true);
    expect(freshness.due).toBe(false);
    truth += 1;
    freshness.want(true);
    truth += MINUTE_MS - 1;
    expect(freshness.due).toBe(false);
    truth += 1;
    expect(freshness.due).toBe(true);
  });

  test('while an answer would still count, the same nonce is sent again', () => {
    freshness.want(true);
    const nonce = freshness.ask();
    expect(freshness.ask()).toBe(nonce);
  });
});
