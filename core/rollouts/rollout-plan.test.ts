import { describe, expect, it, test } from '@jest/globals';
import { FleetFlagError } from '../errors.ts';
import {
  ROLLOUT_HORIZON_MS,
  followingTimes,
  planRollout,
  resumedTimes,
  type RolloutStepDraft,
} from './rollout-plan.ts';

const NOW = Date.UTC(2026, 10, 23);
const HOUR_MS = 3_600_000;

describe('planRollout', () => {
  const plan = (drafts: RolloutStepDraft[], present = 5) => planRollout(drafts, present, NOW, 'steps');
  const fault = (drafts: RolloutStepDraft[]) => {
    try {
      plan(drafts);
    } catch (error) {
      if (error instanceof FleetFlagError) return [error.code, error.details.field];
      throw error;
    }
    return null;
  };

  it('counts each delay from the step before, whatever its kind', () => {
    expect(
      plan([
        { percentage: 10, after: 'PT1H' },
        { percentage: 25.125, at: NOW + 5 * HOUR_MS },
        { percentage: 100, after: 'PT2H' },
      ]),
    ).toEqual([
      { percentage: 10, delay: HOUR_MS, dueAt: NOW + HOUR_MS },
      { percentage: 25.125, delay: null, dueAt: NOW + 5 * HOUR_MS },
      { percentage: 100, delay: 2 * HOUR_MS, dueAt: NOW + 7 * HOUR_MS },
    ]);
  });

  const first = { percentage: 10, after: 'PT1H' };
  it.each<[string, RolloutStepDraft[], [string, string]]>([
    ['no steps', [], ['BAD_USER_INPUT', 'steps']],
    [
      'too many',
      Array.from({ length: 51 }, (_, index) => ({ percentage: 6 + index, after: 'PT1S' })),
      ['LIMIT_EXCEEDED', 'steps'],
    ],
    ['neither at nor after', [{ percentage: 10 }], ['BAD_USER_INPUT', 'steps.0']],
    ['nulls', [{ percentage: 10, at: null, after: null }], ['BAD_USER_INPUT', 'steps.0']],
    ['both', [first, { percentage: 20, at: NOW + 2 * HOUR_MS, after: 'PT1H' }], ['BAD_USER_INPUT', 'steps.1']],
    ['the present percentage', [{ percentage: 5, after: 'PT1H' }], ['BAD_USER_INPUT', 'steps.0.percentage']],
    ['one that does not raise', [first, { percentage: 10, after: 'PT1H' }], ['BAD_USER_INPUT', 'steps.1.percentage']],
    ['more than everybody', [first, { percentage: 100.5, after: 'PT1H' }], ['BAD_USER_INPUT', 'steps.1.percentage']],
    ['no number', [{ percentage: NaN, after: 'PT1H' }], ['BAD_USER_INPUT', 'steps.0.percentage']],
    ['too fine a step', [{ percentage: 10.0001, after: 'PT1H' }], ['BAD_USER_INPUT', 'steps.0.percentage']],
    ['the present time', [{ percentage: 10, at: NOW }], ['BAD_USER_INPUT', 'steps.0.at']],
    ['a time before the step before', [first, { percentage: 20, at: NOW + HOUR_MS }], ['BAD_USER_INPUT', 'steps.1.at']],
    ['no time', [{ percentage: 10, at: NaN }], ['BAD_USER_INPUT', 'steps.0.at']],
    ['no duration', [first, { percentage: 20, after: 'tomorrow' }], ['BAD_USER_INPUT', 'steps.1.after']],
    ['more than a year ahead', [first, { percentage: 20, after: 'P366D' }], ['BAD_USER_INPUT', 'steps.1.after']],
    [
      'more than a year ahead',
      [{ percentage: 20, at: NOW + ROLLOUT_HORIZON_MS + 1 }],
      ['BAD_USER_INPUT', 'steps.0.at'],
    ],
  ])('refuses %s', (_what, drafts, expected) => {
    expect(fault(drafts)).toEqual(expected);
  });

  it('accepts 50 steps, and the last moment of the year', () => {
    expect(plan(Array.from({ length: 50 }, (_, index) => ({ percentage: 6 + index, after: 'PT1S' })))).toHaveLength(50);
    expect(fault([{ percentage: 20, at: NOW + ROLLOUT_HORIZON_MS }])).toBeNull();
  });
});

test('the delays of following steps count from when a step was really applied, fixed times stay', () => {
  const steps = [
    { delay: HOUR_MS, dueAt: 0 },
    { delay: HOUR_MS, dueAt: 0 },
    { delay: null, dueAt: NOW + 9 * HOUR_MS },
    { delay: HOUR_MS, dueAt: 0 },
  ];
  expect(followingTimes(steps, NOW + 3 * HOUR_MS)).toEqual([
    NOW + 4 * HOUR_MS,
    NOW + 5 * HOUR_MS,
    NOW + 9 * HOUR_MS,
    NOW + 10 * HOUR_MS,
  ]);
});

test('after a pause in which a step came due, that step is due now and the rest keep their distances', () => {
  expect(resumedTimes([NOW - 2 * HOUR_MS, NOW + HOUR_MS, NOW + 5 * HOUR_MS], NOW)).toEqual([
    NOW,
    NOW + 3 * HOUR_MS,
    NOW + 7 * HOUR_MS,
  ]);
  expect(resumedTimes([NOW + 1, NOW + HOUR_MS], NOW)).toEqual([NOW + 1, NOW + HOUR_MS]);
  expect(resumedTimes([], NOW)).toEqual([]);
});
