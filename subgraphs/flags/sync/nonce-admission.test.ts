import { beforeEach, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { NONCE_LIMITS, NonceAdmission } from './nonce-admission.ts';

const vehicle = (n: number): Caller => ({
  kind: 'vehicle',
  vin: `KMH${String(n).padStart(14, '0')}`,
  environment: 'production',
});

let seconds: number;
let admission: NonceAdmission;
beforeEach(() => {
  seconds = 1_000;
  admission = new NonceAdmission(
    NONCE_LIMITS,
    () => seconds * 1_000,
    () => 0.5,
  );
});

/** Gives 0 when the request was admitted, otherwise the seconds until the retry. */
function ask(caller: Caller): number {
  try {
    admission.admit(caller);
    return 0;
  } catch (error) {
    if (!(error instanceof FleetFlagError) || error.code !== 'RATE_LIMITED') throw error;
    return error.details.retryAfter ?? NaN;
  }
}

describe('syncs with a nonce', () => {
  test("of 19,000 vehicles at once, retried after the time that each refusal names, are admitted at the instance's rate", () => {
    const due = new Map<number, number[]>([[0, Array.from({ length: 19_000 }, (_, n) => n)]]);
    const taken: number[] = [];
    let [asked, most] = [0, 0];
    for (let at = 0; taken.length < 19_000; at++) {
      expect(at).toBeLessThan(1_000);
      seconds = 1_000 + at;
      const vehicles = due.get(at) ?? [];
      asked += vehicles.length;
      if (at > 0) most = Math.max(most, vehicles.length);
      for (const n of vehicles) {
        const wait = ask(vehicle(n));
        if (wait === 0) taken.push(at);
        else due.set(at + wait, [...(due.get(at + wait) ?? []), n]);
      }
    }
    const { burst, perSecond } = NONCE_LIMITS;
    for (const [index, at] of taken.entries()) expect(index + 1).toBeLessThanOrEqual(burst + at * perSecond);
    // Their retries are spread, and few are refused a second time.
    expect(most).toBeLessThan(4 * perSecond);
    expect(asked).toBeLessThan(3 * 19_000);
    expect(taken.at(-1)).toBeLessThan(2 * (19_000 / perSecond));
  });

  test('of more vehicles than can be admitted in ten minutes are spread over the second half of that time', () => {
    const waits = Array.from({ length: 60_000 }, (_, n) => ask(vehicle(n)));
    expect(Math.max(...waits)).toBe(600);
    expect(waits.at(-1)).toBe(450);
  });

  test('of any one caller are limited, and refused ones take no room from others', () => {
    const callers: Caller[] = [
      vehicle(1),
      { kind: 'user', userId: 'u', role: 'READ', sessionKey: null },
      { kind: 'apiKey', apiKeyId: 'k', role: 'READ', rateLimitPerMin: null },
      { kind: 'anonymous' },
      { kind: 'gateway' },
    ];
    for (const caller of callers) {
      for (let times = 0; times < NONCE_LIMITS.perCaller; times++) expect(ask(caller)).toBe(0);
      expect(ask(caller)).toBe(60);
    }
    const left = NONCE_LIMITS.burst - callers.length * NONCE_LIMITS.perCaller;
    for (let n = 0; n < left; n++) expect(ask(vehicle(100 + n))).toBe(0);
    expect(ask(vehicle(2))).toBe(1);
    seconds += 59;
    expect(ask(vehicle(1))).toBe(1);
    seconds += 1;
    expect(ask(vehicle(1))).toBe(0);
  });
});
