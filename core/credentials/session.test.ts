import { describe, expect, it } from '@jest/globals';
import { isSessionToken, newSessionToken, readSessionRecord, sessionKey } from './session.ts';

describe('session tokens', () => {
  it('are recognisable, hold 256 bits, and never come twice', () => {
    const tokens = Array.from({ length: 100 }, newSessionToken);
    for (const token of tokens) {
      expect(isSessionToken(token)).toBe(true);
      expect(Buffer.from(token.slice('ffs_'.length), 'base64url')).toHaveLength(32);
    }
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  it('are distinguished from other bearer tokens', () => {
    expect(isSessionToken('eyJhbGciOiJIUzI1NiJ9.e30.x')).toBe(false);
  });

  it('are stored under a hash that does not contain them', () => {
    const token = newSessionToken();
    expect(sessionKey(token)).toBe(sessionKey(token));
    expect(sessionKey(token)).not.toBe(sessionKey(newSessionToken()));
    expect(sessionKey(token)).not.toContain(token);
    // printf ffs_x | sha256sum
    expect(sessionKey('ffs_x')).toBe('session:eyc-7Z1_etvGD_m30OLaXxXnI-nY5ujU3JH9qM-zfYU');
  });
});

describe('session records', () => {
  const record = { userId: 'u1', role: 'WRITE', expiresAt: '2026-11-28T12:00:00.000Z' };

  it('are read as they were stored', () => {
    expect(readSessionRecord(JSON.stringify(record))).toEqual(record);
  });

  it.each([[null], [{ ...record, userId: 1 }], [{ ...record, role: 'OWNER' }], [{ ...record, expiresAt: null }]])(
    'are not read from %j',
    (damaged) => {
      expect(readSessionRecord(JSON.stringify(damaged))).toBeNull();
    },
  );
});
