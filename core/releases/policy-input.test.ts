import { describe, expect, it } from '@jest/globals';
import { FleetFlagError } from '../errors.ts';
import { SAFETY_LEVELS } from '../model.ts';
import {
  MAX_CANARY_NAMES,
  MAX_CANARY_VINS,
  MAX_STAGES,
  parseReleasePolicy,
  type PolicyDraft,
  type StageDraft,
} from './policy-input.ts';

const stage = (percentage: number, soak: unknown = 'PT1H', minimumVehicles = 0): StageDraft => ({
  percentage,
  soak,
  minimumVehicles,
});
const DRAFT: PolicyDraft = {
  environment: 'production',
  stages: [stage(1, 'PT1H', 5), { percentage: 100, soak: 'PT1H' }],
};
const vin = (number: number) => `KMH${String(number).padStart(14, '0')}`;

function faultOf(change: Partial<PolicyDraft>): [string, unknown] | null {
  try {
    parseReleasePolicy({ ...DRAFT, ...change }, 'input');
  } catch (error) {
    if (error instanceof FleetFlagError) return [error.code, error.details.field];
    throw error;
  }
  return null;
}

describe('parseReleasePolicy', () => {
  it('gives the default of each member that is not given', () => {
    expect(parseReleasePolicy({ ...DRAFT, safetyLevels: null, canary: null }, 'input')).toEqual({
      environment: 'production',
      stages: [
        { percentage: 1, soakMs: 3_600_000, minimumVehicles: 5 },
        { percentage: 100, soakMs: 3_600_000, minimumVehicles: 0 },
      ],
      canary: null,
      safetyLevels: [...SAFETY_LEVELS],
      maximumFaultyVehicles: 3,
      maximumFaultyPercent: 1,
      guards: [],
    });
  });

  it('orders names and levels, whose order means nothing, and takes an empty list as none', () => {
    const policy = parseReleasePolicy(
      {
        ...DRAFT,
        canary: { vins: [vin(2), vin(1)], models: [' Ioniq 6 ', 'EV9'], regions: [] },
        safetyLevels: ['ASIL-D', 'Non-Critical'],
        maximumFaultyVehicles: 0,
        maximumFaultyPercent: 0.5,
      },
      'input',
    );
    expect(policy).toMatchObject({
      canary: { vins: [vin(1), vin(2)], models: ['EV9', 'Ioniq 6'], regions: [] },
      safetyLevels: ['Non-Critical', 'ASIL-D'],
      maximumFaultyVehicles: 0,
      maximumFaultyPercent: 0.5,
    });
  });

  it('accepts a first stage of the canary group alone', () => {
    expect(faultOf({ stages: [stage(0), stage(100)], canary: { regions: ['KR'] } })).toBeNull();
  });

  it('accepts a policy without stages', () => {
    expect(parseReleasePolicy({ environment: 'staging', stages: [] }, 'input').stages).toEqual([]);
  });

  it('accepts as many stages and names as it may have', () => {
    const stages = Array.from({ length: MAX_STAGES }, (_, index) => stage(((index + 1) * 100) / MAX_STAGES));
    const vins = Array.from({ length: MAX_CANARY_VINS }, (_, index) => vin(index));
    expect(faultOf({ stages, canary: { vins } })).toBeNull();
  });

  it.each<[string, Partial<PolicyDraft>, [string, string]]>([
    [
      'stages that do not raise',
      { stages: [stage(10), stage(10), stage(100)] },
      ['BAD_USER_INPUT', 'input.stages.1.percentage'],
    ],
    ['no stage at 100', { stages: [stage(10), stage(50)] }, ['BAD_USER_INPUT', 'input.stages.1.percentage']],
    ['more than 100', { stages: [stage(100.5)] }, ['BAD_USER_INPUT', 'input.stages.0.percentage']],
    ['four decimals', { stages: [stage(0.0001), stage(100)] }, ['BAD_USER_INPUT', 'input.stages.0.percentage']],
    [
      'less than nothing',
      { stages: [stage(-1), stage(100)], canary: { regions: ['KR'] } },
      ['BAD_USER_INPUT', 'input.stages.0.percentage'],
    ],
    ['a stage for nobody', { stages: [stage(0), stage(100)] }, ['BAD_USER_INPUT', 'input.stages.0.percentage']],
    [
      'a second stage of 0',
      { stages: [stage(0), stage(0), stage(100)], canary: { regions: ['KR'] } },
      ['BAD_USER_INPUT', 'input.stages.1.percentage'],
    ],
    ['a soak that is no duration', { stages: [stage(1, '1h'), stage(100)] }, ['BAD_USER_INPUT', 'input.stages.0.soak']],
    [
      'a soak of more than a year',
      { stages: [stage(1, 'P367D'), stage(100)] },
      ['BAD_USER_INPUT', 'input.stages.0.soak'],
    ],
    [
      'a negative number of vehicles',
      { stages: [stage(100, 'PT1H', -1)] },
      ['BAD_USER_INPUT', 'input.stages.0.minimumVehicles'],
    ],
    [
      'a part of a vehicle',
      { stages: [stage(100, 'PT1H', 0.5)] },
      ['BAD_USER_INPUT', 'input.stages.0.minimumVehicles'],
    ],
    [
      'too many stages',
      { stages: Array.from({ length: MAX_STAGES + 1 }, (_, index) => stage(index + 1)) },
      ['LIMIT_EXCEEDED', 'input.stages'],
    ],
    [
      'an ASIL-D stage that waits for nothing',
      { stages: [stage(1), stage(10, 'PT0S'), stage(100)] },
      ['BAD_USER_INPUT', 'input.stages.1.soak'],
    ],
    ['an empty canary group', { canary: {} }, ['BAD_USER_INPUT', 'input.canary']],
    ['a canary group of empty lists', { canary: { vins: [], models: null } }, ['BAD_USER_INPUT', 'input.canary']],
    ['a canary group without stages', { stages: [], canary: { regions: ['KR'] } }, ['BAD_USER_INPUT', 'input.canary']],
    [
      'guards without stages',
      {
        stages: [],
        canary: null,
        guards: [{ metric: 'range_km', worse: 'lower', maxWorsePercent: 5, action: 'hold' }],
      },
      ['BAD_USER_INPUT', 'input.guards'],
    ],
    ['a wrong VIN', { canary: { vins: [vin(1), 'KMH'] } }, ['BAD_USER_INPUT', 'input.canary.vins.1']],
    [
      'too many VINs',
      { canary: { vins: Array.from({ length: MAX_CANARY_VINS + 1 }, (_, index) => vin(index)) } },
      ['LIMIT_EXCEEDED', 'input.canary.vins'],
    ],
    ['a list that is none', { canary: { vins: 'KMH' } }, ['BAD_USER_INPUT', 'input.canary.vins']],
    ['a blank model', { canary: { models: [' '] } }, ['BAD_USER_INPUT', 'input.canary.models.0']],
    ['the model of all others', { canary: { models: ['*'] } }, ['BAD_USER_INPUT', 'input.canary.models.0']],
    ['a region twice', { canary: { regions: ['KR', 'KR'] } }, ['BAD_USER_INPUT', 'input.canary.regions.1']],
    [
      'too many regions',
      { canary: { regions: Array.from({ length: MAX_CANARY_NAMES + 1 }, (_, index) => `R${index}`) } },
      ['LIMIT_EXCEEDED', 'input.canary.regions'],
    ],
    ['no safety level', { safetyLevels: [] }, ['BAD_USER_INPUT', 'input.safetyLevels']],
    ['a safety level twice', { safetyLevels: ['ASIL-D', 'ASIL-D'] }, ['BAD_USER_INPUT', 'input.safetyLevels.1']],
    [
      'a negative number of faulty vehicles',
      { maximumFaultyVehicles: -1 },
      ['BAD_USER_INPUT', 'input.maximumFaultyVehicles'],
    ],
    ['a share above 100', { maximumFaultyPercent: 100.1 }, ['BAD_USER_INPUT', 'input.maximumFaultyPercent']],
    ['a share of four decimals', { maximumFaultyPercent: 0.0005 }, ['BAD_USER_INPUT', 'input.maximumFaultyPercent']],
    ['a negative share', { maximumFaultyPercent: -0.1 }, ['BAD_USER_INPUT', 'input.maximumFaultyPercent']],
  ])('refuses %s', (_, change, fault) => {
    expect(faultOf(change)).toEqual(fault);
  });

  it('refuses a level that this version does not know', () => {
    // oxlint-disable-next-line typescript/consistent-type-assertions -- what a caller without types could give
    const safetyLevels = ['ASIL-Z'] as unknown as PolicyDraft['safetyLevels'];
    expect(faultOf({ safetyLevels })).toEqual(['BAD_USER_INPUT', 'input.safetyLevels.0']);
  });

  it('accepts a stage that waits for nothing where the policy does not hold for ASIL-D', () => {
    expect(faultOf({ stages: [stage(1, 'PT0S'), stage(100, 'PT0S')], safetyLevels: ['ASIL-B'] })).toBeNull();
  });

  it('accepts an ASIL-D stage that waits for reports alone', () => {
    expect(faultOf({ stages: [stage(1, 'PT0S', 5), stage(100)] })).toBeNull();
  });
});
