/** Finding a session for the gateway, in the store where the audit subgraph's sign-in has put it. */
import type { FindSession } from '../gateway/auth/authenticate.ts';
import { sessionKey, type SessionRecord } from '../core/protocol/session.ts';
import type { KeyValueStore } from '../subgraphs/shared/key-value-store.ts';

export function sessionsIn(store: KeyValueStore): FindSession {
  return async (token) => {
    const key = sessionKey(token);
    const text = await store.get(key);
    if (text === null) return null;
    const { userId, role, expiresAt } = JSON.parse(text) as SessionRecord;
    const end = new Date(expiresAt);
    return end > new Date() ? { caller: { kind: 'user', userId, role, sessionKey: key }, expiresAt: end } : null;
  };
}
