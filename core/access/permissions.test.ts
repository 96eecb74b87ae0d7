import { describe, expect, it } from '@jest/globals';
import type { Caller } from './caller.ts';
import { PERMISSIONS, permissionsOf, refusalOf } from './permissions.ts';

const VIN = 'KMH1234567890ABCD';
const anonymous: Caller = { kind: 'anonymous' };
const user = (role: 'ADMIN' | 'WRITE' | 'READ' | 'SAFETY'): Caller => ({
  kind: 'user',
  userId: 'u1',
  role,
  sessionKey: null,
});
const apiKey = (role: 'ADMIN' | 'WRITE' | 'READ'): Caller => ({
  kind: 'apiKey',
  apiKeyId: 'k1',
  role,
  rateLimitPerMin: 60,
});
const vehicle: Caller = { kind: 'vehicle', vin: VIN, environment: 'production' };

function refusal(field: string, caller: Caller, args: Record<string, unknown> = {}): string | null {
  return refusalOf(PERMISSIONS[field], field, caller, args)?.code ?? null;
}

describe('refusalOf', () => {
  it('lets an anonymous caller do nothing but sign in', () => {
    expect(refusal('Mutation.login', anonymous)).toBeNull();
    for (const field of Object.keys(PERMISSIONS).filter(
      (name) => /^(Query|Mutation|Subscription)\./.test(name) && name !== 'Mutation.login',
    )) {
      expect([field, refusal(field, anonymous)]).toEqual([field, 'UNAUTHENTICATED']);
    }
  });

  it('refuses everybody a field that is in no row', () => {
    expect(refusal('Query.unlisted', anonymous)).toBe('UNAUTHENTICATED');
    for (const caller of [user('ADMIN'), apiKey('ADMIN'), vehicle])
      expect(refusal('Query.unlisted', caller)).toBe('FORBIDDEN');
  });

  it.each<[string, Caller, string | null]>([
    ['Query.flags', user('READ'), null],
    ['Query.flags', apiKey('READ'), null],
    ['Query.flags', vehicle, 'FORBIDDEN'],
    ['Mutation.createFlag', user('WRITE'), null],
    ['Mutation.createFlag', user('ADMIN'), null],
    ['Mutation.createFlag', apiKey('WRITE'), null],
    ['Mutation.createFlag', user('READ'), 'FORBIDDEN'],
    ['Mutation.createFlag', user('SAFETY'), 'FORBIDDEN'],
    ['Mutation.createFlag', apiKey('READ'), 'FORBIDDEN'],
    ['Mutation.createFlag', vehicle, 'FORBIDDEN'],
    ['Mutation.killSwitch', user('SAFETY'), null],
    ['Mutation.killSwitch', user('READ'), 'FORBIDDEN'],
    ['Mutation.scheduleRollout', user('WRITE'), null],
    ['Mutation.scheduleRollout', user('SAFETY'), 'FORBIDDEN'],
    ['Mutation.scheduleRollout', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Mutation.resumeRollout', user('SAFETY'), 'FORBIDDEN'],
    ['Mutation.pauseRollout', user('SAFETY'), null],
    ['Mutation.cancelRollout', apiKey('WRITE'), null],
    ['Mutation.cancelRollout', user('READ'), 'FORBIDDEN'],
    ['Rule.rollout', vehicle, 'FORBIDDEN'],
    ['Mutation.startExperiment', apiKey('WRITE'), null],
    ['Mutation.startExperiment', user('SAFETY'), 'FORBIDDEN'],
    ['Mutation.updateExperiment', user('READ'), 'FORBIDDEN'],
    ['Mutation.completeExperiment', user('WRITE'), null],
    ['Mutation.completeExperiment', apiKey('READ'), 'FORBIDDEN'],
    ['Mutation.cancelExperiment', vehicle, 'FORBIDDEN'],
    ['Query.users', user('ADMIN'), null],
    ['Query.users', user('WRITE'), 'FORBIDDEN'],
    ['Query.apiKeys', user('ADMIN'), null],
    ['Query.apiKeys', apiKey('ADMIN'), null],
    ['Query.apiKeys', apiKey('WRITE'), 'FORBIDDEN'],
    ['Query.apiKeys', user('SAFETY'), 'FORBIDDEN'],
    ['Mutation.createApiKey', user('ADMIN'), null],
    ['Mutation.createApiKey', user('WRITE'), 'FORBIDDEN'],
    ['Mutation.createApiKey', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Mutation.revokeApiKey', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Query.me', vehicle, null],
    ['Mutation.login', apiKey('READ'), null],
    ['Mutation.login', vehicle, 'FORBIDDEN'],
    ['Mutation.cancelChangeRequest', user('WRITE'), null],
    ['Mutation.cancelChangeRequest', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Mutation.reportMetrics', vehicle, null],
    ['Mutation.reportMetrics', user('ADMIN'), 'FORBIDDEN'],
    ['Mutation.reportMetrics', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Flag.metrics', vehicle, 'FORBIDDEN'],
    ['Mutation.logout', user('READ'), null],
    ['Mutation.logout', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Mutation.changePassword', user('SAFETY'), null],
    ['Mutation.changePassword', vehicle, 'FORBIDDEN'],
    ['Mutation.createUser', user('ADMIN'), null],
    ['Mutation.createUser', user('WRITE'), 'FORBIDDEN'],
    ['Mutation.createUser', apiKey('ADMIN'), 'FORBIDDEN'],
    ['Mutation.updateUser', apiKey('ADMIN'), 'FORBIDDEN'],
  ])('%s for %j: %s', (field, caller, code) => {
    expect(refusal(field, caller)).toBe(code);
  });

  it("refuses gateways' own fields to every client, and all other fields to a gateway", () => {
    const gateway: Caller = { kind: 'gateway' };
    for (const caller of [anonymous, user('ADMIN'), apiKey('ADMIN'), vehicle])
      expect(refusal('Query.apiKeyCredential', caller)).not.toBeNull();
    const allowed = Object.keys(PERMISSIONS).filter((field) => refusal(field, gateway) === null);
    expect(allowed).toEqual([
      'Query.apiKeyCredential',
      'Query.persistedOperation',
      'Query.answerInputs',
      'Query.vehiclePartitions',
      'Query.partitionNews',
      'Query.vehicleTokenGenerations',
      'Mutation.reportPresence',
      'Subscription.endedCredentials',
      'Subscription.partitionSignals',
      'Query._service',
    ]);
  });

  it('holds a vehicle to its own environment', () => {
    expect(refusal('Query.flagSync', vehicle, { environment: 'PRODUCTION' })).toBeNull();
    expect(refusal('Query.flagSync', vehicle, { environment: 'STAGING' })).toBe('FORBIDDEN');
    expect(refusal('Query.flagSync', vehicle)).toBe('FORBIDDEN');
    expect(refusal('Vehicle.evaluations', vehicle, { environment: 'production' })).toBeNull();
    expect(refusal('Vehicle.evaluations', vehicle, { environment: 'staging' })).toBe('FORBIDDEN');
  });

  it('holds a vehicle to its own VIN, and a caller that stands for all vehicles to none', () => {
    expect(refusal('Query.vehicle', vehicle, { vin: VIN })).toBeNull();
    expect(refusal('Query.vehicle', vehicle, { vin: 'KMH9876543210ZYXW' })).toBe('FORBIDDEN');
    expect(refusal('Query.vehicle', { ...vehicle, vin: null }, { vin: null })).toBe('FORBIDDEN');
  });
});

describe('permissionsOf', () => {
  const others: Caller[] = [
    anonymous,
    ...(['ADMIN', 'WRITE', 'READ', 'SAFETY'] as const).map(user),
    ...(['ADMIN', 'WRITE', 'READ'] as const).map(apiKey),
  ];

  it.each(others)('names each operation that %j is not refused, and no other', (caller) => {
    const operations = Object.keys(PERMISSIONS).filter((name) => /^(Query|Mutation|Subscription)\./.test(name));
    expect(permissionsOf(caller)).toEqual(operations.filter((name) => refusal(name, caller) === null));
  });

  it('names for a vehicle what it may call with its own VIN or environment, too', () => {
    const own = permissionsOf(vehicle);
    expect(own).toEqual(expect.arrayContaining(['Mutation.reportMetrics', 'Query.me']));
    for (const name of own) {
      const args = { vin: VIN, environment: 'PRODUCTION' };
      expect([name, refusal(name, vehicle, args)]).toEqual([name, null]);
    }
    expect(own).not.toContain('Mutation.createFlag');
  });

  it("names none for a gateway, whose fields are no client's", () => {
    expect(permissionsOf({ kind: 'gateway' })).toEqual([]);
  });
});
