import { expect, test } from '@jest/globals';
import { keyState } from './key-state.ts';

test('a key is valid until it is revoked or its time is over', () => {
  const at = (time: string) => new Date(time).getTime();
  const expiresAt = '2030-01-01T00:00:00Z';
  expect(keyState({ isActive: true, expiresAt: null }, at('2099-01-01T00:00:00Z'))).toBe('valid');
  expect(keyState({ isActive: true, expiresAt }, at('2029-12-31T23:59:59Z'))).toBe('valid');
  expect(keyState({ isActive: true, expiresAt }, at(expiresAt))).toBe('expired');
  expect(keyState({ isActive: false, expiresAt }, at('2099-01-01T00:00:00Z'))).toBe('revoked');
});
