import { describe, expect, it } from '@jest/globals';
import { FleetFlagError } from '../errors.ts';
import { validateActivation, validateKillActivation } from './validate-activation.ts';

function read(validate: (value: unknown, path: string) => string, value: unknown): unknown {
  try {
    return validate(value, 'input.activation');
  } catch (error) {
    return error instanceof FleetFlagError && [error.code, error.details.field];
  }
}

const REFUSED = ['BAD_USER_INPUT', 'input.activation'];

describe('an activation', () => {
  it.each([undefined, null, 'IMMEDIATE'])('is IMMEDIATE for %j', (value) => {
    expect([read(validateActivation, value), read(validateKillActivation, value)]).toEqual(['IMMEDIATE', 'IMMEDIATE']);
  });

  it('may be PARKED, and for changes NEXT_DRIVE', () => {
    expect(['PARKED', 'NEXT_DRIVE'].map((value) => read(validateActivation, value))).toEqual(['PARKED', 'NEXT_DRIVE']);
    expect(read(validateKillActivation, 'PARKED')).toBe('PARKED');
    expect(read(validateKillActivation, 'NEXT_DRIVE')).toEqual(REFUSED);
  });

  it.each(['parked', '', 7, ['PARKED']])('is refused as %j', (value) => {
    expect([read(validateActivation, value), read(validateKillActivation, value)]).toEqual([REFUSED, REFUSED]);
  });
});
