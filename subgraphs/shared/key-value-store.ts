/**
 * Short-lived values by key: sessions now, caches and counters as they come. Redis, or this process' memory.
 */
import { LRUCache } from 'lru-cache';

export interface KeyValueStore {
  /** The value, or null when there is none or it has expired. */
  get(key: string): Promise<string | null>;
  /** @param ttlSeconds after which the value is gone; at least 1 */
  set(key: string, value: string, ttlSeconds: number): Promise<void>;
  delete(key: string): Promise<void>;
  /** Rejects with SERVICE_UNAVAILABLE when the store does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** More sessions than any one process of a single-process control plane will see; the bound keeps memory bounded. */
const MAX_ENTRIES = 100_000;

/** The store of a control plane that is one process; gone when the process ends. */
export function createInProcessStore(): KeyValueStore {
  const entries = new LRUCache<string, string>({ max: MAX_ENTRIES });
  return {
    get: async (key) => entries.get(key) ?? null,
    async set(key, value, ttlSeconds) {
      entries.set(key, value, { ttl: ttlSeconds * 1000 });
    },
    async delete(key) {
      entries.delete(key);
    },
    async ping() {},
    async close() {
      entries.clear();
    },
  };
}
