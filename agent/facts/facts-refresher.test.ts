import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { RequestRefused, type LinkEnding } from '../link/gateway-link.ts';
import { FactsRefresher } from './facts-refresher.ts';
import type { VerifiedFacts } from './known-facts.ts';

const FACTS = { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' };
const INTERVAL_MS = 600_000;
const SPREAD_MS = 5_000;

let end: (ending: LinkEnding) => void;
let ended: Promise<LinkEnding>;
const nonces: unknown[] = [];
const learnt: VerifiedFacts[] = [];
const logged: string[] = [];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  ended = new Promise((resolve) => (end = resolve));
  for (const list of [nonces, learnt, logged]) list.length = 0;
});
afterEach(() => {
  jest.useRealTimers();
});

function refresher(answer: () => unknown, urgent: boolean): FactsRefresher {
  return new FactsRefresher({
    link: {
      ended,
      request: async (_query, variables) => {
        nonces.push(variables.nonce);
        return answer();
      },
    },
    urgent: () => urgent,
    verify: async (jws) => ({ jws, facts: FACTS }),
    learn: async (facts) => void learnt.push(facts),
    refuse: () => undefined,
    intervalMs: () => INTERVAL_MS,
    spreadMs: SPREAD_MS,
    random: () => 0.5,
    log: (_level, message) => logged.push(message),
  });
}

test('a vehicle that lacks a fact requests it within seconds, one that knows them waits, and both repeat with a new nonce', async () => {
  for (const [urgent, firstMs] of [
    [true, SPREAD_MS / 2],
    [false, INTERVAL_MS / 2],
  ] as const) {
    nonces.length = 0;
    ended = new Promise((resolve) => (end = resolve));
    const running = refresher(() => ({ vehicleFacts: 'signed' }), urgent).run();
    await jest.advanceTimersByTimeAsync(firstMs - 1);
    expect(nonces).toEqual([]);
    await jest.advanceTimersByTimeAsync(1);
    expect(nonces).toEqual([expect.stringMatching(/^[\w-]{22}$/)]);
    await jest.advanceTimersByTimeAsync(INTERVAL_MS);
    expect(new Set(nonces).size).toBe(2);
    end({ code: 1000, reason: '' });
    await running;
  }
  expect(learnt).toHaveLength(4);
});

test('a control plane that does not know the query is asked again later and logged once; a wait that it names is kept', async () => {
  let error = new RequestRefused([
    { message: 'Cannot query field "vehicleFacts"', extensions: { code: 'BAD_USER_INPUT' } },
  ]);
  const running = refresher(() => {
    throw error;
  }, true).run();
  await jest.advanceTimersByTimeAsync(SPREAD_MS + 3 * INTERVAL_MS);
  expect(nonces).toHaveLength(4);
  expect(logged).toEqual([expect.stringContaining('Cannot query field')]);
  error = new RequestRefused([{ message: 'busy', extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 2 } }]);
  await jest.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(nonces).toHaveLength(5);
  await jest.advanceTimersByTimeAsync(3_000);
  expect(nonces).toHaveLength(6);
  end({ code: 1000, reason: '' });
  await running;
  expect(learnt).toEqual([]);
});
