import { expect, test } from '@jest/globals';
import { MAX_STAGES } from '../../releases/policy-input.ts';
import { parseEnvironmentFile } from './environment-file.ts';
import { readPolicyEntry } from './policy-entry.ts';

const STAGES = [{ percentage: 100, soak: 'PT1H' }];
const faultsOf = (policy: unknown) => readPolicyEntry(policy).faults.map(({ path, code }) => [path, code]);

test('a file without a policy says nothing of it, and one with a policy has every member', () => {
  expect(parseEnvironmentFile('fleetflag: 1\nflags: {}\n')).toEqual({ flags: [], releasePolicy: null, faults: [] });
  const text = `fleetflag: 1
releasePolicy:
  canary: { models: [EV9] }
  stages:
    - { percentage: 0, soak: PT2H, minimumVehicles: 10 }
    - { percentage: 100, soak: P1D }
  safetyLevels: [ASIL-D]
  maximumFaultyVehicles: 5
  maximumFaultyPercent: 0.5
flags: {}
`;
  expect(parseEnvironmentFile(text)).toEqual({
    flags: [],
    releasePolicy: {
      canary: { vins: [], models: ['EV9'], regions: [] },
      stages: [
        { percentage: 0, soakMs: 7_200_000, minimumVehicles: 10 },
        { percentage: 100, soakMs: 86_400_000, minimumVehicles: 0 },
      ],
      safetyLevels: ['ASIL-D'],
      maximumFaultyVehicles: 5,
      maximumFaultyPercent: 0.5,
      guards: [],
    },
    faults: [],
  });
});

test('what a policy leaves out has the default that the API gives it', () => {
  expect(readPolicyEntry({ stages: STAGES }).entry).toEqual({
    stages: [{ percentage: 100, soakMs: 3_600_000, minimumVehicles: 0 }],
    canary: null,
    safetyLevels: ['Non-Critical', 'Safety-Relevant', 'ASIL-B', 'ASIL-D'],
    maximumFaultyVehicles: 3,
    maximumFaultyPercent: 1,
    guards: [],
  });
});

const GUARD = { metric: 'brakes', worse: 'higher', maxWorsePercent: 5, action: 'halt' };

test('the guards of a policy are read', () => {
  const { entry, faults } = readPolicyEntry({ stages: STAGES, guards: [{ ...GUARD, silence: 'PT1H' }] });
  expect(faults).toEqual([]);
  expect(entry?.guards).toMatchObject([{ ...GUARD, bound: null, silence: 3_600_000, minimumVehicles: 50 }]);
});

test.each<[string, unknown, string]>([
  ['guards that are no list', { stages: STAGES, guards: GUARD }, 'releasePolicy.guards'],
  ['a guard that is no object', { stages: STAGES, guards: [5] }, 'releasePolicy.guards.0'],
  [
    'an unknown member of a guard',
    { stages: STAGES, guards: [{ ...GUARD, limit: 5 }] },
    'releasePolicy.guards.0.limit',
  ],
  ['a metric that is no text', { stages: STAGES, guards: [{ ...GUARD, metric: 5 }] }, 'releasePolicy.guards.0.metric'],
  ['another direction', { stages: STAGES, guards: [{ ...GUARD, worse: 'up' }] }, 'releasePolicy.guards.0.worse'],
  ['another action', { stages: STAGES, guards: [{ ...GUARD, action: 'kill' }] }, 'releasePolicy.guards.0.action'],
  ['a silence as a number', { stages: STAGES, guards: [{ ...GUARD, silence: 5 }] }, 'releasePolicy.guards.0.silence'],
  ['a limit as a text', { stages: STAGES, guards: [{ ...GUARD, bound: '5' }] }, 'releasePolicy.guards.0.bound'],
  ['no object', 'fast', 'releasePolicy'],
  ['nothing', null, 'releasePolicy'],
  ['no stages', {}, 'releasePolicy.stages'],
  ['an unknown member', { stages: STAGES, soak: 'PT1H' }, 'releasePolicy.soak'],
  ['an environment', { stages: STAGES, environment: 'production' }, 'releasePolicy.environment'],
  ['a stage that is no object', { stages: [5] }, 'releasePolicy.stages.0'],
  ['a misspelt member of a stage', { stages: [{ ...STAGES[0], minimum: 5 }] }, 'releasePolicy.stages.0.minimum'],
  ['a stage without a share', { stages: [{ soak: 'PT1H' }] }, 'releasePolicy.stages.0.percentage'],
  ['a share as a text', { stages: [{ percentage: '100', soak: 'PT1H' }] }, 'releasePolicy.stages.0.percentage'],
  ['reports as a text', { stages: [{ ...STAGES[0], minimumVehicles: '5' }] }, 'releasePolicy.stages.0.minimumVehicles'],
  ['a stage without a soak', { stages: [{ percentage: 100 }] }, 'releasePolicy.stages.0.soak'],
  ['a last stage below 100', { stages: [{ percentage: 5, soak: 'PT1H' }] }, 'releasePolicy.stages.0.percentage'],
  ['a canary group that is no object', { stages: STAGES, canary: ['EV9'] }, 'releasePolicy.canary'],
  ['an unknown member of a canary group', { stages: STAGES, canary: { vin: [] } }, 'releasePolicy.canary.vin'],
  ['a canary group of nobody', { stages: STAGES, canary: {} }, 'releasePolicy.canary'],
  ['a VIN that is none', { stages: STAGES, canary: { vins: ['KMH'] } }, 'releasePolicy.canary.vins.0'],
  ['levels that are no list', { stages: STAGES, safetyLevels: 'ASIL-D' }, 'releasePolicy.safetyLevels'],
  ['an unknown level', { stages: STAGES, safetyLevels: ['ASIL-C'] }, 'releasePolicy.safetyLevels.0'],
  ['a limit as a text', { stages: STAGES, maximumFaultyVehicles: '3' }, 'releasePolicy.maximumFaultyVehicles'],
  ['a limit below zero', { stages: STAGES, maximumFaultyVehicles: -1 }, 'releasePolicy.maximumFaultyVehicles'],
  ['a share above 100', { stages: STAGES, maximumFaultyPercent: 101 }, 'releasePolicy.maximumFaultyPercent'],
  ['a share as a text', { stages: STAGES, maximumFaultyPercent: '1' }, 'releasePolicy.maximumFaultyPercent'],
])('%s is refused with its path and code', (_case, policy, path) => {
  expect(faultsOf(policy)).toEqual([[path, 'BAD_USER_INPUT']]);
});

test('all faults of its form are reported at once, and a limit by its own code', () => {
  expect(faultsOf({ stages: [{ percentage: 'a', soak: 'b' }, 5], canary: 1, color: 'red' })).toEqual(
    ['releasePolicy.color', 'releasePolicy.stages.0.percentage', 'releasePolicy.stages.1', 'releasePolicy.canary'].map(
      (path) => [path, 'BAD_USER_INPUT'],
    ),
  );
  const many = Array.from({ length: MAX_STAGES + 1 }, (_, n) => ({ percentage: n + 1, soak: 'PT1H' }));
  expect(faultsOf({ stages: many })).toEqual([['releasePolicy.stages', 'LIMIT_EXCEEDED']]);
});

test('what is no refusal is thrown on', () => {
  const canary = {
    get vins(): unknown {
      throw new TypeError('broken');
    },
  };
  expect(() => readPolicyEntry({ stages: STAGES, canary })).toThrow(TypeError);
});

test('a wrong policy refuses the file, beside the faults of its flags', () => {
  const read = parseEnvironmentFile('fleetflag: 1\nreleasePolicy: { stages: 5 }\nflags: { a: 5 }\n');
  expect(read).toMatchObject({ flags: [], releasePolicy: null });
  expect(read.faults.map(({ path }) => path)).toEqual(['flags.a', 'releasePolicy.stages']);
});
