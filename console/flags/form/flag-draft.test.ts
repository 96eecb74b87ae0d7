import { describe, expect, test } from '@jest/globals';
import { changedFlagMembers, draftedContract, flagFaultsOf, NEW_FLAG } from './flag-draft.ts';

const CONTRACT = '{ "type": "number", "maximum": 180 }';
const draft = { ...NEW_FLAG, name: 'Speed warning', value: '130' };

describe('the value contract in the form of a flag', () => {
  test('is none where its text is blank', () => {
    expect(draftedContract(' \n')).toBeNull();
    expect(flagFaultsOf(draft, 'NUMBER')).toEqual({});
  });

  test('is JSON, whatever JSON it is: the control plane says what a contract may be', () => {
    expect(draftedContract(CONTRACT)).toEqual({ type: 'number', maximum: 180 });
    expect(flagFaultsOf({ ...draft, contract: '5' }, 'NUMBER')).toEqual({});
    expect(flagFaultsOf({ ...draft, contract: '{ maximum: 180 }' }, 'NUMBER')).toEqual({ valueSchema: 'json' });
  });

  test('is sent where it differs, and taken away where it is emptied', () => {
    const members = (was: string, is: string) =>
      changedFlagMembers({ ...draft, contract: was }, { ...draft, contract: is }, 'NUMBER');
    expect(members('', CONTRACT)).toEqual({ valueSchema: { type: 'number', maximum: 180 } });
    expect(members(CONTRACT, '')).toEqual({ valueSchema: null });
    expect(members(CONTRACT, '{"maximum":180,\n "type":"number"}')).toEqual({});
    expect(members('', ' ')).toEqual({});
  });

  test('goes with a value that it needs, in one change', () => {
    expect(changedFlagMembers(draft, { ...draft, value: '100', contract: CONTRACT }, 'NUMBER')).toEqual({
      defaultValue: 100,
      valueSchema: { type: 'number', maximum: 180 },
    });
  });
});
