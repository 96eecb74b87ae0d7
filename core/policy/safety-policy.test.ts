import { expect, test } from '@jest/globals';
import { SAFETY_LEVELS } from '../model.ts';
import { needsSecondPerson } from './safety-policy.ts';

test('every change of an ASIL-D flag waits for a second person, but for a kill switch', () => {
  for (const safetyLevel of SAFETY_LEVELS) {
    expect(needsSecondPerson({ safetyLevel: 'ASIL-D' }, { safetyLevel }, 'UPDATE_FLAG')).toBe(true);
    expect(needsSecondPerson({ safetyLevel: 'ASIL-D' }, { safetyLevel }, 'KILL_SWITCH')).toBe(false);
  }
});

test('lowering the level of any flag waits, raising it or leaving it does not', () => {
  for (const [from, before] of SAFETY_LEVELS.entries()) {
    for (const [to, after] of SAFETY_LEVELS.entries()) {
      if (before !== 'ASIL-D') expect(needsSecondPerson({ safetyLevel: before }, { safetyLevel: after }, 'UPDATE_FLAG')).toBe(to < from);
    }
  }
});
