import { describe, expect, it } from '@jest/globals';
import { isCovered, type ReleasePolicy } from './release-policy.ts';

const POLICY: ReleasePolicy = {
  environment: 'production',
  stages: [{ percentage: 100, soakMs: 1000, minimumVehicles: 0 }],
  canary: null,
  safetyLevels: ['ASIL-B', 'ASIL-D'],
  maximumFaultyVehicles: 3,
  maximumFaultyPercent: 1,
  guards: [],
};

describe('the flags of a release policy', () => {
  it('are those of its safety levels', () => {
    expect(isCovered(POLICY, 'ASIL-D')).toBe(true);
    expect(isCovered(POLICY, 'Non-Critical')).toBe(false);
  });

  it('are none where the policy has no stages', () => {
    expect(isCovered({ ...POLICY, stages: [] }, 'ASIL-D')).toBe(false);
  });
});
