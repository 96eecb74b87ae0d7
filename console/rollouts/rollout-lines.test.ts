import { describe, expect, test } from '@jest/globals';
import type { RolloutPartsFragment } from '../generated/operations.ts';
import { guardOverTime, shareOverTime } from './rollout-lines.ts';

const START = Date.parse('2027-01-04T00:00:00Z');
const HOUR = 3_600_000;
const at = (hours: number) => new Date(START + hours * HOUR).toISOString();
const hoursOf = (times: readonly number[]) => times.map((time) => (time - START) / HOUR);

const rollout = (over: Partial<RolloutPartsFragment> = {}): RolloutPartsFragment => ({
  id: 'r',
  nextStepAt: null,
  watchedUntil: null,
  pausedReason: null,
  approvedBy: null,
  changeRequest: null,
  guard: null,
  guardStatus: null,
  status: 'RUNNING',
  currentPercentage: 10,
  createdAt: at(0),
  updatedAt: at(2),
  scheduledBy: { name: 'Mina' },
  steps: [
    { percentage: 10, at: at(2), appliedAt: at(2), revision: 4 },
    { percentage: 50, at: at(12), appliedAt: null, revision: null },
  ],
  ...over,
});

const guard = {
  metric: 'faults',
  worse: 'HIGHER',
  maxWorsePercent: 5,
  bound: null,
  confidenceLevel: 0.95,
  minimumVehicles: 50,
  silenceSeconds: 1_800,
  watchForSeconds: 86_400,
  initialPercentage: 1,
  watchedSince: at(2),
} as const;

describe('the share over time', () => {
  test('is what was applied until now, and what is planned from now on', () => {
    const { times, values } = shareOverTime(rollout({ guard }), START + 6 * HOUR);
    expect(hoursOf(times)).toEqual([0, 2, 6, 12, 13]);
    expect(values.applied).toEqual([1, 10, 10, null, null]);
    expect(values.planned).toEqual([null, null, 10, 50, 50]);
  });

  test('begins with the first step where nobody knows what was before', () => {
    const { times, values } = shareOverTime(rollout(), START + 6 * HOUR);
    expect(hoursOf(times).slice(0, 2)).toEqual([2, 6]);
    expect(values.applied.slice(0, 2)).toEqual([10, 10]);
  });

  test('of a step that waits is planned for now, not for the past', () => {
    const { times, values } = shareOverTime(rollout({ guard }), START + 24 * HOUR);
    expect(hoursOf(times)).toEqual([0, 2, 24, 26]);
    expect(values.planned).toEqual([null, null, 50, 50]);
  });

  test('of a rollout that has ended stops at its end, pulled back or as it was', () => {
    const { times, values } = shareOverTime(
      rollout({ guard, status: 'PULLED_BACK', currentPercentage: 1, updatedAt: at(5) }),
      START + 99 * HOUR,
    );
    expect(hoursOf(times)).toEqual([0, 2, 5]);
    expect(values.applied).toEqual([1, 10, 1]);
    expect(values.planned).toEqual([null, null, null]);
  });
});

describe('what a guard has seen over time', () => {
  const look = (hours: number, over: object = {}) => ({
    at: at(hours),
    verdict: 'HOLDING' as const,
    controlVehicles: 60,
    treatmentVehicles: 50,
    controlMean: 2,
    treatmentMean: 2.1,
    worsePercent: 5,
    worsePercentAtLeast: null,
    ...over,
  });
  const status = {
    ...look(4, { worsePercent: 8, worsePercentAtLeast: 6 }),
    detectablePercent: 4,
    pValue: 0.01,
    significance: 0.05,
    lastMeasurementAt: at(4),
    computedAt: at(4),
  };

  test('is compared with the limit in percent, and ends with the newest numbers', () => {
    const { times, values } = guardOverTime([look(2), look(3)], { guard, guardStatus: status });
    expect(hoursOf(times)).toEqual([2, 3, 4]);
    expect(values).toEqual({ seen: [5, 5, 8], atLeast: [null, null, 6], limit: [5, 5, 5] });
    // The newest look is kept already.
    expect(guardOverTime([look(4)], { guard, guardStatus: status }).times).toHaveLength(1);
  });

  test('of a bound is the mean with the feature', () => {
    const { values } = guardOverTime([look(2)], {
      guard: { ...guard, maxWorsePercent: null, bound: 3 },
      guardStatus: null,
    });
    expect(values).toEqual({ seen: [2.1], atLeast: [null], limit: [3] });
  });
});
