import { expect, test } from '@jest/globals';
import type { ApiKeyCredential } from '../../core/credentials/api-key.ts';
import type { GovernedCall } from './answers/revision-answers.ts';
import { callerOf } from './known-calls.ts';

const OPERATION = { sha256: 'a'.repeat(64), body: '{ flags { totalCount } }' };
const KEY: ApiKeyCredential = { id: 'k1', role: 'READ', rateLimitPerMin: 5, expiresAt: null };

const callerWith = ({ key, isBelieved }: { key: ApiKeyCredential | null; isBelieved: boolean }) =>
  callerOf(
    { credential: 'hash', role: 'READ', operation: OPERATION, call: {} as unknown as GovernedCall },
    {
      apiKeys: { known: (hash) => (hash === 'hash' ? key : null) },
      registered: { isBelieved: (operation) => isBelieved && operation === OPERATION },
    },
  );

test('the caller of a known call has the rate that its key has now', () => {
  const caller = { kind: 'apiKey', apiKeyId: 'k1', role: 'READ', rateLimitPerMin: 7 };
  expect(callerWith({ key: { ...KEY, rateLimitPerMin: 7 }, isBelieved: true })).toEqual(caller);
});

test('a call is no longer known when its key is no longer cached or has another role, or when the binding of its operation may have changed', () => {
  expect(callerWith({ key: null, isBelieved: true })).toBeNull();
  expect(callerWith({ key: { ...KEY, role: 'WRITE' }, isBelieved: true })).toBeNull();
  expect(callerWith({ key: KEY, isBelieved: false })).toBeNull();
});
