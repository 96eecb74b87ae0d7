import { describe, expect, it } from '@jest/globals';
import {
  describeGuard,
  describeSilence,
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
    [{ worse: 'lower', maxWorsePercent: 100 }, 'guard.maxWorsePercent'],
    [{ maxWorsePercent: null, bound: -1e308 }, 'guard.bound'],
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

describe('describeGuard', () => {
  const figures: GuardFigures = {
    controlVehicles: 61,
    treatmentVehicles: 54,
    vehiclesInBothArms: 1,
    controlMean: 40.1234,
    treatmentMean: 46.2,
    worsePercent: 15.1449,
    worsePercentAtLeast: 5,
    detectablePercent: 9.5,
    outOfRange: { control: 3, treatment: 0 },
    neverReported: { control: 1, treatment: 0 },
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

  it('does not call worse what is not: the evidence may be of earlier steps, or of vehicles without a number', () => {
    const lost = { neverReported: { control: 1, treatment: 16 } };
    const same = { ...figures, ...lost, treatmentMean: 40, controlMean: 40, worsePercent: 0 };
    expect(describeGuard(guard, same)).toBe(
      'charge_minutes is 40 under treatment (54 vehicles) and 40 under control (61 vehicles) since the last step, where 5 % is the limit. 16 more did not report (1 of control). All steps and vehicles together cross the limit (p = 0.0004).',
    );
    const nothing = { ...same, treatmentMean: 0, controlMean: 0, worsePercent: null, pValue: null };
    expect(describeGuard(guard, nothing)).toMatch(/since the last step.* together cross the limit\.$/);
    expect(describeGuard(guard, { ...nothing, treatmentMean: null })).toContain('nothing under treatment');
    expect(describeGuard(guard, { ...nothing, treatmentMean: 1, controlMean: null })).toContain('since the last step');
    expect(describeGuard({ ...guard, maxWorsePercent: null }, same)).toContain('since the last step');
    expect(describeGuard({ ...guard, worse: 'lower' }, { ...nothing, controlMean: 3 })).toContain(': worse, where');
    for (const [worse, treatmentMean] of [
      ['higher', 30],
      ['lower', 50],
      ['lower', null],
    ] as const) {
      const bounded = readRolloutGuard({ metric: 'charge_minutes', worse, bound: 43 }, 'guard');
      expect(describeGuard(bounded, { ...figures, ...lost, treatmentMean })).toContain(
        'since the last step, where 43 is the bound. 16 more did not report (1 of control). All steps',
      );
    }
  });

  it('says how many vehicles of the treatment had no number that could be used', () => {
    const lost = { outOfRange: { control: 0, treatment: 7 }, neverReported: { control: 2, treatment: 9 } };
    expect(describeGuard(guard, { ...figures, ...lost })).toContain(
      'is the limit. 7 more measured out of range (0 of control). 9 more did not report (2 of control).',
    );
  });
});

it('says of a silence how long it was', () => {
  const silence = (text: string) => describeSilence(readRolloutGuard({ ...DRAFT, silence: text }, 'guard'));
  expect([silence('PT1H'), silence('PT90S')]).toEqual([
    'no measurement of charge_minutes under treatment for 60 minutes',
    'no measurement of charge_minutes under treatment for 90 seconds',
  ]);
});
