import { expect, test } from '@jest/globals';
import { SAFETY_LEVELS } from '../model.ts';
import { ROLES } from './caller.ts';
import { mayAskFor, needsSecondPerson, permissionFor } from './safety-policy.ts';

test('every change to or from ASIL-D waits for a second person, except a kill switch', () => {
  for (const safetyLevel of SAFETY_LEVELS) {
    for (const [before, after] of [
      ['ASIL-D', safetyLevel],
      [safetyLevel, 'ASIL-D'],
    ] as const) {
      expect(needsSecondPerson({ safetyLevel: before }, { safetyLevel: after }, 'UPDATE_FLAG')).toBe(true);
      expect(needsSecondPerson({ safetyLevel: before }, { safetyLevel: after }, 'KILL_SWITCH')).toBe(false);
    }
  }
});

test('a new flag waits only where it is ASIL-D', () => {
  for (const safetyLevel of SAFETY_LEVELS)
    expect(needsSecondPerson(null, { safetyLevel }, 'CREATE_FLAG')).toBe(safetyLevel === 'ASIL-D');
});

test('lowering the level of any flag waits, raising it below ASIL-D or leaving it does not', () => {
  for (const [from, before] of SAFETY_LEVELS.entries()) {
    for (const [to, after] of SAFETY_LEVELS.entries()) {
      if (before === 'ASIL-D' || after === 'ASIL-D') continue;
      expect(needsSecondPerson({ safetyLevel: before }, { safetyLevel: after }, 'UPDATE_FLAG')).toBe(to < from);
    }
  }
});

test('roles that may stop may use kill switches, people may plan rollouts, administrators set policies, and writers may do the rest', () => {
  const askers = (action: string) => ROLES.filter((role) => mayAskFor(action, role)).sort();
  for (const action of ['KILL_SWITCH', 'RELEASE_KILL_SWITCH'])
    expect(askers(action)).toEqual(['ADMIN', 'SAFETY', 'WRITE']);
  for (const action of ['CREATE_FLAG', 'UPDATE_RULE', 'SCHEDULE_ROLLOUT', 'RESUME_ROLLOUT'])
    expect(askers(action)).toEqual(['ADMIN', 'WRITE']);
  expect(askers('SET_RELEASE_POLICY')).toEqual(['ADMIN']);
  for (const action of ['SCHEDULE_ROLLOUT', 'RESUME_ROLLOUT']) expect(permissionFor(action).apiKeys).toEqual([]);
});
