import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { errorCode, errorMessage, isLackOfRoom, isMissingFile } from './caught-error.ts';

function caught(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe('caught errors', () => {
  it('have the code of the operating system', () => {
    expect(errorCode(caught(() => readFileSync('/no/such/file')))).toBe('ENOENT');
  });

  it.each([[new Error('x')], [null], ['ENOENT'], [{ code: 2 }]])('%p has no code', (error) => {
    expect(errorCode(error)).toBeUndefined();
  });

  it('say that a file is missing, and only that', () => {
    expect(isMissingFile(caught(() => readFileSync('/no/such/file')))).toBe(true);
    expect(isMissingFile(caught(() => readFileSync('/')))).toBe(false);
  });

  it.each([
    ['ENOSPC', true],
    ['EDQUOT', true],
    ['EFBIG', true],
    ['EACCES', false],
    [undefined, false],
  ])('of code %s say whether there is no room: %s', (code, lacksRoom) => {
    expect(isLackOfRoom(Object.assign(new Error('x'), { code }))).toBe(lacksRoom);
  });

  it('have a message, whatever was thrown', () => {
    expect(errorMessage(new Error('full'))).toBe('full');
    expect(errorMessage('full')).toBe('full');
  });
});
