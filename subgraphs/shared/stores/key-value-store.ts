/** Short-lived values by key, for sessions, caches and replay guards. Kept in Redis or in this process's memory. */
import { boundedCache } from '../../../core/bounded-cache.ts';

/** The interface of both stores. Every method rejects with SERVICE_UNAVAILABLE when the store does not answer. */
export interface KeyValueStore {
  /** Gives the value, or null when there is none or it has expired. */
  get(key: string): Promise<string | null>;
  /**
   * Stores the value.
   *
   * @param ttlSeconds seconds until the value expires; at least 1
   */
  set(key: string, value: string, ttlSeconds: number): Promise<void>;
  /**
   * Stores the value only when the key has none. Gives whether it was stored; of concurrent calls exactly one succeeds.
   */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean>;
  delete(key: string): Promise<void>;
  /**
   * Adds to the set under `key`. The whole set expires `ttlSeconds` after the last addition. A key holds a value or a
   * set, never both.
   */
  addMember(key: string, member: string, ttlSeconds: number): Promise<void>;
  /** Gives the members of the set under `key`, in no order; empty when there is no set. `delete` removes the set. */
  members(key: string): Promise<string[]>;
  removeMember(key: string, member: string): Promise<void>;
  /** Rejects with SERVICE_UNAVAILABLE when the store does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The most entries kept; it bounds the memory. A single-process control plane never has this many sessions. */
const MAX_ENTRIES = 100_000;

/** Creates the store of a single-process control plane. Its content is lost when the process ends. */
export function createInProcessStore(): KeyValueStore {
  const entries = boundedCache<string, string>(MAX_ENTRIES);
  const sets = boundedCache<string, Set<string>>(MAX_ENTRIES);
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
