import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  describeGuard,
  describeSilence,
  falseAlarmShare,
  readRolloutGuard,
  type GuardFigures,
  type RolloutGuardDraft,
} from './rollout-guard.ts';

const DRAFT: RolloutGuardDraft = { metric: 'charge_minutes', worse: 'higher', maxWorsePercent: 5 };

describe('readRolloutGuard', () => {
  it('fills in what is left out, or null', () => {
    const filled = {
      metric: 'charge_minutes',
      worse: 'higher',
      maxWorsePercent: 5,
      bound: null,
      confidenceLevel: 0.95,
      minimumVehicles: 50,
      silence: 1_800_000,
      watchFor: 86_400_000,
    };
    expect(readRolloutGuard(DRAFT, 'guard')).toEqual(filled);
    expect(
      readRolloutGuard(
        { ...DRAFT, bound: null, confidenceLevel: null, minimumVehicles: null, silence: null, watchFor: null },
        'guard',
      ),
    ).toEqual(filled);
  });

  it('takes an absolute bound, 0 and below included, and all that may be set', () => {
    const set = { confidenceLevel: 0.9999, minimumVehicles: 2, silence: 'PT1M', watchFor: 'P30D' };
    expect(readRolloutGuard({ metric: 'range', worse: 'lower', bound: -3.5, ...set }, 'guard')).toEqual({
      metric: 'range',
      worse: 'lower',
      maxWorsePercent: null,
      bound: -3.5,
      confidenceLevel: 0.9999,
      minimumVehicles: 2,
      silence: 60_000,
      watchFor: 2_592_000_000,
    });
    expect(readRolloutGuard({ ...DRAFT, maxWorsePercent: 0 }, 'guard').maxWorsePercent).toBe(0);
  });

  it.each<[Partial<RolloutGuardDraft>, string]>([
    [{ metric: ' ' }, 'guard.metric'],
    [{ metric: '$evaluations' }, 'guard.metric'],
    [{ bound: 3 }, 'guard'],
    [{ maxWorsePercent: null }, 'guard'],
    [{ maxWorsePercent: -0.1 }, 'guard.maxWorsePercent'],
    [{ maxWorsePercent: 10_001 }, 'guard.maxWorsePercent'],
    [{ maxWorsePercent: NaN }, 'guard.maxWorsePercent'],
    [{ maxWorsePercent: null, bound: Infinity }, 'guard.bound'],
    [{ maxWorsePercent: null, bound: '3' as never }, 'guard.bound'],
    [{ confidenceLevel: 0.49 }, 'guard.confidenceLevel'],
    [{ confidenceLevel: 1 }, 'guard.confidenceLevel'],
    [{ confidenceLevel: 0.95001 }, 'guard.confidenceLevel'],
    [{ minimumVehicles: 1 }, 'guard.minimumVehicles'],
    [{ minimumVehicles: 2.5 }, 'guard.minimumVehicles'],
    [{ minimumVehicles: 1_000_001 }, 'guard.minimumVehicles'],
    [{ silence: 'PT0S' }, 'guard.silence'],
    [{ silence: 'P7DT1S' }, 'guard.silence'],
    [{ watchFor: 'a day' }, 'guard.watchFor'],
    [{ watchFor: 'P31D' }, 'guard.watchFor'],
  ])('refuses %j at %s', (part, field) => {
    expect(() => readRolloutGuard({ ...DRAFT, ...part }, 'guard')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', details: { field } }),
    );
  });
});

describe('falseAlarmShare', () => {
  it('gives the planned watches an equal share each, and those of resumptions less and less of another', () => {
    expect([1, 2, 3, 4, 5].map((watch) => falseAlarmShare(0.96, 2, watch) / 0.04)).toEqual(
      [0.25, 0.25, 0.25, 0.125, 0.125 / 3].map((share) => expect.closeTo(share, 12)),
    );
  });

  it('never adds up to more than 1 − confidence, however often a rollout is resumed', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 0.9999, noNaN: true }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 500 }),
        (confidence, steps, watches) => {
          const shares = Array.from({ length: watches }, (_, index) => falseAlarmShare(confidence, steps, index + 1));
          expect(Math.min(...shares)).toBeGreaterThan(0);
          expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual((1 - confidence) * (1 + 1e-9));
        },
      ),
    );
  });
});

describe('describeGuard', () => {
  const figures: GuardFigures = {
    controlVehicles: 61,
    treatmentVehicles: 54,
    vehiclesInBothArms: 1,
    controlMean: 40.1234,
    treatmentMean: 46.2,
    worsePercent: 15.1449,
    worsePercentInterval: [9, 21.3],
    pValue: 0.0004,
    significance: 0.01,
    lastMeasurementAt: null,
  };
  const guard = readRolloutGuard(DRAFT, 'guard');

  it('says by how much the treatment is worse than control, and what the limit is', () => {
    expect(describeGuard(guard, figures)).toBe(
      'charge_minutes is 46.2 under treatment (54 vehicles) and 40.12 under control (61 vehicles): worse by 15.14 %, where 5 % is the limit.',
    );
    expect(describeGuard(guard, { ...figures, worsePercent: null, controlMean: 0 })).toBe(
      'charge_minutes is 46.2 under treatment (54 vehicles) and 0 under control (61 vehicles): worse, where 5 % is the limit.',
    );
  });

  it('says of an absolute bound which side of it the treatment is on', () => {
    const bounded = readRolloutGuard({ metric: 'range_km', worse: 'lower', bound: 300 }, 'guard');
    expect(describeGuard(bounded, { ...figures, treatmentMean: 280.26, controlMean: null })).toBe(
      'range_km is 280.3 under treatment (54 vehicles), lower than its bound of 300.',
    );
    expect(describeGuard(guard, { ...figures, controlMean: null })).toContain('nothing under control');
  });
});

it('says of a silence how long it was', () => {
  const silence = (text: string) => describeSilence(readRolloutGuard({ ...DRAFT, silence: text }, 'guard'));
  expect([silence('PT1H'), silence('PT90S')]).toEqual([
    'no measurement of charge_minutes under treatment for 60 minutes',
    'no measurement of charge_minutes under treatment for 90 seconds',
  ]);
});
