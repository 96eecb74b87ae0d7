/**
 * Short-lived values by key: sessions, caches, what has been seen. Redis, or this process' memory.
 */
import { LRUCache } from 'lru-cache';

export interface KeyValueStore {
  /** The value, or null when there is none or it has expired. */
  get(key: string): Promise<string | null>;
  /** @param ttlSeconds after which the value is gone; at least 1 */
  set(key: string, value: string, ttlSeconds: number): Promise<void>;
  /** As `set`, but only where there is no value; whether it was. Of several at once, one is. */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean>;
  delete(key: string): Promise<void>;
  /** Adds to the set under `key`, which is gone `ttlSeconds` after the last addition. A key holds a value or a set. */
  addMember(key: string, member: string, ttlSeconds: number): Promise<void>;
  /** The set under `key`, in no order; empty where there is none. `delete` ends it. */
  members(key: string): Promise<string[]>;
  removeMember(key: string, member: string): Promise<void>;
  /** Rejects with SERVICE_UNAVAILABLE when the store does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** More sessions than any one process of a single-process control plane will see; the bound keeps memory bounded. */
const MAX_ENTRIES = 100_000;

/** The store of a control plane that is one process; gone when the process ends. */
export function createInProcessStore(): KeyValueStore {
  const entries = new LRUCache<string, string>({ max: MAX_ENTRIES });
  const sets = new LRUCache<string, Set<string>>({ max: MAX_ENTRIES });
  return {
    get: async (key) => entries.get(key) ?? null,
    async set(key, value, ttlSeconds) {
      entries.set(key, value, { ttl: ttlSeconds * 1000 });
    },
    async setIfAbsent(key, value, ttlSeconds) {
      if (entries.has(key)) return false;
      entries.set(key, value, { ttl: ttlSeconds * 1000 });
      return true;
    },
    async delete(key) {
      entries.delete(key);
      sets.delete(key);
    },
    async addMember(key, member, ttlSeconds) {
      sets.set(key, new Set(sets.get(key)).add(member), { ttl: ttlSeconds * 1000 });
    },
    members: async (key) => [...(sets.get(key) ?? [])],
    async removeMember(key, member) {
      sets.get(key)?.delete(member);
    },
    async ping() {},
    async close() {
      entries.clear();
      sets.clear();
    },
  };
}
