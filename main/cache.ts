/** Opens the cache that the settings name: Redis, or its in-process replacement. */
import type { Logger } from 'pino';
import type { RateLimiter } from '../core/access/rate-limiter.ts';
import { createInProcessBus, type Bus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore, type KeyValueStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../subgraphs/shared/stores/rate-limiter.ts';
import { openRedis } from '../subgraphs/shared/stores/redis.ts';
import type { Configuration } from './configuration.ts';
import type { Lifecycle } from './lifecycle.ts';

/** The bus of events, the store of short-lived values, and the counts of rates. */
export interface Cache {
  readonly bus: Bus;
  readonly store: KeyValueStore;
  readonly limiter: RateLimiter;
}

/** Opens Redis, or its in-process replacements. */
export async function openCache(configuration: Configuration, lifecycle: Lifecycle, logger: Logger): Promise<Cache> {
  const { redis } = configuration;
  const cache =
    redis === null
      ? { bus: createInProcessBus(), store: createInProcessStore(), limiter: createInProcessRateLimiter() }
      : await openRedis(redis, logger);
  lifecycle.onClose(() => Promise.all([cache.bus.close(), cache.store.close()]));
  return cache;
}

/** Resolves to whether the ping succeeds, for readiness. */
export async function answers(ping: () => Promise<void>): Promise<boolean> {
  try {
    await ping();
    return true;
  } catch {
    return false;
  }
}
