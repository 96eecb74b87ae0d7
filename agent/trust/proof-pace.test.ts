import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ProofPace } from './proof-pace.ts';

const MINUTE_MS = 60_000;
const TRUTH = 1_800_000_000;

/**
 * Gives the lag of each answer in seconds. The answers are requested a minute apart. `issuedAt` is in Unix seconds of
 * the control plane's clock.
 */
function lags(answers: readonly { readonly issuedAt: number; readonly onTheWayMs?: number }[]): number[] {
  const pace = new ProofPace();
  return answers.map(({ issuedAt, onTheWayMs = 0 }, minute) =>
    pace.lagSeconds(issuedAt, minute * MINUTE_MS, minute * MINUTE_MS + onTheWayMs),
  );
}
const now = (minute: number) => TRUTH + minute * 60;

test('honest answers do not lag by more than they were shared for, however long they are on their way', () => {
  const answer = fc.record({
    sharedSeconds: fc.integer({ min: 0, max: 2 }),
    onTheWayMs: fc.integer({ min: 0, max: 600_000 }),
  });
  fc.assert(
    fc.property(fc.array(answer, { maxLength: 30 }), (answers) => {
      for (const lag of lags(
        answers.map(({ sharedSeconds, onTheWayMs }, minute) => ({ issuedAt: now(minute) - sharedSeconds, onTheWayMs })),
      ))
        expect(lag).toBeLessThanOrEqual(2);
    }),
  );
});

test('proofs that stand still lag more with each, and a current one no longer lags', () => {
  const seen = lags([now(0), now(1), now(1), now(1), now(1), now(5)].map((issuedAt) => ({ issuedAt })));
  expect(seen).toEqual([0, 0, 45, 90, 135, 0]);
});

test('a recorded session is noticed though its proofs go forward as time does', () => {
  const seen = lags(
    [
      now(0),
      ...Array.from({ length: 30 }, (_, minute) => ({ minute })).map(({ minute }) => now(minute + 1) - 3_600),
    ].map((issuedAt) => ({ issuedAt })),
  );
  expect(Math.min(...seen.slice(1))).toBeGreaterThan(3_000);
});

test('a control plane whose clock was set back by five minutes lags for a while, and not for ever', () => {
  const seen = lags(
    [now(0), ...Array.from({ length: 30 }, (_, minute) => now(minute + 1) - 300)].map((issuedAt) => ({ issuedAt })),
  );
  expect(seen[1]).toBeGreaterThan(60);
  expect(seen.at(-1)).toBe(0);
});

test('an answer that was signed for this vehicle alone starts the pace again', () => {
  const pace = new ProofPace();
  pace.lagSeconds(now(0), 0, 0);
  pace.forget();
  expect(pace.lagSeconds(now(0) - 86_400, MINUTE_MS, MINUTE_MS)).toBe(0);
});
