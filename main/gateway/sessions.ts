/** Lookup of sessions for the gateway, in the store where the audit subgraph creates them. */
import type { FindSession } from '../../gateway/credentials/authenticate.ts';
import type { EndedSessions } from '../../gateway/credentials/credentials-in-use.ts';
import { readSessionRecord, sessionKey } from '../../core/credentials/session.ts';
import type { KeyValueStore } from '../../subgraphs/shared/stores/key-value-store.ts';

/** Creates the lookup of one session. */
export function sessionsIn(store: Pick<KeyValueStore, 'get'>): FindSession {
  return async (token) => {
    const key = sessionKey(token);
    const text = await store.get(key);
    const record = text === null ? null : readSessionRecord(text);
    if (record === null) return null;
    const { userId, role, expiresAt } = record;
    const end = new Date(expiresAt);
    return end > new Date() ? { caller: { kind: 'user', userId, role, sessionKey: key }, expiresAt: end } : null;
  };
}

/** The sessions that are looked up at once: enough to be quick, too few to delay others. */
const BATCH = 100;

/** Creates the check of which sessions have ended. */
export function endedSessionsIn(store: Pick<KeyValueStore, 'get'>): EndedSessions {
  return async (keys) => {
    const ended = new Set<string>();
    for (let from = 0; from < keys.length; from += BATCH) {
      const batch = keys.slice(from, from + BATCH);
      const texts = await Promise.all(batch.map((key) => store.get(key)));
      texts.forEach((text, index) => text === null && ended.add(batch[index] ?? ''));
    }
    return ended;
  };
}
