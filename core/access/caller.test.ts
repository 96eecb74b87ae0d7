import { describe, expect, it } from '@jest/globals';
import { actingUser, type Caller, permissionScope, ROLES } from './caller.ts';

describe('permissionScope', () => {
  it.each<[Caller, Caller]>([
    [{ kind: 'anonymous' }, { kind: 'anonymous' }],
    [{ kind: 'gateway' }, { kind: 'gateway' }],
    [
      { kind: 'user', userId: 'u1', role: 'SAFETY', sessionKey: 'session:x' },
      { kind: 'user', userId: null, role: 'SAFETY', sessionKey: null },
    ],
    [
      { kind: 'apiKey', apiKeyId: 'k1', role: 'READ', rateLimitPerMin: 60 },
      { kind: 'apiKey', apiKeyId: null, role: 'READ', rateLimitPerMin: null },
    ],
    [
      { kind: 'vehicle', vin: 'KMH1234567890ABCD', environment: 'staging' },
      { kind: 'vehicle', vin: null, environment: 'staging' },
    ],
    [
      { kind: 'vehicle', vin: 'KMH1234567890ABCD', environment: 'staging', partition: 'Ioniq 5' },
      { kind: 'vehicle', vin: null, environment: 'staging', partition: 'Ioniq 5' },
    ],
  ])('keeps only the part of %j that decides what it may see', (caller, scope) => {
    expect(permissionScope(caller)).toEqual(scope);
  });

  it('differs by role', () => {
    const scopes = ROLES.map((role) =>
      JSON.stringify(permissionScope({ kind: 'user', userId: 'u1', role, sessionKey: null })),
    );
    expect(new Set(scopes).size).toBe(ROLES.length);
  });
});

describe('actingUser', () => {
  it('is the user, and null for a key or a vehicle', () => {
    expect(actingUser({ kind: 'user', userId: 'u1', role: 'WRITE', sessionKey: null })).toBe('u1');
    expect(actingUser({ kind: 'apiKey', apiKeyId: 'k1', role: 'WRITE', rateLimitPerMin: 60 })).toBeNull();
  });
});
