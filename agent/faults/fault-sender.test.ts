import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Backoff } from '../../core/async/backoff.ts';
import { isObject } from '../../core/json/json-value.ts';
import { RequestRefused } from '../link/gateway-link.ts';
import { FaultSender } from './fault-sender.ts';
import type { KeptFault } from './fault-log.ts';

const SPREAD_MS = 2_000;
const BACKOFF_MS = 30_000;

let waiting: KeptFault[];
let notify: () => void;
let reports: string[];
let answer: () => unknown;
let end: () => void;

/** Adds a fault, as a program does. */
function fail(flagKey: string): void {
  waiting.push({ flagKey, revision: 1, kind: 'reported_by_program', message: 'dark', at: 1, count: 1, sent: false });
  notify();
}
const drop = ({ flagKey }: { flagKey: string }) => (waiting = waiting.filter((fault) => fault.flagKey !== flagKey));
const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);
const refused = (extensions: object) => new RequestRefused([{ message: 'refused', extensions }]);

beforeEach(() => {
  jest.useFakeTimers();
  [waiting, reports, answer] = [[], [], () => ({ reportFaults: true })];
  // The greatest random number, with which each wait is at its bound.
  const random = () => 1;
  const sender = new FaultSender({
    link: {
      ended: new Promise((resolve) => (end = () => resolve({ code: 1000, reason: '' }))),
      request: async (_operation, variables) => {
        const input = isObject(variables) ? variables['input'] : null;
        const faults = isObject(input) && Array.isArray(input['faults']) ? input['faults'] : [];
        reports.push(faults.map((fault: { flagKey: string }) => fault.flagKey).join());
        const given = answer();
        if (given instanceof Error) throw given;
        return given;
      },
    },
    faults: {
      get waiting() {
        return waiting;
      },
      sent: (faults) => faults.forEach(drop),
      discard: drop,
      onNewFault: (listener) => (notify = listener),
    },
    spreadMs: SPREAD_MS,
    backoff: new Backoff({ baseMs: BACKOFF_MS, capMs: BACKOFF_MS, random }),
    rare: new Backoff({ baseMs: BACKOFF_MS, capMs: BACKOFF_MS, random }),
    random,
    log: () => undefined,
  });
  void sender.run();
});

afterEach(async () => {
  end();
  await pass(0);
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

test('a fault is reported within seconds, also after one that the control plane will never accept', async () => {
  answer = () => refused({ code: 'BAD_USER_INPUT', field: 'input.faults.0.message' });
  fail('eco');
  await pass(SPREAD_MS);
  expect([reports, waiting]).toEqual([['eco'], []]);
  answer = () => ({ reportFaults: true });
  await pass(BACKOFF_MS);
  fail('sport');
  await pass(SPREAD_MS);
  expect([reports, waiting]).toEqual([['eco', 'sport'], []]);
});

test.each([
  ['refused for now', () => refused({ code: 'SERVICE_UNAVAILABLE' })],
  ['refused because the vehicle is not registered', () => ({ reportFaults: false })],
])('after a report that was %s, a new fault waits for the next attempt', async (_case, refusal) => {
  answer = refusal;
  fail('eco');
  await pass(SPREAD_MS);
  answer = () => ({ reportFaults: true });
  fail('sport');
  await pass(BACKOFF_MS - 1);
  expect(reports).toEqual(['eco']);
  await pass(BACKOFF_MS);
  expect([reports, waiting]).toEqual([['eco', 'eco,sport'], []]);
});
