import { describe, expect, test } from '@jest/globals';
import { durationSeconds } from './duration-seconds.ts';
import { newPolicyStage, policyDraftOf, policyFaultsOf, policyInput, type PolicyContent } from './policy-draft.ts';
import { newPolicyGuard } from './policy-guard.ts';

const POLICY: PolicyContent = {
  stages: [
    { percentage: 0, soak: 'PT90M', minimumVehicles: 5 },
    { percentage: 0.125, soak: 'P1DT12H', minimumVehicles: 200 },
    { percentage: 10, soak: 'PT0S', minimumVehicles: 1 },
    { percentage: 100, soak: 'P2D', minimumVehicles: 0 },
  ],
  canary: { vins: ['KMHK281HGNU000001', 'KMHK281HGNU000002'], models: ['EV9'], regions: [] },
  safetyLevels: ['ASIL_B', 'ASIL_D'],
  maximumFaultyVehicles: 3,
  maximumFaultyPercent: 0.5,
  guards: [
    {
      ...{ metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 12.5, bound: null, action: 'HALT' },
      ...{ confidenceLevel: 0.9999, minimumVehicles: 20, silence: 'PT90S' },
    },
    {
      ...{ metric: 'range_km', worse: 'LOWER', maxWorsePercent: null, bound: -3.5, action: 'HOLD' },
      ...{ confidenceLevel: 0.95, minimumVehicles: 50, silence: 'P1D' },
    },
  ],
};
const draft = policyDraftOf(POLICY);

describe('the form of a release policy', () => {
  test('has each soak in the longest unit that fits', () => {
    expect(draft.stages.map(({ soak, unit }) => [soak, unit])).toEqual([
      ['90', 'minutes'],
      ['36', 'hours'],
      ['0', 'hours'],
      ['2', 'days'],
    ]);
    expect(
      policyDraftOf({ ...POLICY, stages: [{ percentage: 100, soak: 'PT61S', minimumVehicles: 0 }] }).stages,
    ).toEqual([expect.objectContaining({ soak: '61', unit: 'seconds' })]);
  });

  test('sends what it was made of', () => {
    const input = policyInput('PRODUCTION', draft);
    expect(input).toMatchObject({
      ...POLICY,
      environment: 'PRODUCTION',
      stages: expect.anything(),
      safetyLevels: expect.anything(),
      guards: expect.anything(),
    });
    expect(new Set(input.safetyLevels)).toEqual(new Set(POLICY.safetyLevels));
    expect(input.stages.map(({ percentage, minimumVehicles }) => [percentage, minimumVehicles])).toEqual(
      POLICY.stages.map(({ percentage, minimumVehicles }) => [percentage, minimumVehicles]),
    );
    expect(input.stages.map(({ soak }) => durationSeconds(soak))).toEqual(
      POLICY.stages.map(({ soak }) => durationSeconds(soak)),
    );
  });

  test('loses nothing of a guard, and sends one kind of limit', () => {
    const { guards } = policyInput('PRODUCTION', draft);
    expect(guards).toEqual([
      {
        ...{ metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 12.5, action: 'HALT' },
        ...{ confidenceLevel: 0.9999, minimumVehicles: 20, silence: 'PT90S' },
      },
      {
        ...{ metric: 'range_km', worse: 'LOWER', bound: -3.5, action: 'HOLD' },
        ...{ confidenceLevel: 0.95, minimumVehicles: 50, silence: 'PT86400S' },
      },
    ]);
  });

  test('sends no canary group where none is named', () => {
    expect(policyInput('STAGING', { ...draft, vins: ' \n', models: [] })).not.toHaveProperty('canary');
  });

  test('finds what is no number at its field, and leaves the rest to the control plane', () => {
    expect(policyFaultsOf(draft)).toEqual({});
    expect(
      policyFaultsOf({
        ...draft,
        stages: [{ ...newPolicyStage(0), percentage: 'one', soak: '1.5', vehicles: '' }],
        faultyVehicles: '-1',
        faultyPercent: '',
        guards: [{ ...newPolicyGuard(0), limit: '', confidence: 'x', minimumVehicles: '1.5', silenceMinutes: '-1' }],
      }),
    ).toEqual({
      'stages.0.percentage': 'percentage',
      'stages.0.soak': 'count',
      'stages.0.minimumVehicles': 'count',
      maximumFaultyVehicles: 'count',
      maximumFaultyPercent: 'number',
      'guards.0.maxWorsePercent': 'number',
      'guards.0.confidenceLevel': 'number',
      'guards.0.minimumVehicles': 'count',
      'guards.0.silence': 'number',
    });
  });
});
