import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import { SESSION_SECONDS, newSessionToken, sessionKey, type SessionRecord } from '../../core/credentials/session.ts';
import { createInProcessStore, type KeyValueStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { endedSessionsIn, sessionsIn } from './sessions.ts';

let store: KeyValueStore;
beforeEach(() => {
  store = createInProcessStore();
});
afterEach(() => store.close());

async function session(endsIn: number): Promise<{ token: string; record: SessionRecord }> {
  const token = newSessionToken();
  const record: SessionRecord = {
    userId: 'u1',
    role: 'SAFETY',
    expiresAt: new Date(Date.now() + endsIn).toISOString(),
  };
  await store.set(sessionKey(token), JSON.stringify(record), SESSION_SECONDS);
  return { token, record };
}

describe('a session', () => {
  test("is found by its token, with its user, the role of the sign-in, the session's key and its end", async () => {
    const { token, record } = await session(60_000);
    expect(await sessionsIn(store)(token)).toEqual({
      caller: { kind: 'user', userId: 'u1', role: 'SAFETY', sessionKey: sessionKey(token) },
      expiresAt: new Date(record.expiresAt),
    });
  });

  test('is not found by another token, nor by the key under which it is stored', async () => {
    const { token } = await session(60_000);
    for (const other of [newSessionToken(), sessionKey(token), '']) expect(await sessionsIn(store)(other)).toBeNull();
  });

  test('is over at its end, even while the store still has it', async () => {
    const { token } = await session(-1);
    expect(await store.get(sessionKey(token))).not.toBeNull();
    expect(await sessionsIn(store)(token)).toBeNull();
  });

  test('is over when it is revoked', async () => {
    const { token } = await session(60_000);
    await store.delete(sessionKey(token));
    expect(await sessionsIn(store)(token)).toBeNull();
  });

  test('is unknown while the store does not answer', async () => {
    const unavailable = new FleetFlagError('SERVICE_UNAVAILABLE', 'Redis is not available.');
    await expect(sessionsIn({ ...store, get: () => Promise.reject(unavailable) })(newSessionToken())).rejects.toBe(
      unavailable,
    );
  });
});

describe('sessions in use', () => {
  test('that the store no longer has are reported as ended, however many are checked', async () => {
    const kept = await Promise.all(Array.from({ length: 150 }, () => session(60_000)));
    const keys = kept.map(({ token }) => sessionKey(token));
    expect(await endedSessionsIn(store)(keys)).toEqual(new Set());
    const ended = [keys[3], keys[120]].map(String);
    await Promise.all(ended.map((key) => store.delete(key)));
    expect(await endedSessionsIn(store)(keys)).toEqual(new Set(ended));
  });

  test('do not count as ended because the store does not answer', async () => {
    const unavailable = new FleetFlagError('SERVICE_UNAVAILABLE', 'Redis is not available.');
    await expect(endedSessionsIn({ ...store, get: () => Promise.reject(unavailable) })(['session:x'])).rejects.toBe(
      unavailable,
    );
  });
});
