import { describe, expect, test } from '@jest/globals';
import { NEW_GUARD, guardInput, newStep, stepInputs, wrongGuard, wrongSteps } from './plan.ts';

const NOW = Date.parse('2027-01-04T09:00:00Z');
/** A time as the input for one gives it, in the zone of the tests. */
const local = (time: number) => {
  const date = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16);
};

describe('the steps of a rollout', () => {
  test('become the input of the API: durations and times', () => {
    const at = NOW + 86_400_000;
    expect(
      stepInputs([
        { ...newStep(1), percentage: '5', wait: '30', unit: 'minutes' },
        { ...newStep(2), percentage: '12,5', wait: '2', unit: 'days' },
        { ...newStep(3), percentage: '100', when: 'at', date: local(at) },
      ]),
    ).toEqual([
      { percentage: 5, after: 'PT30M' },
      { percentage: 12.5, after: 'P2D' },
      { percentage: 100, at: new Date(at).toISOString() },
    ]);
  });

  test('have to rise, above what the rule has, to 100 at most', () => {
    const steps = ['5', '5', '101', ''].map((percentage, id) => ({ ...newStep(id), percentage }));
    expect(Object.keys(wrongSteps(steps, 4, NOW))).toEqual([
      'steps.1.percentage',
      'steps.2.percentage',
      'steps.3.percentage',
    ]);
    expect(Object.keys(wrongSteps(steps.slice(0, 1), 5, NOW))).toEqual(['steps.0.percentage']);
  });

  test('have waits of whole numbers, and times in the future that rise', () => {
    const at = (time: number) => ({ when: 'at' as const, date: local(time) });
    const steps = [
      { ...newStep(1), percentage: '5', ...at(NOW - 60_000) },
      { ...newStep(2), percentage: '6', ...at(NOW + 120_000) },
      { ...newStep(3), percentage: '7', ...at(NOW + 60_000) },
      { ...newStep(4), percentage: '8', wait: '1.5' },
      { ...newStep(5), percentage: '9', when: 'at' as const },
    ];
    expect(wrongSteps(steps, 0, NOW)).toEqual({
      'steps.0.at': 'date',
      'steps.2.at': 'date',
      'steps.3.after': 'wait',
      'steps.4.at': 'date',
    });
  });
});

describe('a guard', () => {
  test('becomes the input of the API', () => {
    expect(guardInput({ ...NEW_GUARD, metric: ' faults ', confidence: '99.9' })).toEqual({
      metric: 'faults',
      worse: 'HIGHER',
      maxWorsePercent: 5,
      confidenceLevel: 0.999,
      minimumVehicles: 50,
      silence: 'PT30M',
      watchFor: 'PT24H',
    });
    expect(guardInput({ ...NEW_GUARD, metric: 'm', limitKind: 'bound', limit: '-2' })).toMatchObject({ bound: -2 });
  });

  test('names each member that is wrong by its path', () => {
    expect(wrongGuard({ ...NEW_GUARD, metric: 'm' })).toEqual({});
    expect(
      Object.keys(
        wrongGuard({
          ...NEW_GUARD,
          limit: '-1',
          confidence: '100',
          minimumVehicles: '1',
          silenceMinutes: '',
          watchForHours: '0',
        }),
      ),
    ).toEqual([
      'guard.metric',
      'guard.maxWorsePercent',
      'guard.confidenceLevel',
      'guard.minimumVehicles',
      'guard.silence',
      'guard.watchFor',
    ]);
    expect(Object.keys(wrongGuard({ ...NEW_GUARD, metric: 'm', limitKind: 'bound', limit: 'x' }))).toEqual([
      'guard.bound',
    ]);
  });
});
