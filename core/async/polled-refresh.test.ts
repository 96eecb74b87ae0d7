import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { PolledRefresh } from './polled-refresh.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);

/** Gives a refresh every second that succeeds or fails as a test sets it, and the calls of its callbacks. */
function scriptedRefresh() {
  const seen = { refreshes: 0, isAway: false, reports: [] as unknown[] };
  const polled = new PolledRefresh({
    refresh: async () => {
      seen.refreshes += 1;
      if (seen.isAway) throw new Error('away');
    },
    intervalMs: 1_000,
    failed: (error, isFirst) => seen.reports.push([String(error), isFirst]),
    recovered: () => seen.reports.push('recovered'),
  });
  return { polled, seen };
}

test('refreshes at its interval until it is stopped, and again when it is started again', async () => {
  const { polled, seen } = scriptedRefresh();
  await polled.start();
  expect(seen.refreshes).toBe(1);
  await pass(2_000);
  expect(seen.refreshes).toBe(3);
  await polled.stop();
  await pass(5_000);
  expect(seen.refreshes).toBe(3);
  await polled.start(500);
  await pass(500);
  expect(seen.refreshes).toBe(4);
  await polled.close();
});

test('a polled refresh reports which failure begins an outage, and the end of the outage once', async () => {
  const { polled, seen } = scriptedRefresh();
  await polled.attempt();
  seen.isAway = true;
  await polled.attempt();
  await polled.attempt();
  seen.isAway = false;
  await polled.attempt();
  await polled.attempt();
  expect(seen.reports).toEqual([['Error: away', true], ['Error: away', false], 'recovered']);
  await polled.close();
});

test('a requested refresh that fails rejects, and reports nothing', async () => {
  const { polled, seen } = scriptedRefresh();
  seen.isAway = true;
  await expect(polled.refresh()).rejects.toThrow('away');
  expect(seen.reports).toEqual([]);
  await polled.close();
});

test('a polled refresh needs no listener for the end of an outage', async () => {
  let isAway = true;
  const failed = jest.fn();
  const polled = new PolledRefresh({
    refresh: () => (isAway ? Promise.reject(new Error('away')) : Promise.resolve()),
    intervalMs: 1_000,
    failed,
  });
  await polled.attempt();
  isAway = false;
  await polled.attempt();
  expect(failed).toHaveBeenCalledTimes(1);
});
