import { describe, expect, test } from '@jest/globals';
import {
  durationSeconds,
  newPolicyStage,
  policyDraftOf,
  policyFaultsOf,
  policyInput,
  type PolicyContent,
} from './policy-draft.ts';

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
    });
    expect(new Set(input.safetyLevels)).toEqual(new Set(POLICY.safetyLevels));
    expect(input.stages.map(({ percentage, minimumVehicles }) => [percentage, minimumVehicles])).toEqual(
      POLICY.stages.map(({ percentage, minimumVehicles }) => [percentage, minimumVehicles]),
    );
    expect(input.stages.map(({ soak }) => durationSeconds(soak))).toEqual(
      POLICY.stages.map(({ soak }) => durationSeconds(soak)),
    );
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
      }),
    ).toEqual({
      'stages.0.percentage': 'percentage',
      'stages.0.soak': 'count',
      'stages.0.minimumVehicles': 'count',
      maximumFaultyVehicles: 'count',
      maximumFaultyPercent: 'number',
    });
  });
});
