import { expect, test } from '@jest/globals';
import type { Caller } from '../../core/access/caller.ts';
import { permissionsOf } from '../../core/access/permissions.ts';
import { CALLERS, readPermissionMatrix, type CallerName } from '../testing/permission-matrix.ts';

const user = (role: 'READ' | 'WRITE' | 'SAFETY' | 'ADMIN'): Caller => ({
  kind: 'user',
  userId: null,
  role,
  sessionKey: null,
});
const key = (role: 'READ' | 'WRITE' | 'ADMIN'): Caller => ({
  kind: 'apiKey',
  apiKeyId: null,
  role,
  rateLimitPerMin: null,
});
const vehicle: Caller = { kind: 'vehicle', vin: null, environment: 'production' };
const callers: Record<CallerName, Caller> = {
  anonymous: { kind: 'anonymous' },
  READ: user('READ'),
  WRITE: user('WRITE'),
  SAFETY: user('SAFETY'),
  ADMIN: user('ADMIN'),
  'key READ': key('READ'),
  'key WRITE': key('WRITE'),
  'key ADMIN': key('ADMIN'),
  vehicle,
  'another vehicle': vehicle,
};

const { operations, gatewayOnly } = readPermissionMatrix();

// What a vehicle may call is decided by the arguments, which a list of names does not have.
test.each(CALLERS.filter((name) => name !== 'another vehicle'))(
  'The permissions of %s are the rows of docs/reference/permissions.md with a yes for it',
  (name) => {
    const documented = [...operations].flatMap(([operation, may]) => (may.has(name) ? [operation] : []));
    expect(documented.length).toBeGreaterThan(0);
    expect([...permissionsOf(callers[name])].sort()).toEqual(documented.sort());
  },
);

test('No caller has a permission that is for gateways on their own behalf', () => {
  const all = new Set(Object.values(callers).flatMap(permissionsOf));
  expect(gatewayOnly.filter((name) => all.has(name))).toEqual([]);
  expect(permissionsOf({ kind: 'gateway' })).toEqual([]);
});
